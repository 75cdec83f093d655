"""One upload: from the request to acknowledged records, and the answer."""

import asyncio
import re
import uuid
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from aiohttp import web

from producer.answers import RETRY_AFTER, corrupted, failure, no_room, no_users, refused, success
from producer.batch_form import BatchForm, parse_batch
from producer.body import Budget, Form, read_form, size_to_hold
from producer.completions import Completions, Result
from producer.request_form import RequestForm, parse_request
from producer.settings import ServerSettings
from producer.users_json import PayloadError, Users, parse_users
from schemas.codec import content_hash, split, user_blocks
from schemas.framing import Framing, RegistryUnavailableError
from schemas.records import AudienceBatch, Origin
from schemas.target import Target
from streams.errors import KafkaStalledError, KafkaUnreachableError, NotAcknowledgedError, QueueFullError
from streams.topics import TopicNames
from streams.writer import Reservation, Writer

log = structlog.get_logger()

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

MembersOf = Callable[[Collection[str]], Coroutine[Any, Any, set[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request that passed every check."""

    request: RequestForm
    batch: AudienceBatch
    ignored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Handles `POST /audience`."""

    settings: ServerSettings
    targets: Sequence[Target]
    names: TopicNames
    writer: Writer
    completions: Completions
    framing: Framing
    budget: Budget
    groups_with_members: MembersOf

    async def post(self, request: web.Request) -> web.Response:
        """Answer an upload.

        1. Hold room for the body. 2. Read and check it. 3. Register who waits. 4. Write it, with room for all of
        it. 5. Answer once all in-sync replicas have it, or once the platforms are through with it.
        """
        with ExitStack() as waiting:
            with self.budget.hold(size_to_hold(request, self.settings)):
                upload = self._checked(await read_form(request, self.settings), request)
                targets = [t for t in self.targets if t.is_meant_by(upload.request.channels)]
                waiter = waiting.enter_context(self.completions.expect(upload.batch.batch_id, targets))
                origins = await self._write(upload, request)
            wanted, batch_id = upload.request, upload.batch.batch_id
            del upload  # its users need not be held while the platforms work
            if not wanted.sync:
                extra = {"batchId": batch_id} if wanted.detail else {}
                return success(extra, {"X-Batch-Id": batch_id})
            results = await waiter.wait(origins, self.settings.sync_timeout)
        return await self._finished(wanted, batch_id, results)

    def _checked(self, form: Form, request: web.Request) -> Upload:
        """Check in the documented order. Raises Refused."""
        try:
            batch, unknown = parse_batch(_required("batch", form))
            users = parse_users(_required("users", form))
        except PayloadError as error:
            raise corrupted(str(error)) from None
        if not users.users:
            raise no_users()
        parsed, faults = parse_request(form, batch, request.query, self.targets)
        if parsed is None:
            raise refused(400, *faults)
        if len(users.users) > self.settings.max_users:
            raise refused(413, f"users: send at most {self.settings.max_users} in a batch")
        return Upload(request=parsed, batch=_record(parsed, batch, users), ignored=unknown + users.ignored)

    async def _write(self, upload: Upload, request: web.Request) -> list[Origin]:
        """Write all records of an upload. Raises Refused."""
        try:
            records = await self._encode(upload.batch)
            with self.writer.reserve(sum(map(len, records))) as room:
                writes = [self._send(upload.batch, record, request, room) for record in records]
                origins = await asyncio.gather(*writes)
        except KafkaStalledError:
            raise no_room("Kafka acknowledges nothing") from None
        except (KafkaUnreachableError, RegistryUnavailableError):
            raise no_room("Kafka can't be reached") from None
        except QueueFullError:
            raise no_room("the queue towards Kafka is full") from None
        except NotAcknowledgedError:
            message = "Kafka: not confirmed; send the same request again"
            headers = RETRY_AFTER | {"X-Batch-Id": upload.batch.batch_id}
            raise refused(503, message, headers=headers) from None
        log.info(
            "Upload accepted.",
            batch_id=upload.batch.batch_id,
            users=len(upload.batch.users),
            parts=len(origins),
            ignored_members=upload.ignored,
        )
        return origins

    async def _encode(self, batch: AudienceBatch) -> list[bytes]:
        blocks = []
        for block in user_blocks(batch.users):
            blocks.append(block)
            await asyncio.sleep(0)
        hashed = await asyncio.to_thread(content_hash, batch, blocks)
        hashed_batch = msgspec.structs.replace(batch, content_hash=hashed)
        return await asyncio.to_thread(split, hashed_batch, blocks, self.framing)  # may ask the registry

    async def _send(self, batch: AudienceBatch, record: bytes, request: web.Request, room: Reservation) -> Origin:
        headers = {"content-type": b"application/vnd.audience.batch+avro", "audience-source": b"http"}
        parent = request.headers.get("traceparent", "")
        if _TRACEPARENT.fullmatch(parent):
            headers["traceparent"] = parent.encode()
        return await self.writer.send(self.names.batches, batch.key, record, headers, reservation=room)

    async def _finished(self, wanted: RequestForm, batch_id: str, results: list[Result]) -> web.Response:
        """Answer a sync request."""
        headers: dict[str, str] = {"X-Batch-Id": batch_id}
        extra: dict[str, object] = {}
        if wanted.detail:
            extra = {"batchId": batch_id, "results": [result.as_json() for result in results]}
        failed = [result for result in results if result.is_failure]
        waiting = [result for result in results if not result.is_failure and not result.is_complete]
        log.info("Upload ended.", batch_id=batch_id, failed=len(failed), unfinished=len(waiting))
        if not failed and not waiting:
            return success(extra, headers)
        errors = [f"{result.target}: {result.why()}" for result in failed]
        errors += await self._unfinished(batch_id, [result.target for result in waiting])
        return failure(400 if failed else 504, errors, headers, **extra)

    async def _unfinished(self, batch_id: str, targets: list[Target]) -> list[str]:
        if not targets:
            return []
        groups = {target: target.group_id(self.names.prefix) for target in targets}
        try:
            active = await self.groups_with_members(groups.values())
        except KafkaUnreachableError:  # the batch is accepted all the same
            active = set(groups.values())
        words = {True: "still in progress", False: "no consumer is running"}
        return [f"{target}: {words[groups[target] in active]}; see batch {batch_id}" for target in targets]


def _required(name: str, form: Form) -> bytes:
    if name not in form.parts:
        raise PayloadError(f"{name}: missing")
    return form.parts[name]


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
