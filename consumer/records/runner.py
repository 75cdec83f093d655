"""Take records from the log, deliver them, report, and let their offsets be committed."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from consumer.delivery.outcome import Job, Outcome
from consumer.records.in_flight_limiter import InFlightLimiter
from consumer.records.record_handler import Handler, told
from consumer.records.retry_schedule import Entry, Schedule
from consumer.retries.attempts import History, PostponedError
from consumer.retries.kafka_retries import keep_trying
from schemas.avro.codec import decode_retry_pointer, encode_retry_pointer
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import AudienceBatch, BatchCompletion, Origin, RetryPointer, is_of_log, parse_origin
from schemas.validity import pointer_fault
from streams.read.consumer_thread import Record
from streams.read.containment import sent_or_smallest
from streams.read.group_reader import GroupReader
from streams.read.quarantine import Trial
from streams.read.record_fetcher import RecordFetcher

log = structlog.get_logger()

FETCHED = 1_000_000
"""Bytes that a place is taken for before a record is fetched: what brokers take by default."""

MOST_AHEAD = 600.0
"""Seconds for which a pointer is kept in memory; one that is due later is written to the end of its topic again."""

RETRY_HEADERS = {"content-type": b"application/vnd.audience.retry+avro"}

LOG_ID = "audience-log-id"
"""Header of a pointer with the id of the log that its key names a place of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One consumer group at work."""

    handler: Handler
    reader: GroupReader
    pointers: GroupReader
    """Reads the group's retry topic, as a group of its own."""
    fetcher: RecordFetcher
    batches: str
    """Topic of the log."""
    retry: str
    """Topic of pointers to later attempts."""
    limiter: InFlightLimiter
    trial: Trial
    """Tries pointers that may end our process."""

    async def run(self) -> None:
        """Handle records until the readers are told to stop, then finish those that are under way.

        An error that is neither the platform's nor the provider's ends the run loudly.
        """
        async with asyncio.TaskGroup() as tasks:
            later = tasks.create_task(self._run_pointers())
            async for records in self.reader.batches():
                for record in records:
                    tasks.create_task(self._handle(record))
            await self.pointers.stop_reading()
            await later

    async def _run_pointers(self) -> None:
        """Handle pointers; those that are not due when reading stops are left for the next start."""
        schedule, added = Schedule(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(schedule, added, tasks))
            async for records in self.pointers.batches():
                for record in records:
                    await self._note(schedule, record, tasks)
                added.set()
            following.cancel()

    async def _note(self, schedule: Schedule, record: Record, tasks: asyncio.TaskGroup) -> None:
        if record.is_suspect and await self.trial.ends_process(record):
            tasks.create_task(self._end_without_pointer(record, "it ends the process that reads it", "quarantined"))
            return
        try:
            pointer = await self.handler.decoded(lambda: decode_retry_pointer(record.value, self.handler.framing))
        except UndecodableError as error:
            tasks.create_task(self._end_without_pointer(record, str(error), "undecodable"))
            return
        if (fault := pointer_fault(pointer)) or pointer.origin.topic != self.batches:
            because = fault or "origin: expected one of the log"
            tasks.create_task(self._end_without_pointer(record, because, "undecodable"))
            return
        if not is_of_log(pointer.log_id, self.handler.log_id):
            self._forget(record, pointer.origin)
            return
        due_in = max(0.0, (pointer.not_before - self.handler.clock()).total_seconds())
        seen_to = self.handler.time.clock() + min(due_in, MOST_AHEAD)
        schedule.add(seen_to, record, pointer, is_put_off=due_in > MOST_AHEAD)

    def _forget(self, record: Record, origin: Origin) -> None:
        """Leave out a pointer into a log that was made anew since: another record may stand there now."""
        log.warning("A pointer is of a log that was made anew since and is ignored.", origin=str(origin))
        self.pointers.finish(record)

    async def _end_without_pointer(self, record: Record, because: str, code: str) -> None:
        """End the record of a pointer that can't be read: its key tells which one, and nobody would try it again."""
        origin = parse_origin((record.key or b"").decode(errors="replace"))
        if origin is not None and not is_of_log(_log_named(record), self.handler.log_id):
            self._forget(record, origin)
            return
        if origin is None or origin.topic != self.batches or await self._fetched(origin) is None:
            log.error("A pointer names no record and is ignored.", origin=str(record.origin), because=because)
        elif self.pointers.holds(record):
            completion = self.handler.job(origin).completion("failed", error_code=code)
            await self.handler.report(told(completion, because=f"its pointer {record.origin}: {because}"))
        self.pointers.finish(record)

    async def _follow(self, schedule: Schedule, added: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        """See to each pointer at its time, as far as there are places."""
        while True:
            added.clear()
            at = schedule.next_at()
            is_time = at is not None and await self._sleep(at - self.handler.time.clock(), added)
            if not is_time:
                await added.wait()
                continue
            entry = schedule.take()
            if self.pointers.holds(entry.record):
                await self.limiter.take(FETCHED)
                tasks.create_task(self._handle_pointer(entry))

    async def _sleep(self, seconds: float, added: asyncio.Event) -> bool:
        """Sleep; False where a pointer was added meanwhile, which may be due sooner."""
        if seconds <= 0:
            return True
        sleeping, adding = asyncio.ensure_future(self.handler.time.sleep(seconds)), asyncio.ensure_future(added.wait())
        try:
            await asyncio.wait({sleeping, adding}, return_when=asyncio.FIRST_COMPLETED)
            return not adding.done()
        finally:
            sleeping.cancel()
            adding.cancel()

    async def _handle(self, record: Record) -> None:
        """Handle one record of the log.

        1. Decode it. 2. Deliver it to the platform. 3. Have its completion, or a pointer to a later attempt,
        acknowledged by Kafka. 4. Mark its offset finished; the reader commits the lowest contiguous one.
        """
        size = len(record.value)
        await self.limiter.take(size)
        try:
            completion = await self.handler.contained(
                record.origin, lambda: self._completion(record, None, lambda: self.reader.holds(record))
            )
        finally:
            self.limiter.give_back(size)
        if completion is not None:
            await self.handler.report(completion)  # without a place: the platform would be idle meanwhile
            self.reader.finish(record)

    async def _handle_pointer(self, entry: Entry) -> None:
        """Handle one pointer at its time: fetch its record, and do as with any other. Its place is taken."""
        completion = None
        try:
            if entry.is_put_off:
                await self._write_pointer(entry.pointer)
            else:
                completion = await self.handler.contained(entry.pointer.origin, lambda: self._try_again(entry))
        finally:
            self.limiter.give_back(FETCHED)
        if completion is not None:
            await self.handler.report(completion)
        if completion is not None or entry.is_put_off:
            self.pointers.finish(entry.record)

    async def _fetched(self, origin: Origin) -> Record | None:
        what = "A record that is due again can't be fetched"
        return await keep_trying(lambda: self.fetcher.fetch(origin), what, self.handler.time, origin=str(origin))

    async def _try_again(self, entry: Entry) -> BatchCompletion | None:
        found = await self._fetched(entry.pointer.origin)
        if found is None:
            return told(self.handler.job(entry.pointer.origin).completion("failed", error_code="expired"))
        found = dataclasses.replace(found, is_suspect=entry.record.is_suspect)
        return await self._completion(found, entry.pointer, lambda: self.pointers.holds(entry.record))

    async def _completion(
        self, record: Record, pointer: RetryPointer | None, is_held: Callable[[], bool]
    ) -> BatchCompletion | None:
        """Decode and deliver; return what came of it, which is `retrying` where a pointer is acknowledged.

        None where the record is another process's by now.
        """
        if not is_held():
            return None
        opened = await self.handler.opened(record)
        if isinstance(opened, BatchCompletion):
            return opened
        completion = await self._deliver(*opened, pointer, is_held)
        return completion and told(completion)

    async def _deliver(
        self, job: Job, batch: AudienceBatch, pointer: RetryPointer | None, is_held: Callable[[], bool]
    ) -> BatchCompletion | None:
        outcome = await self.handler.deliver(job, batch, is_held, self._history(pointer))
        if outcome.is_given_up:
            return None
        if outcome.postponed is None:
            return job.completed(outcome)
        await self._write_pointer(self._pointer(job, outcome, outcome.postponed, pointer))
        return job.progress(outcome.postponed.error, outcome)

    def _history(self, pointer: RetryPointer | None) -> History:
        if pointer is None:
            return History()
        age = (self.handler.clock() - pointer.first_attempt_at).total_seconds() - pointer.waited / 1000
        return History(attempts=pointer.attempt, age=max(0.0, age), progress=pointer.progress)

    def _pointer(
        self, job: Job, outcome: Outcome, postponed: PostponedError, before: RetryPointer | None
    ) -> RetryPointer:
        error = postponed.error
        return RetryPointer(
            origin=job.origin,
            attempt=outcome.attempts,
            not_before=self.handler.clock() + timedelta(seconds=postponed.seconds),
            first_attempt_at=before.first_attempt_at if before else job.started_at,
            first_failure=before.first_failure if before else error.code,
            first_platform_code=before.first_platform_code if before else error.platform_code,
            waited=(before.waited if before else 0) + int(outcome.excused * 1000),
            progress=outcome.progress(),
        )

    async def _write_pointer(self, pointer: RetryPointer) -> None:
        """Have a pointer acknowledged; one without progress, so that all users are sent again, if it is too large."""

        async def write() -> None:
            await sent_or_smallest(pointer.origin, self._send_pointer, pointer, _smallest)

        await keep_trying(
            write,
            "A pointer is not acknowledged",
            self.handler.time,
            self.handler.delivery.breaker,
            origin=str(pointer.origin),
        )

    async def _send_pointer(self, pointer: RetryPointer) -> None:
        named = msgspec.structs.replace(pointer, log_id=self.handler.log_id)
        value = await asyncio.to_thread(encode_retry_pointer, named, self.handler.framing)
        named_in_header = {LOG_ID: self.handler.log_id.encode()} if self.handler.log_id else {}
        await self.handler.writer.send(self.retry, str(pointer.origin), value, RETRY_HEADERS | named_in_header)


def _log_named(record: Record) -> str | None:
    """Return the id of the log that a pointer is into, by its header, which can be read where its value can't."""
    return record.headers.get(LOG_ID, b"").decode(errors="replace") or None


def _smallest(pointer: RetryPointer) -> RetryPointer:
    return msgspec.structs.replace(pointer, first_platform_code=None, progress=None)


def trial_of_pointers(framing: Framing) -> Trial:
    """Return what tries pointers: decoding and judging them."""
    return Trial(partial(_judged, framing=framing))


def _judged(record: Record, framing: Framing) -> str | None:
    return pointer_fault(decode_retry_pointer(record.value, framing))
