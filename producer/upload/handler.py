"""One upload: from the request to acknowledged records, and the answer."""

import asyncio
import re
import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from ledger.following import Following, ViewAwayError
from ledger.queries import Queries
from ledger.receipts import receipt_of
from ledger.sessions import Contradiction, SeenBatch
from ledger.view import SessionKey
from producer.access import own_origin
from producer.answers import (
    RETRY_AFTER,
    Refused,
    contradicted,
    corrupted,
    failure,
    no_room,
    no_users,
    refused,
    refused_by_kafka,
    success,
)
from producer.records import encode, write
from producer.request.batch_form import BatchForm, parse_batch
from producer.request.body import Form, hung_up, read_form
from producer.request.request_form import RequestForm, parse_request, pieces
from producer.request.unknown_names import Ignored, total
from producer.request.users_json import PayloadError, Users, parse_users
from producer.settings import ServerSettings
from producer.transport.budget import Budget, Room
from producer.transport.content_type import check_head
from producer.transport.decoding_limiter import DecodingLimiter
from producer.transport.expectation import invite
from producer.upload.results import Outcomes, Result
from producer.upload.under_way import Stands, UnderWay, Writing
from schemas.avro.codec import Part
from schemas.avro.framing import Framing, RegistryUnavailableError
from schemas.records import AudienceBatch
from schemas.target import Target
from streams.client.errors import (
    KafkaStalledError,
    KafkaUnreachableError,
    NotAcknowledgedError,
    QueueFullError,
    RecordRefusedError,
)
from streams.cluster.topic_watch import OpenTransaction, holding_up
from streams.cluster.topics import TopicNames
from streams.write.writer import Writer

log = structlog.get_logger()

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

SOURCE = "http"

NO_ACCOUNT = "accounts: none is configured on this server, so that nobody gets this batch; set AUDIENCE_PROVIDERS"

MOST_LOGGED = 20
"""Names in the log of what an upload had that nobody knows."""

T = TypeVar("T")

COPIES = 2
"""How often a record is held until Kafka has it: by us, and by its client."""

MembersOf = Callable[[Collection[str]], Coroutine[Any, Any, set[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request that passed every check."""

    request: RequestForm
    batch: AudienceBatch
    ignored: tuple[Ignored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Handles `POST /audience`."""

    settings: ServerSettings
    targets: Sequence[Target]
    names: TopicNames
    writer: Writer
    following: Following
    queries: Queries
    outcomes: Outcomes
    framing: Framing
    budget: Budget
    decoding: DecodingLimiter
    groups_with_members: MembersOf
    under_way: UnderWay = field(default_factory=UnderWay)

    async def post(self, request: web.Request) -> web.Response:
        """Answer an upload.

        1. Judge the head, hold room for the body, and ask for it. 2. Read and check it. 3. Judge it beside what its
        session had before. 4. Write it, with room for all of it, and note that in the view. 5. Answer once all
        in-sync replicas have it, or once the platforms are through with it.
        """
        await check_head(request, self.settings)
        with self.budget.hold(request.content_length) as room:
            form = await self._received(request, room)
            deadline = asyncio.get_running_loop().time() + self.settings.sync_timeout
            async with self.decoding.turn(form.size):
                upload = self._checked_in_its_charset(form, request)
                self._check_view(upload.request)
                del form
                parts = await self._encoded(upload)
                upload = _without_users(upload)  # which take several times the bytes that they had as JSON
            room.settle(COPIES * sum(len(part.value) for part in parts))
            stands = await self._accepted(upload, parts, request)
        wanted, ignored = upload.request, upload.ignored
        del upload, parts
        place = f"/audience/batches/{stands.batch_id}"
        headers = {
            "X-Batch-Id": stands.batch_id,
            "Location": f"{self.settings.public_url or ''}{place}",
            "X-Ignored-Count": str(total(ignored)),
        }
        told = {"batchId": stands.batch_id, **_told(ignored)} if wanted.detail else {}
        if not wanted.sync:
            return success(told, headers)
        try:
            results = await self._results(stands, wanted, deadline)
        except ViewAwayError as error:
            message = f"sync: accepted, but {error}; send the same again, or look at the status later"
            raise Refused(failure(503, [message], RETRY_AFTER | headers, **told), message) from None
        held = holding_up(stands.origins, self.queries.open_transactions())
        return await self._finished(wanted, ignored, results, headers, f"{self._base(request)}{place}", held)

    async def _results(self, stands: Stands, wanted: RequestForm, deadline: float) -> list[Result]:
        """Return what the targets did with a batch up to a time of the loop's clock. Raises ViewAwayError."""
        targets = [target for target in self.targets if target.is_meant_by(wanted.channels)]
        with self.following.changes.watched([stands.batch_id]) as changed:
            left = deadline - asyncio.get_running_loop().time()
            return await self.outcomes.wait(stands.origins, targets, changed, left)

    def _base(self, request: web.Request) -> str:
        """Return what paths in texts are built on: nothing where clients may come by another address than ours."""
        if self.settings.public_url is not None:
            return self.settings.public_url
        return "" if self.settings.tokens else own_origin(request)

    async def _received(self, request: web.Request, room: Room) -> Form:
        """Ask for the body and read it. Raises Refused."""
        try:
            await invite(request)
        except ConnectionError:
            raise hung_up() from None
        return await read_form(request, room, self.settings)

    def _checked_in_its_charset(self, form: Form, request: web.Request) -> Upload:
        """Check a form; where that fails, once more with text of no charset read as ISO-8859-1. Raises Refused."""
        try:
            return self._checked(form, request)
        except Refused:
            other = form.in_latin_1()
            if other is None:
                raise
            return self._checked(other, request)

    def _checked(self, form: Form, request: web.Request) -> Upload:
        """Check in the documented order. Raises Refused."""
        batch, unknown = _parsed("batch", form, parse_batch)
        users = _parsed("users", form, parse_users)
        if not users.users:
            raise no_users()
        parsed, faults = parse_request(form, batch, request.query, self.targets)
        if parsed is None:
            raise refused(400, *faults)
        if len(users.users) > self.settings.max_users:
            raise refused(413, f"users: send at most {self.settings.max_users} in a batch")
        ignored = parsed.ignored + unknown + users.unknown
        return Upload(request=parsed, batch=_record(parsed, batch, users), ignored=ignored)

    def _check_view(self, wanted: RequestForm) -> None:
        """Let only those in whose answer can be told: sent again and again, each would be written. Raises Refused."""
        if wanted.sync and self.following.absence is not None:
            raise no_room(f"sync: {self.following.absence}")

    async def _encoded(self, upload: Upload) -> list[Part]:
        """Encode an upload. Raises Refused."""
        try:
            return await encode(upload.batch, self.framing)
        except RegistryUnavailableError:
            raise no_room("the schema registry can't be reached") from None

    async def _accepted(self, upload: Upload, parts: Sequence[Part], request: web.Request) -> Stands:
        """Return where an upload stands: written now, or before where the same came a moment ago. Raises Refused."""
        batch = parts[0].batch
        with self.under_way.entered(_session_of(batch), _seen(batch, parts)) as (mine, before):
            stands = await self._known(_session_of(batch), mine.batch, before)
            stands = stands or await self._written(upload, parts, request)
            mine.outcome.set_result(stands)
            return stands

    async def _known(self, key: SessionKey, batch: SeenBatch, before: Mapping[str, Writing]) -> Stands | None:
        """Return where the same batch stands already, None where it is to be written.

        Raises Refused where its sequence came a moment ago with something else. A view that is not up to date, or
        away, judges nobody.
        """
        if not self.following.is_ready:
            return None
        others = [writing.batch for writing in before.values()]
        try:
            verdict = await self.following.ask(lambda: self.queries.judge(key, batch, others))
        except ViewAwayError:
            return None
        if isinstance(verdict, Contradiction):
            raise contradicted(verdict)
        if verdict is None:
            return None
        batch_id = verdict.batch.batch_id
        if batch_id in before:
            return await asyncio.shield(before[batch_id].outcome)
        try:
            known = await self.following.ask(lambda: self.queries.view.records_of(batch_id))
        except ViewAwayError:
            return None
        log.info("Upload repeated: nothing is written.", batch_id=batch_id)
        return Stands(batch_id, tuple(record.origin for record in known))

    async def _written(self, upload: Upload, parts: Sequence[Part], request: web.Request) -> Stands:
        """Write all records of an upload. Raises Refused."""
        batch_id = upload.batch.batch_id
        try:
            origins = await write(self.writer, self.names.batches, parts, _record_headers(request))
        except KafkaStalledError:
            raise no_room("Kafka acknowledges nothing") from None
        except KafkaUnreachableError:
            raise no_room("Kafka can't be reached") from None
        except QueueFullError:
            raise no_room("the queue towards Kafka is full") from None
        except RecordRefusedError as error:
            raise refused_by_kafka(error, batch_id) from None
        except NotAcknowledgedError:
            message = "Kafka: not confirmed; send the same request again"
            raise refused(503, message, headers=RETRY_AFTER | {"X-Batch-Id": batch_id}) from None
        at = datetime.now(UTC)
        told = zip(parts, origins, strict=True)
        await self.following.accept([receipt_of(part.batch, part.users, origin, at, SOURCE) for part, origin in told])
        counts = {"users": sum(part.users for part in parts), "parts": len(parts), **_facts(upload.ignored)}
        log.info("Upload accepted.", **_named(upload.batch), **counts)
        return Stands(batch_id, tuple(origins))

    async def _finished(
        self,
        wanted: RequestForm,
        ignored: Sequence[Ignored],
        results: list[Result],
        headers: Mapping[str, str],
        place: str,
        held: OpenTransaction | None,
    ) -> web.Response:
        """Answer a sync request: details where they are wanted, and what explains that nobody was accepted."""
        told = {"batchId": headers["X-Batch-Id"], **_told(ignored)}
        extra = {**told, "results": [result.as_json() for result in results]} if wanted.detail else {}
        failed = [result for result in results if result.is_failure]
        waiting = [result for result in results if not result.is_failure and not result.is_complete]
        log.info("Upload ended.", batch_id=headers["X-Batch-Id"], failed=len(failed), unfinished=len(waiting))
        if not results:
            return failure(400, [NO_ACCOUNT], headers, **extra)
        if not failed and not waiting:
            return success(extra, headers)
        errors = [f"{result.target}: {result.why()}" for result in failed]
        errors += await self._unfinished(place, [result.target for result in waiting], held)
        errors += [f"ignored: {one}" for one in ignored if one.did_you_mean] if failed else []
        return failure(400 if failed else 504, errors, headers, **extra)

    async def _unfinished(self, place: str, targets: list[Target], held: OpenTransaction | None) -> list[str]:
        if held is not None:
            why = f"waits for a publisher's transaction, open since {held.since.isoformat(timespec='seconds')}"
            return [f"{target}: {why} at {held.origin}; see {place}" for target in targets]
        if not targets:
            return []
        groups = {target: target.group_id(self.names.prefix) for target in targets}
        try:
            active = await self.groups_with_members(groups.values())
        except KafkaUnreachableError:  # the batch is accepted all the same
            active = set(groups.values())
        words = {True: "still in progress", False: "no consumer is running"}
        return [f"{target}: {words[groups[target] in active]}; see {place}" for target in targets]


def _without_users(upload: Upload) -> Upload:
    return replace(upload, batch=msgspec.structs.replace(upload.batch, users=[]))


def _record_headers(request: web.Request) -> dict[str, bytes]:
    """Return what the records say of where they come from."""
    headers = {"audience-source": SOURCE.encode()}
    parent = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(parent):
        headers["traceparent"] = parent.encode()
    return headers


def _session_of(batch: AudienceBatch) -> SessionKey:
    return SessionKey(batch.session_id or "", batch.name, batch.type)


def _seen(batch: AudienceBatch, parts: Sequence[Part]) -> SeenBatch:
    """Return a batch that just came as its session will see it."""
    return SeenBatch(
        batch_id=batch.batch_id,
        sequence=batch.sequence or 0,
        total_batches=batch.total_batches,
        total_users=batch.total_users,
        users=sum(part.users for part in parts),
        parts=len(parts),
        parts_seen=len(parts),
        content_hash=batch.content_hash,
        disable_prefix=batch.disable_prefix,
        channels=None if batch.channels is None else tuple(batch.channels),
        at=datetime.now(UTC),
    )


def _parsed(part: str, form: Form, parse: Callable[[bytes], T]) -> T:
    """Return a required part as what it holds. Raises Refused."""
    if part not in form.parts:
        raise corrupted(f"{part}: missing{pieces(part, form)}")
    try:
        return parse(form.parts[part])
    except PayloadError as error:
        raise corrupted(f"{error}{pieces(part, form)}") from None


def _named(batch: AudienceBatch) -> Mapping[str, object]:
    """Return by what a person knows an upload; the audience's name is the operator's own."""
    return {
        "batch_id": batch.batch_id,
        "audience": batch.name,
        "type": batch.type,
        "session": batch.session_id,
        "sequence": batch.sequence,
    }


def _told(ignored: Sequence[Ignored]) -> dict[str, object]:
    """Return what an answer with details says of names that nobody knows; nothing where there are none."""
    return {"ignored": msgspec.to_builtins(ignored)} if ignored else {}


def _facts(ignored: Sequence[Ignored]) -> dict[str, object]:
    """Return what the log says of names that nobody knows."""
    named = [f"{one.place}.{one.name}" for one in ignored if one.name]
    return {"ignored": total(ignored), **({"ignored_names": named[:MOST_LOGGED]} if named else {})}


def _record(request: RequestForm, batch: BatchForm, users: Users) -> AudienceBatch:
    return AudienceBatch(
        batch_id=str(uuid.uuid4()),
        session_id=batch.session_id,
        sequence=batch.sequence,
        total_batches=batch.total_batches,
        total_users=batch.total_users,
        pull_date=batch.pull_date,
        name=request.name,
        type=request.type,
        disable_prefix=request.disable_prefix,
        channels=request.channels,
        accepted_at=datetime.now(UTC),
        users=users.users,
    )
