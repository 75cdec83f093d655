"""The way of a record through the consumer: taken over, decoded, delivered, reported, finished."""

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
from consumer.records.record_handler import Handler, logged
from consumer.records.retry_pointers import Postponement, history_of, next_pointer
from consumer.records.retry_reader import RetryReader
from consumer.records.taken_record import TakenRecord
from consumer.removals.log_memory import place_of
from consumer.retries.wait_without_slot import resting_by
from providers.kit.errors import platform_error
from providers.kit.pre_send_checks import pre_send_check
from schemas.records import AudienceBatch, BatchCompletion
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedRecord:
    """A record that is taken over and can be delivered."""

    taken: TakenRecord
    read: Record
    """The record itself, be it taken over by a pointer or not."""
    job: Job
    batch: AudienceBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One consumer group at work. Each record goes through the stages of `_take_over` and `_handle`, in this order."""

    handler: Handler
    reader: GroupReader
    intake: Intake
    retries: RetryReader
    missed: MissedRemovals
    limiter: InFlightLimiter

    async def run(self) -> None:
        """Handle records until the readers are logged to stop, then finish those that are under way.

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
        """Handle a record that is taken over, from the log or by a pointer; `behind` names a removal that goes first.

        1. Decode it. 2. Deliver it to the platform. 3. Have its completion, or a pointer to a later attempt,
        acknowledged by Kafka. 4. Mark its offset finished; the reader commits the lowest contiguous one. 5. Let those
        of its audience go on that wait for it.
        """
        with taken.activity.work(taken.partition):
            try:
                completion = await self.handler.contained(taken.origin, lambda: self._completion(taken, behind))
            finally:
                self.limiter.give_back(taken.size)
            if completion is not None:
                await self.handler.report(completion)  # without a place: the platform would be idle meanwhile
                await self._finish(taken, is_over=completion.status != "retrying")

    async def _completion(self, taken: TakenRecord, behind: int | None) -> BatchCompletion | None:
        """Decode and deliver; return what came of it, which is `retrying` where a pointer is acknowledged.

        None where the record is another process's by now.
        """
        decoded = await self._decoded(taken)
        if not isinstance(decoded, DecodedRecord):
            return decoded
        removal = self._earlier_removal(decoded, behind)
        if removal is not None:
            return logged(await self._put_behind(decoded, removal))
        completion = await self._delivered(decoded, await self._standing(decoded))
        return completion and logged(completion)

    async def _finish(self, taken: TakenRecord, *, is_over: bool) -> None:
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

    async def _decoded(self, taken: TakenRecord) -> DecodedRecord | BatchCompletion | None:
        """Return what is to be delivered, or how the record ends without that; None where it is not ours any more."""
        record = await self._read(taken)
        if record is None:
            return logged(self.handler.job(taken.origin).completion("failed", error_code="expired"))
        if not taken.is_held():
            return None
        if taken.is_quarantined:
            return logged(self.handler.job(taken.origin).completion("failed", error_code="quarantined"))
        opened = await self.handler.opened(record)
        if isinstance(opened, BatchCompletion):
            return opened
        job, batch = opened
        return DecodedRecord(taken=taken, read=record, job=job, batch=batch)

    async def _read(self, taken: TakenRecord) -> Record | None:
        """Return the record itself, fetched where it was taken over by a pointer; None where it has left the log."""
        if taken.pointer is None:  # tried before it was met
            return dataclasses.replace(taken.read, is_suspect=taken.read.is_suspect and taken.is_quarantined is None)
        found = await self.retries.fetched(taken.origin)
        if found is not None and (surplus := taken.size - len(found.value) - OVERHEAD) > 0:
            taken.size -= surplus  # of records that are due again many may go together, too
            self.limiter.shrink(surplus)
        return found and dataclasses.replace(found, is_suspect=taken.read.is_suspect)

    def _earlier_removal(self, decoded: DecodedRecord, behind: int | None) -> int | None:
        """Return the offset of the removal that goes before a record, None where it may go.

        Whoever waited for a turn was told by that; one that comes by a pointer has none.
        """
        if decoded.taken.pointer is None:
            return behind
        audience = self.handler.audience_of(decoded.batch) or ""
        return self.retries.open_removals.before(audience, decoded.taken.origin)

    async def _put_behind(self, decoded: DecodedRecord, removal: int) -> BatchCompletion:
        """Have a pointer acknowledged for a record that waits for an earlier removal: that is no attempt."""
        history = history_of(decoded.taken.pointer, self.handler.clock())
        outcome = Outcome(
            received=len(decoded.batch.users),
            attempts=history.attempts,
            progress_before=history.progress,
            platform=PlatformOutcome.after(history.progress),
        )
        pending = platform_error("removal_pending")
        await self._point(decoded, outcome, Postponement(error=pending, waits_for=removal))
        return msgspec.structs.replace(decoded.job.progress(pending, outcome), waits_for=removal)

    async def _standing(self, decoded: DecodedRecord) -> Standing:
        """Return where a record stands; it is late if it comes by a pointer, or if a process that died may have had it.

        A removal that was postponed is no later than those behind it: they wait for it since it was met. That does not
        hold for one that an older version has ended unread, as others have gone before it, nor where calls of another
        process, or of its own, may have come late.
        """
        taken = decoded.taken
        is_suspect = taken.calls_until > NEVER
        standing = Standing(
            place=place_of(decoded.read, self.handler.log_id),
            is_late=is_suspect or taken.pointer is not None,
            is_suspect=is_suspect,
            has_turn=taken.turn is not None,
            calls_until=taken.calls_until,
        )
        pointer = taken.pointer
        if pointer is None or decoded.batch.mode != "remove":
            return standing
        if pointer.first_failure == MISSED or pointer.may_take_effect_until is not None:
            return standing
        known, origin = self.retries.open_removals, pointer.origin
        await known.caught_up()
        return dataclasses.replace(standing, is_awaited=lambda: origin.offset in known.of(origin.partition))

    async def _delivered(self, decoded: DecodedRecord, standing: Standing) -> BatchCompletion | None:
        """Deliver, and have a pointer acknowledged where that is postponed."""
        outcome = await self._sent(decoded, standing)
        if outcome.is_given_up:
            return None
        if outcome.postponed is None:
            return decoded.job.completed(outcome)
        error = outcome.postponed.error
        await self._point(decoded, outcome, Postponement(error=error, seconds=outcome.postponed.seconds))
        return decoded.job.progress(error, outcome)

    async def _sent(self, decoded: DecodedRecord, standing: Standing) -> Outcome:
        """Send a record, and wait until no call can take effect that would undo it.

        Calls of a process that died may still take effect after a removal has gone. Then it waits for as long as they
        may, and sends the same removal a second time. The outcome is that of the first time where both passed, else
        that of the second.
        """
        turn = decoded.taken.turn
        users = [*decoded.batch.users] if turn is not None and turn.goes_again() else None  # sending takes them out
        outcome = await self._sent_once(decoded, standing)
        if users is not None and turn is not None and outcome.is_through:
            await self._rest(turn, decoded.taken)
            again = dataclasses.replace(decoded, batch=msgspec.structs.replace(decoded.batch, users=users))
            anew = dataclasses.replace(standing, is_suspect=True)  # which no receiver takes for the first one
            second = await self._sent_once(again, anew)
            outcome = outcome if second.is_through else second
        if turn is not None and not outcome.is_given_up and outcome.postponed is None:
            await self._rest(turn, decoded.taken)
        return outcome

    async def _sent_once(self, decoded: DecodedRecord, standing: Standing) -> Outcome:
        """Send a record once, and note until when its calls may take effect that ended without an answer."""
        taken = decoded.taken
        history = history_of(taken.pointer, self.handler.clock())
        if taken.turn is not None:
            taken.turn.begun()
        with pre_send_check(taken.surely), pre_send_check(taken.begin), resting_by(partial(self._sleep, taken)):
            outcome = await self.handler.deliver(decoded.job, decoded.batch, taken.is_held, history, None, standing)
        taken.activity.doubt(taken.partition, outcome.doubtful_until)
        if taken.turn is not None:
            taken.turn.cut(outcome.doubtful_until)
        return outcome

    async def _rest(self, turn: Turn, taken: TakenRecord) -> None:
        """Wait until no call can take effect that may undo a removal: it has not ended before."""
        left = rest.until - self.handler.time.clock() if (rest := turn.rest()) is not None else 0.0
        if left > 0:
            await self._sleep(taken, left)

    async def _sleep(self, taken: TakenRecord, seconds: float) -> None:
        """Wait, and let others have the record's place meanwhile."""
        self.limiter.give_back(taken.size)
        try:
            await self.handler.time.sleep(seconds)
        finally:
            await self.limiter.take(taken.size)

    async def _point(self, decoded: DecodedRecord, outcome: Outcome, postponed: Postponement) -> None:
        """Have a pointer to a later attempt acknowledged; of a removal all processes know before that it is open.

        A removal by a pointer is sent once only: so it is not due before no call of a process that died can come after.
        """
        taken, batch = decoded.taken, decoded.batch
        if batch.mode == "remove":
            await self.retries.open_removals.open(taken.origin, self.handler.audience_of(batch) or "")
            least = taken.turn.seconds_of_dead() if taken.turn is not None else 0.0
            postponed = dataclasses.replace(postponed, seconds=max(postponed.seconds, least))
        until = self._time_of(max(taken.calls_until, outcome.doubtful_until))
        postponed = dataclasses.replace(postponed, may_take_effect_until=until)
        pointer = next_pointer(decoded.job, outcome, postponed, taken.pointer, self.handler.clock())
        await self.retries.writer.write(pointer)

    def _time_of(self, until: float) -> datetime | None:
        """Return the time of a moment of our clock, None for one that never was."""
        if until == NEVER:
            return None
        return self.handler.clock() + timedelta(seconds=until - self.handler.time.clock())
