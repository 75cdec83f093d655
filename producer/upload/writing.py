"""Write the records of an upload to the log, and note them in the view."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import web

from ledger.receipts import receipt_of
from ledger.view_updater import Following
from producer import records
from producer.answers import RETRY_AFTER, no_room, refused, refused_by_kafka
from producer.request.request_form import RequestForm
from producer.request.unknown_names import Ignored, total
from producer.upload.deduplication import Placed
from producer.upload.encoding import Encoded
from producer.upload.writes_in_flight import WrittenBatch
from schemas.metrics.registry import Counted
from schemas.records import RESUMED, AudienceBatch, Origin
from streams.client.errors import (
    KafkaStalledError,
    KafkaUnreachableError,
    NotAcknowledgedError,
    QueueFullError,
    RecordRefusedError,
)
from streams.tables.log_creation import Homes, home_of
from streams.write.writer import Writer

log = structlog.get_logger()

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

SOURCE = "http"

MOST_LOGGED = 20
"""Names in the log of what an upload had that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An upload that all in-sync replicas have, now or since before."""

    request: RequestForm
    ignored: tuple[Ignored, ...]
    stands: WrittenBatch


def record_headers(request: web.Request, source: str) -> dict[str, bytes]:
    """Return what the records say of where they come from."""
    headers = {"audience-source": source.encode()}
    parent = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(parent):
        headers["traceparent"] = parent.encode()
    return headers


def source_of(request: RequestForm) -> str:
    """Return who publishes an upload, by which all nodes know one that is resumed."""
    return RESUMED if request.resume else SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWriter:
    """Writes uploads to the log."""

    writer: Writer
    topic: str
    following: Following
    homes: Homes
    users: Counted

    async def write(self, placed: Placed, request: web.Request) -> Written:
        """Write all records of an upload that does not stand in the log yet. Raises Refused."""
        encoded = placed.encoded
        stands = placed.repeats or await self._appended(encoded, request)
        return Written(request=encoded.request, ignored=encoded.ignored, stands=stands)

    async def _appended(self, encoded: Encoded, request: web.Request) -> WrittenBatch:
        """1. Have the records acknowledged. 2. Note them in the view. 3. Log that. Raises Refused."""
        source = source_of(encoded.request)
        origins = await self._acknowledged(encoded, record_headers(request, source))
        at = datetime.now(UTC)
        written = zip(encoded.parts, origins, strict=True)
        mine = [receipt_of(part.batch, part.users, origin, at, source, is_home=True) for part, origin in written]
        await self.following.accept(mine)
        counts = {"users": encoded.users, "parts": len(encoded.parts), **_facts(encoded.ignored)}
        self.users.add(encoded.batch.mode, amount=encoded.users)
        log.info("Upload accepted.", **_named(encoded.batch), **counts)
        return WrittenBatch(encoded.batch.batch_id, tuple(origins))

    async def _acknowledged(self, encoded: Encoded, headers: Mapping[str, bytes]) -> list[Origin]:
        batch_id = encoded.batch.batch_id
        try:
            home = home_of(await self.homes.creation(self.following.log_id), encoded.batch.key)
            return await records.write(self.writer, self.topic, encoded.parts, headers, home)
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


def _named(batch: AudienceBatch) -> Mapping[str, object]:
    """Return by what a person knows an upload; the audience's name is the operator's own."""
    return {
        "batch_id": batch.batch_id,
        "audience": batch.name,
        "type": batch.type,
        "mode": batch.mode,
        "session": batch.session_id,
        "sequence": batch.sequence,
    }


def _facts(ignored: Sequence[Ignored]) -> dict[str, object]:
    """Return what the log says of names that nobody knows."""
    named = [f"{one.place}.{one.name}" for one in ignored if one.name]
    return {"ignored": total(ignored), **({"ignored_names": named[:MOST_LOGGED]} if named else {})}
