"""Read a group's pointers to later attempts, and take their records over as they fall due."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from consumer.delivery.in_flight_limiter import InFlightLimiter
from consumer.ordering.standing import NEVER
from consumer.records.open_removals import OpenRemovals
from consumer.records.partition_activity import PartitionActivity
from consumer.records.record_handler import Handler, logged
from consumer.records.retry_pointers import RetryPointerWriter, log_named, waited_on
from consumer.records.retry_schedule import Entry, Schedule
from consumer.records.taken_record import TakenRecord
from consumer.retries.kafka_retries import keep_trying
from schemas.avro.codec import decode_retry_pointer
from schemas.avro.framing import UndecodableError
from schemas.records import Origin, RetryPointer, is_of_log, parse_origin
from schemas.validity import pointer_fault
from streams.containment.quarantine import Trial
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.read.record_fetcher import RecordFetcher

log = structlog.get_logger()

FETCHED = 1_000_000
"""Bytes that a place is taken for before a record is fetched: what brokers take by default."""

MOST_AHEAD = 600.0
"""Seconds for which a pointer is kept in memory; one that is due later is written to the end of its topic again."""

LOOK_AGAIN = 1.0
"""Seconds between looks at whether the removal has ended that a record waits for."""

Handle = Callable[[TakenRecord], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryReader:
    """Reads the retry topic of a group, as a group of its own."""

    handler: Handler
    pointers: GroupReader
    writer: RetryPointerWriter
    fetcher: RecordFetcher
    log_topic: str
    limiter: InFlightLimiter
    activity: PartitionActivity
    open_removals: OpenRemovals
    trial: Trial
    """Tries pointers that may end our process."""
    schedule: Schedule = field(default_factory=Schedule)

    async def run(self, handle: Handle) -> None:
        """Let each record be handled when its pointer is due; those that are not when reading stops stay there."""
        schedule, added = self.schedule, asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(schedule, added, tasks, handle))
            async for records in self.pointers.batches():
                for record in records:
                    await self._note(schedule, record, tasks)
                added.set()
            following.cancel()

    async def fetched(self, origin: Origin) -> Record | None:
        """Return a record of the log, None where it has left that; however long Kafka takes."""
        what = "A record that is due again can't be fetched"
        return await keep_trying(lambda: self.fetcher.fetch(origin), what, self.handler.time, origin=str(origin))

    async def _note(self, schedule: Schedule, record: Record, tasks: asyncio.TaskGroup) -> None:
        if record.is_suspect and await self.trial.ends_process(record):
            tasks.create_task(self._end_without_pointer(record, "it ends the process that reads it", "quarantined"))
            return
        try:
            pointer = await self.handler.decoded(lambda: decode_retry_pointer(record.value, self.handler.framing))
        except UndecodableError as error:
            tasks.create_task(self._end_without_pointer(record, str(error), "undecodable"))
            return
        fault = pointer_fault(pointer, record.timestamp or self.handler.clock())
        if fault or pointer.origin.topic != self.log_topic:
            because = fault or "origin: expected one of the log"
            tasks.create_task(self._end_without_pointer(record, because, "undecodable"))
            return
        if not is_of_log(pointer.log_id, self.handler.log_id):
            self._forget(record, pointer.origin)
            return
        due_in, now = max(0.0, self._seconds_to(pointer.not_before)), self.handler.time.clock()
        seen_to = now + min(due_in, MOST_AHEAD)
        schedule.add(
            seen_to,
            record,
            pointer,
            is_put_off=due_in > MOST_AHEAD,
            since=now,
            calls_until=self._calls_until(record, pointer),
        )

    def _seconds_to(self, time: datetime) -> float:
        return (time - self.handler.clock()).total_seconds()

    def _calls_until(self, record: Record, pointer: RetryPointer) -> float:
        """Return until when calls of earlier tries may take effect, by our clock; NEVER where none can be."""
        now, assignment, until = self.handler.time.clock(), record.assignment, NEVER
        if pointer.may_take_effect_until is not None:
            until = now + self._seconds_to(pointer.may_take_effect_until)
        if assignment is not None and not assignment.is_clean and record.origin.offset < assignment.end:
            until = max(until, now + self.activity.longest_call)
        return until

    def _forget(self, record: Record, origin: Origin) -> None:
        """Leave out a pointer into a log that was made anew since: another record may stand there now."""
        log.warning("A pointer is of a log that was made anew since and is ignored.", origin=str(origin))
        self.pointers.finish(record)

    async def _end_without_pointer(self, record: Record, because: str, code: str) -> None:
        """End the record of a pointer that can't be read: its key tells which one, and nobody would try it again."""
        origin = parse_origin((record.key or b"").decode(errors="replace"))
        if origin is not None and not is_of_log(log_named(record), self.handler.log_id):
            self._forget(record, origin)
            return
        if origin is None or origin.topic != self.log_topic or await self.fetched(origin) is None:
            log.error("A pointer names no record and is ignored.", origin=str(record.origin), because=because)
        elif self.pointers.holds(record):
            completion = self.handler.job(origin).completion("failed", error_code=code)
            await self.handler.report(logged(completion, because=f"its pointer {record.origin}: {because}"))
            await self.open_removals.close(origin)  # it may be one: nobody can tell any more
        self.pointers.finish(record)

    async def _follow(self, schedule: Schedule, added: asyncio.Event, tasks: asyncio.TaskGroup, handle: Handle) -> None:
        """See to each pointer at its time, as far as there are places."""
        while True:
            added.clear()
            at = schedule.next_at()
            is_time = at is not None and await self._sleep(at - self.handler.time.clock(), added)
            if not is_time:
                await added.wait()
                continue
            entry = schedule.take()
            if self._waits(entry):
                self._look_later(schedule, entry)
            elif self.pointers.holds(entry.record):
                await self.limiter.take(FETCHED)
                tasks.create_task(self._put_off(entry) if entry.is_put_off else self._attempt(entry, handle))

    async def _attempt(self, entry: Entry, handle: Handle) -> None:
        with self.schedule.in_attempt(entry):
            await handle(self._taken(entry))

    def _waits(self, entry: Entry) -> bool:
        """Tell whether a record that is due still waits for the removal that its pointer names."""
        pointer = entry.pointer
        if pointer.waits_for is None or entry.is_put_off or not self.pointers.holds(entry.record):
            return False
        return pointer.waits_for in self.open_removals.of(pointer.origin.partition)

    def _look_later(self, schedule: Schedule, entry: Entry) -> None:
        """Look again soon; a pointer that has waited long is written anew, so that those behind it can be committed."""
        now = self.handler.time.clock()
        schedule.add(
            now + LOOK_AGAIN,
            entry.record,
            entry.pointer,
            is_put_off=now - entry.since > MOST_AHEAD,
            since=entry.since,
            calls_until=entry.calls_until,
        )

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

    def _taken(self, entry: Entry) -> TakenRecord:
        return TakenRecord(
            origin=entry.pointer.origin,
            size=FETCHED,
            reader=self.pointers,
            read=entry.record,
            activity=self.activity,
            pointer=waited_on(entry.pointer, self.handler.clock()),
            calls_until=entry.calls_until,
        )

    async def _put_off(self, entry: Entry) -> None:
        """Write a pointer that is due much later, or still waits, to the end of its topic again. Its place is taken."""
        pointer = waited_on(entry.pointer, self.handler.clock())
        if (left := entry.calls_until - self.handler.time.clock()) > 0:
            until = self.handler.clock() + timedelta(seconds=left)
            pointer = msgspec.structs.replace(pointer, may_take_effect_until=until)
        try:
            await self.writer.write(pointer)
        finally:
            self.limiter.give_back(FETCHED)
        self.pointers.finish(entry.record)
