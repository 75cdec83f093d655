"""Take records from the log, deliver them, report, and let their offsets be committed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from consumer.attempts import Time
from consumer.delivery import Delivery
from consumer.patience import patiently
from consumer.tally import Job
from providers.errors import RetryError
from providers.rows import place_of
from schemas.codec import decode_audience_batch, encode_batch_completion
from schemas.framing import Framing, UndecodableError
from schemas.records import AudienceBatch, BatchCompletion
from schemas.target import Target
from schemas.validity import invalidity
from streams.reader import GroupReader
from streams.thread import Record
from streams.writer import Writer

log = structlog.get_logger()

HEADERS = {"content-type": b"application/vnd.audience.completion+avro"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One consumer group at work."""

    target: Target
    delivery: Delivery
    reader: GroupReader
    writer: Writer
    completions: str
    """Topic of the completions."""
    framing: Framing
    time: Time
    clock: Callable[[], datetime]
    partitions: int
    """Partitions of the log."""
    at_once: int
    """Records that may be under way at once."""

    async def run(self) -> None:
        """Handle records until the reader is told to stop, then finish those that are under way.

        An error that is neither the platform's nor the provider's ends the run loudly.
        """
        places = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as tasks:
            async for records in self.reader.batches():
                self.delivery.pace.share = max(1, len(self.reader.partitions)) / self.partitions
                for record in records:
                    tasks.create_task(self._handle(record, places))

    async def _handle(self, record: Record, places: asyncio.Semaphore) -> None:
        """Handle one record of the log.

        1. Decode it. 2. Deliver it to the platform. 3. Have its completion acknowledged by Kafka. 4. Mark its
        offset finished; the reader commits the lowest contiguous one.
        """
        async with places:
            if self.reader.holds(record):
                await self._report(await self._complete(record))
                self.reader.finish(record)

    async def _complete(self, record: Record) -> BatchCompletion:
        job = Job(target=self.target, origin=record.origin, started_at=self.clock())
        try:
            batch = await self._decode(record)
        except UndecodableError as error:
            return _told(job.completion("failed", error_code="undecodable"), because=str(error))
        job = Job(target=self.target, origin=record.origin, started_at=job.started_at, batch=batch)
        if fault := invalidity(batch):
            return _told(job.completion("skipped", error_code="invalid_batch"), because=fault)
        if not self.target.is_meant_by(batch.channels):
            return _told(job.completion("skipped"))
        return await self._deliver(job, batch)

    async def _decode(self, record: Record) -> AudienceBatch:
        """Decode on another thread, as the registry may have to be asked; wait for one that is unreachable."""
        if record.error is not None:
            raise UndecodableError(f"the client can't read it ({record.error})")
        what = "The schema registry does not answer"
        return await patiently(
            lambda: asyncio.to_thread(decode_audience_batch, record.value, self.framing), what, self.time
        )

    async def _deliver(self, job: Job, batch: AudienceBatch) -> BatchCompletion:
        async def notice(error: RetryError) -> None:
            await self._report(job.completion("retrying", error_code=error.code))

        try:
            return _told(job.outcome(await self.delivery.deliver(batch, notice)))
        except Exception as error:
            log.error("Delivery failed by a bug.", at=place_of(error), **_facts(job.completion("failed")))
            return _told(job.completion("failed", error_code="bug"))

    async def _report(self, completion: BatchCompletion) -> None:
        """Have a completion acknowledged, however long Kafka takes."""
        told = msgspec.structs.replace(completion, finished_at=self.clock())

        async def write() -> None:
            value = await asyncio.to_thread(encode_batch_completion, told, self.framing)
            await self.writer.send(self.completions, told.key, value, HEADERS)

        await patiently(write, "A completion is not acknowledged", self.time, **_facts(told))


def _facts(completion: BatchCompletion) -> dict[str, object]:
    return {
        "batch_id": completion.batch_id,
        "provider": completion.provider,
        "account": completion.account,
        "origin": str(completion.origin),
    }


def _told(completion: BatchCompletion, because: str | None = None) -> BatchCompletion:
    """Log how a record ended, in one line, and return its completion."""
    facts = _facts(completion) | {
        "status": completion.status,
        "accepted": completion.counts.accepted,
        "rejected": completion.counts.rejected,
        "attempts": completion.attempts,
    }
    reasons = {
        "error": completion.error_code,
        "platform_code": completion.platform_code,
        "request_id": completion.request_id,
        "because": because,
    }
    facts |= {name: reason for name, reason in reasons.items() if reason}
    tell = log.error if completion.status == "failed" else log.warning if completion.error_code else log.info
    tell("Record handled.", **facts)
    return completion
