"""Take records over from the log, deliver them, report, and let their offsets be committed."""

import asyncio
import dataclasses
from dataclasses import dataclass

from consumer.delivery.in_flight_limiter import InFlightLimiter
from consumer.delivery.outcome import Job
from consumer.records.record_handler import Handler, told
from consumer.records.retry_pointers import history_of, next_pointer
from consumer.records.retry_reader import RetryReader
from consumer.records.taken_record import TakenRecord
from schemas.records import AudienceBatch, BatchCompletion
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One consumer group at work."""

    handler: Handler
    reader: GroupReader
    retries: RetryReader
    limiter: InFlightLimiter

    async def run(self) -> None:
        """Handle records until the readers are told to stop, then finish those that are under way.

        An error that is neither the platform's nor the provider's ends the run loudly.
        """
        async with asyncio.TaskGroup() as tasks:
            later = tasks.create_task(self.retries.run(self._handle))
            async for records in self.reader.batches():
                for record in records:
                    tasks.create_task(self._take_over(record))
            await self.retries.pointers.stop_reading()
            await later

    async def _take_over(self, record: Record) -> None:
        """Handle a record of the log once there is a place for it."""
        size = len(record.value)
        await self.limiter.take(size)
        await self._handle(TakenRecord(origin=record.origin, size=size, reader=self.reader, read=record))

    async def _handle(self, taken: TakenRecord) -> None:
        """Handle a record that is taken over, from the log or by a pointer.

        1. Decode it. 2. Deliver it to the platform. 3. Have its completion, or a pointer to a later attempt,
        acknowledged by Kafka. 4. Mark its offset finished; the reader commits the lowest contiguous one.
        """
        try:
            completion = await self.handler.contained(taken.origin, lambda: self._completion(taken))
        finally:
            self.limiter.give_back(taken.size)
        if completion is not None:
            await self.handler.report(completion)  # without a place: the platform would be idle meanwhile
            taken.finish()

    async def _completion(self, taken: TakenRecord) -> BatchCompletion | None:
        """Decode and deliver; return what came of it, which is `retrying` where a pointer is acknowledged.

        None where the record is another process's by now.
        """
        record = await self._record(taken)
        if record is None:
            return told(self.handler.job(taken.origin).completion("failed", error_code="expired"))
        if not taken.is_held():
            return None
        opened = await self.handler.opened(record)
        if isinstance(opened, BatchCompletion):
            return opened
        completion = await self._delivered(*opened, taken)
        return completion and told(completion)

    async def _record(self, taken: TakenRecord) -> Record | None:
        """Return what was taken over, fetched where that was by a pointer; None where it has left the log."""
        if taken.pointer is None:
            return taken.read
        found = await self.retries.fetched(taken.origin)
        return found and dataclasses.replace(found, is_suspect=taken.read.is_suspect)

    async def _delivered(self, job: Job, batch: AudienceBatch, taken: TakenRecord) -> BatchCompletion | None:
        """Deliver, and have a pointer acknowledged where that is postponed."""
        history = history_of(taken.pointer, self.handler.clock())
        outcome = await self.handler.deliver(job, batch, taken.is_held, history)
        if outcome.is_given_up:
            return None
        if outcome.postponed is None:
            return job.completed(outcome)
        await self.retries.writer.write(
            next_pointer(job, outcome, outcome.postponed, taken.pointer, self.handler.clock())
        )
        return job.progress(outcome.postponed.error, outcome)
