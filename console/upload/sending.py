"""A file's batches on their way to the log: the very stages that `POST /audience` goes through, one after another."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web
from multidict import MultiDict

from console.upload.files import Choices, Outgoing, OutgoingBatch, UnusableFileError
from producer.answers import Refused
from producer.bugs import log_bug
from producer.request.body import Form
from producer.transport.part_decoding import Labels
from producer.upload.handler import Uploads

PATIENCE = 60.0
"""Seconds for which a batch is tried again while the server has no room or Kafka is away."""

PAUSE = 2.0
NO_ROOM = 503

Tell = Callable[[Mapping[str, object]], Awaitable[None]]
"""Tells the page how far it is."""


class EndedEarlyError(Exception):
    """Not all batches are in the log; `users` are."""

    def __init__(self, why: str, users: int) -> None:
        super().__init__(why)
        self.why = why
        self.users = users


async def untold(line: Mapping[str, object]) -> None:
    """Tell nobody: a page without scripts waits for the end."""
    del line


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Sends a file as one session. A batch that stands in it already, from a try before, counts once."""

    uploads: Uploads
    request: web.Request
    settle: Callable[[int], None]
    """Is told how many bytes of a batch are held besides the file."""
    tell: Tell = untold

    async def run(self, outgoing: Outgoing, choices: Choices, session: int) -> None:
        """Send all batches, each once the one before stands in the log. Raises EndedEarlyError."""
        users = 0
        batches = iter(outgoing)
        for sequence in range(1, outgoing.batches + 1):
            try:
                users += await self._next(batches, self._place(outgoing, session, sequence), choices)
            except UnusableFileError as error:
                raise EndedEarlyError(str(error), users) from None
            except Refused as refused:
                raise EndedEarlyError(refused.why.partition(";")[0], users) from None
            except Exception as error:  # what was begun is told of, whatever ends it
                log_bug(error)
                raise EndedEarlyError("an unexpected error, which the server's log describes", users) from None
            finally:
                self.settle(0)
            await self.tell({"users": users, "total": outgoing.users})

    async def _next(self, batches: Iterator[OutgoingBatch], place: bytes, choices: Choices) -> int:
        """Have the next batch written; return how many users it has. Raises Refused, UnusableFileError."""
        batch = await asyncio.to_thread(next, batches, None)
        if batch is None:
            raise UnusableFileError("the file has fewer users than it had")
        await self._taken(batch, place, choices)
        return batch.count

    def _place(self, outgoing: Outgoing, session: int, sequence: int) -> bytes:
        place = {"sessionId": session, "sequence": sequence}
        return msgspec.json.encode({**place, "totalBatches": outgoing.batches, "totalUsers": outgoing.users})

    async def _taken(self, batch: OutgoingBatch, place: bytes, choices: Choices) -> None:
        """Have a batch written; try again while there is no room. Raises Refused."""
        query = MultiDict({"mode": choices.mode, "resume": "true"})
        clock = asyncio.get_running_loop().time
        until = clock() + PATIENCE
        while True:
            parts = {"name": choices.name.encode(), "type": choices.type.encode(), "batch": place, "users": batch.users}
            form = Form(parts=parts, labels=dict.fromkeys(parts, Labels()))
            try:
                await self.uploads.take(form, query, self.request, self.settle)
            except Refused as refused:
                if refused.response.status != NO_ROOM or clock() > until:
                    raise
                await self.tell({"waiting": refused.why.partition(";")[0]})
                await asyncio.sleep(PAUSE)
            else:
                return


@dataclass(frozen=True, slots=True)
class Progress:
    """Lines of JSON to a page that may be gone: what was begun goes on without it."""

    response: web.StreamResponse

    async def tell(self, line: Mapping[str, object]) -> None:
        """Write a line, if anybody is there."""
        with contextlib.suppress(ConnectionError):
            await self.response.write(msgspec.json.encode(line) + b"\n")
