"""The handler of `POST /audience`: the stages of an upload, and what is held during which."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from multidict import MultiMapping

from producer.request.body import Form, read_form
from producer.settings import ServerSettings
from producer.transport.body_budget import Budget
from producer.transport.content_type import check_head
from producer.transport.decoding_limiter import DecodingLimiter
from producer.upload.answering import Answerer
from producer.upload.checking import Checker
from producer.upload.deduplication import Deduplicator, seen, session_of
from producer.upload.encoding import encode
from producer.upload.writes_in_flight import WritesInFlight
from producer.upload.writing import BatchWriter, Written
from schemas.avro.framing import Framing

COPIES = 2
"""How often a record is held until Kafka has it: by us, and by its client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Handles `POST /audience`."""

    settings: ServerSettings
    budget: Budget
    decoding: DecodingLimiter
    checker: Checker
    framing: Framing
    deduplicator: Deduplicator
    batch_writer: BatchWriter
    answerer: Answerer
    writes: WritesInFlight = field(default_factory=WritesInFlight)

    def routes(self) -> list[web.RouteDef]:
        """Return the path and its handler."""
        return [web.post("/audience", self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """Take an upload through its stages; each hands on a value, and what no later one needs is let go.

        1. Read: judge the head, hold room for the body, ask for it and take it in. 2. Check it; its users are
        encoded on the way, slice by slice. 3. Make records of it; both in its turn, as users that can only be parsed
        as a whole take several times the bytes that they had as JSON. 4. Place it beside what its session had before.
        5. Write it, with room for all of it, and note that in the view. 6. Answer once all in-sync replicas have it,
        or once the platforms are through with it; nothing is held any more meanwhile. Raises Refused.
        """
        await check_head(request, self.settings)
        with self.budget.hold(request.content_length) as room:
            form = await read_form(request, room, self.settings)
            deadline = asyncio.get_running_loop().time() + self.settings.sync_timeout
            written = await self.take(form, request.query, request, room.settle)
        return await self.answerer.answer(written, request, deadline)

    async def take(
        self, form: Form, query: MultiMapping[str], request: web.Request, settle: Callable[[int], None]
    ) -> Written:
        """Take a form that was read through the stages until it is written, for whatever request it is.

        What it held is let go of as soon as its users are encoded, and `settle` told how many bytes are held then.
        Raises Refused.
        """
        async with self.decoding.turn(form.size):
            checked = await self.checker.check(form, query)
            form.parts.clear()
            encoded = await encode(checked, self.framing)
            del checked
        settle(COPIES * encoded.size)
        with self.writes.entered(session_of(encoded), seen(encoded)) as (mine, before):
            placed = await self.deduplicator.place(encoded, mine.batch, before)
            written = await self.batch_writer.write(placed, request)
            mine.outcome.set_result(written.stands)
        return written
