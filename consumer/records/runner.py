"""Take records over from the log, deliver them, report, and let their offsets be committed."""

import asyncio
import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from consumer.delivery.in_flight_limiter import OVERHEAD, InFlightLimiter
from consumer.delivery.outcome import Job, Outcome
from consumer.delivery.platform_outcome import PlatformOutcome
from consumer.ordering.standing import NEVER, Standing
from consumer.records.audience_order import Turn
from consumer.records.intake import Intake
from consumer.records.missed_removals import MISSED, MissedRemovals
from consumer.records.record_handler import Handler, told
from consumer.records.retry_pointers import Postponement, history_of, next_pointer
from consumer.records.retry_reader import RetryReader
from consumer.records.taken_record import TakenRecord
from consumer.removals.log_memory import place_of
from consumer.retries.resting import resting_by
from providers.kit.errors import platform_error
from providers.kit.pre_send_checks import pre_send_check
from schemas.records import AudienceBatch, BatchCompletion, RetryPointer
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One consumer group at work."""

    handler: Handler
    reader: GroupReader
    intake: Intake
    retries: RetryReader
    missed: MissedRemovals
    limiter: InFlightLimiter

    async def run(self) -> None:
        """Handle records until the readers are told to stop, then finish those that are under way.

        An error that is neither the platform's nor the provider's ends the run loudly.
        """
        async with asyncio.TaskGroup() as tasks:
            later = tasks.create_task(self.retries.run(self._handle))
            finding = tasks.create_task(self.missed.run())
            async for records in self.reader.batches():
                async for taken in self.intake.taken(records):
                    tasks.create_task(self._take_over(taken))
            self.intake.order.stop()
            await self.retries.pointers.stop_reading()
            await later
            finding.cancel()

    async def _take_over(self, taken: TakenRecord) -> None:
        """Handle a record of the log once it has its turn, and then a place: who waits for a turn needs none."""
        behind = await taken.turn.come() if taken.turn is not None else None
        if self.reader.is_stopping:
            return  # the next start meets it as it stands
        await self.limiter.take(taken.size)
        await self._handle(taken, behind)

    async def _handle(self, taken: TakenRecord, behind: int | None = None) -> None:
        """Handle a record that is taken over, from the log or by a pointer; `behind` a removal it is postponed.

        1. Decode it. 2. Deliver it to the platform. 3. Have its completion, or a pointer to a later attempt,
        acknowledged by Kafka. 4. Mark its offset finished; the reader commits the lowest contiguous one. 5. Let those
        of its audience go on that wait for it.
        """
        with taken.under_way.work(taken.partition):
            try:
                completion = await self.handler.contained(taken.origin, lambda: self._completion(taken, behind))
            finally:
                self.limiter.give_back(taken.size)
            if completion is not None:
                await self.handler.report(completion)  # without a place: the platform would be idle meanwhile
                await self._end(taken, is_over=completion.status != "retrying")

    async def _end(self, taken: TakenRecord, *, is_over: bool) -> None:
        """Finish a record that is through, or that a pointer stands for."""
        if is_over and self._is_open_removal(taken):
            await self.retries.open_removals.close(taken.origin)
        taken.finish()
        if taken.turn is not None:
            (taken.turn.ended if is_over else taken.turn.postponed)()

    def _is_open_removal(self, taken: TakenRecord) -> bool:
        """Tell whether a record is a removal that others may take for open: one that was postponed once."""
        if taken.pointer is not None:
            return taken.pointer.mode == "remove"
        if taken.turn is not None and taken.turn.verb == "add":
            return False
        return taken.origin.offset in self.retries.open_removals.of(taken.origin.partition)

    async def _completion(self, taken: TakenRecord, behind: int | None) -> BatchCompletion | None:
        """Decode and deliver; return what came of it, which is `retrying` where a pointer is acknowledged.

        None where the record is another process's by now.
        """
        record = await self._record(taken)
        if record is None:
            return told(self.handler.job(taken.origin).completion("failed", error_code="expired"))
        if not taken.is_held():
            return None
        if taken.is_quarantined:
            return told(self.handler.job(taken.origin).completion("failed", error_code="quarantined"))
        opened = await self.handler.opened(record)
        if isinstance(opened, BatchCompletion):
            return opened
        job, batch = opened
        if taken.pointer is not None:
            behind = self.retries.open_removals.before(self.handler.audience_of(batch) or "", taken.origin)
        if behind is not None:
            return await self._put_behind(job, batch, taken, behind)
        standing = _standing(taken, record, self.handler.log_id)
        if taken.pointer is not None and batch.mode == "remove":
            standing = await self._among_pointers(taken.pointer, standing)
        completion = await self._delivered(job, batch, taken, standing)
        return completion and told(completion)

    async def _among_pointers(self, pointer: RetryPointer, standing: Standing) -> Standing:
        """Return the standing of a removal that was postponed, and for which those behind it wait since it was met.

        One that an older version has ended unread is known to be open, too, but others have gone before it; and so they
        may where calls of another process, or of its own, may have come late.
        """
        if pointer.first_failure == MISSED or pointer.may_take_effect_until is not None:
            return standing
        await self.retries.open_removals.caught_up()
        known, origin = self.retries.open_removals, pointer.origin
        return dataclasses.replace(standing, is_awaited=lambda: origin.offset in known.of(origin.partition))

    async def _record(self, taken: TakenRecord) -> Record | None:
        """Return what was taken over, fetched where that was by a pointer; None where it has left the log."""
        if taken.pointer is None:  # tried before it was met
            return dataclasses.replace(taken.read, is_suspect=taken.read.is_suspect and taken.is_quarantined is None)
        found = await self.retries.fetched(taken.origin)
        if found is not None and (surplus := taken.size - len(found.value) - OVERHEAD) > 0:
            taken.size -= surplus  # of records that are due again many may go together, too
            self.limiter.shrink(surplus)
        return found and dataclasses.replace(found, is_suspect=taken.read.is_suspect)

    async def _put_behind(self, job: Job, batch: AudienceBatch, taken: TakenRecord, behind: int) -> BatchCompletion:
        """Have a pointer acknowledged for a record that waits for an earlier removal: that is no attempt."""
        history = history_of(taken.pointer, self.handler.clock())
        outcome = Outcome(
            received=len(batch.users),
            attempts=history.attempts,
            progress_before=history.progress,
            platform=PlatformOutcome.after(history.progress),
        )
        pending = platform_error("removal_pending")
        await self._point(job, batch, taken, outcome, Postponement(error=pending, waits_for=behind))
        return told(msgspec.structs.replace(job.progress(pending, outcome), waits_for=behind))

    async def _delivered(
        self, job: Job, batch: AudienceBatch, taken: TakenRecord, standing: Standing
    ) -> BatchCompletion | None:
        """Deliver, and have a pointer acknowledged where that is postponed."""
        outcome = await self._sent(job, batch, taken, standing)
        if outcome.is_given_up:
            return None
        if outcome.postponed is None:
            return job.completed(outcome)
        error = outcome.postponed.error
        await self._point(job, batch, taken, outcome, Postponement(error=error, seconds=outcome.postponed.seconds))
        return job.progress(error, outcome)

    async def _sent(self, job: Job, batch: AudienceBatch, taken: TakenRecord, standing: Standing) -> Outcome:
        """Deliver, and a removal again that calls of a dead process may have come after; then rest till all is over.

        What is told is what the first time did, if the second one passes as well.
        """
        turn = taken.turn
        users = [*batch.users] if turn is not None and turn.goes_again() else None
        outcome = await self._sent_once(job, batch, taken, standing)
        if users is not None and turn is not None and outcome.is_through:
            await self._rest(turn, taken)
            again = msgspec.structs.replace(batch, users=users)
            anew = dataclasses.replace(standing, is_suspect=True)  # which no receiver takes for the first one
            second = await self._sent_once(job, again, taken, anew)
            outcome = outcome if second.is_through else second
        if turn is not None and not outcome.is_given_up and outcome.postponed is None:
            await self._rest(turn, taken)
        return outcome

    async def _sent_once(self, job: Job, batch: AudienceBatch, taken: TakenRecord, standing: Standing) -> Outcome:
        history = history_of(taken.pointer, self.handler.clock())
        if taken.turn is not None:
            taken.turn.begun()
        with pre_send_check(taken.surely), pre_send_check(taken.begin), resting_by(partial(self._sleep, taken)):
            outcome = await self.handler.deliver(job, batch, taken.is_held, history, None, standing)
        taken.under_way.doubt(taken.partition, outcome.doubtful_until)
        if taken.turn is not None:
            taken.turn.cut(outcome.doubtful_until)
        return outcome

    async def _rest(self, turn: Turn, taken: TakenRecord) -> None:
        """Wait for what may take effect before a removal has ended."""
        left = rest.until - self.handler.time.clock() if (rest := turn.rest()) is not None else 0.0
        if left > 0:
            await self._sleep(taken, left)

    async def _sleep(self, taken: TakenRecord, seconds: float) -> None:
        """Wait while others have a record's place."""
        self.limiter.give_back(taken.size)
        try:
            await self.handler.time.sleep(seconds)
        finally:
            await self.limiter.take(taken.size)

    async def _point(
        self, job: Job, batch: AudienceBatch, taken: TakenRecord, outcome: Outcome, postponed: Postponement
    ) -> None:
        """Have a pointer acknowledged; of a removal all hear before that it is open.

        By a pointer it goes once: not before no call of a dead process can come after it.
        """
        if batch.mode == "remove":
            await self.retries.open_removals.open(taken.origin, self.handler.audience_of(batch) or "")
            least = taken.turn.seconds_of_dead() if taken.turn is not None else 0.0
            postponed = dataclasses.replace(postponed, seconds=max(postponed.seconds, least))
        until = self._time_of(max(taken.calls_until, outcome.doubtful_until))
        postponed = dataclasses.replace(postponed, may_take_effect_until=until)
        pointer = next_pointer(job, outcome, postponed, taken.pointer, self.handler.clock())
        await self.retries.writer.write(pointer)

    def _time_of(self, until: float) -> datetime | None:
        """Return the time of a moment of our clock, None for one that never was."""
        if until == NEVER:
            return None
        return self.handler.clock() + timedelta(seconds=until - self.handler.time.clock())


def _standing(taken: TakenRecord, record: Record, log_id: str | None) -> Standing:
    """Return where a record stands: late is one by a pointer, and one that a dead process may have had before."""
    is_suspect = taken.calls_until > NEVER
    is_late = is_suspect or taken.pointer is not None
    return Standing(
        place=place_of(record, log_id),
        is_late=is_late,
        is_suspect=is_suspect,
        has_turn=taken.turn is not None,
        calls_until=taken.calls_until,
    )
