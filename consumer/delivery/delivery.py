"""Bring the users of one record to one platform account."""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from consumer.delivery.adding_and_removing import Adding, Removing
from consumer.delivery.audiences import Audiences
from consumer.delivery.call_sharing.shared_calls import SharedCalls
from consumer.delivery.delivered_record import DeliveredRecord
from consumer.delivery.outcome import Outcome
from consumer.delivery.platform_calls import Calls, Sending
from consumer.delivery.platform_outcome import PlatformOutcome, Within
from consumer.delivery.record_rows import grouped, removal_groups, rows_in_turns
from consumer.delivery.rows_in_flight import RowsInFlight
from consumer.delivery.users_to_send import UsersToSend
from consumer.ordering.audience_key import audience_key
from consumer.ordering.removal_memory import Later
from consumer.ordering.standing import Standing
from consumer.removals.account_removals import AccountRemovals
from consumer.removals.late_record import RecordInOrder
from consumer.retries.account_gate import Gate
from consumer.retries.attempts import Attempts, History
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.kit.current_record import calls_for
from providers.kit.errors import PlatformError
from providers.kit.provider import AnyProvider, Removed
from providers.kit.rows.users_to_rows import Rows
from schemas.records import LIVE, AudienceBatch, AudienceUser, Span

log = structlog.get_logger()

FRESH = History()

NoticeOf = Callable[[PlatformError, Outcome], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Delivers records to one account. Several may be delivered at the same time."""

    provider: AnyProvider
    throttles: Throttles
    breaker: CircuitBreaker
    policy: RetryPolicy
    time: Time
    audiences: Audiences
    in_flight: RowsInFlight
    with_attributes: bool = True
    """Whether what membership does not need goes to the platform, too."""
    search_calls: int = 300
    """Calls of a record and try, unless it has more groups of rows: those that are refused are looked for in them."""

    removals: AccountRemovals | None = None
    """What is known of who was removed; without it nobody is."""
    called: str = LIVE
    """What completions call these deliveries."""
    shared: SharedCalls = field(init=False)

    def __post_init__(self) -> None:
        """Let the records of this account share calls."""
        self.shared = SharedCalls(
            provider=self.provider,
            audiences=self.audiences,
            gate=Gate(throttles=self.throttles, breaker=self.breaker),
            policy=self.policy,
            time=self.time,
            search_calls=self.search_calls,
        )

    async def close(self) -> None:
        """End the calls that records share."""
        await self.shared.close()

    async def deliver(
        self,
        batch: AudienceBatch,
        notice: NoticeOf,
        history: History = FRESH,
        is_wanted: Callable[[], bool] = lambda: True,
        only: Container[int] | None = None,
        standing: Standing | None = None,
    ) -> Outcome:
        """Deliver a batch, or of its users only those with these indexes in the request.

        Return what happened to each; the platform's errors are in there. Users that an earlier try settled by its
        `history` are counted and not sent again.

        1. Leave out whom later records decide about, if it is late. 2. Make rows, and wait until there is room for
        them; unusable users are rejected. The users are taken out of the batch, as nobody needs them beside their rows.
        3. Find the audience, or create it where people are added. 4. Send all groups of rows at once, as slots and pace
        allow; look for rows that the platform refuses. 5. Settle what calls may have undone of later records.
        `notice` is awaited when a call is to be tried again. Before each call `is_wanted` is asked whether the record
        is still ours; the outcome of one that is not says so.
        """
        record = self._record(batch, notice, history, is_wanted, standing)
        chosen = UsersToSend.of(batch, only)
        record.outcome.received = len(chosen)
        batch.users.clear()
        return await self._delivered(record, chosen)

    def _record(
        self,
        batch: AudienceBatch,
        notice: NoticeOf,
        history: History,
        is_wanted: Callable[[], bool],
        standing: Standing | None,
        identifiers: frozenset[bytes] | None = None,
    ) -> DeliveredRecord:
        outcome = Outcome(
            mode=batch.mode,
            span=Span(first=batch.first_index, count=len(batch.users)),
            progress_before=history.progress,
            platform=PlatformOutcome.after(history.progress),
        )
        attempts = Attempts(
            policy=self.policy,
            throttles=self.throttles,
            breaker=self.breaker,
            time=self.time,
            notice=lambda error: notice(error, outcome),
            context={"batch_id": batch.batch_id, "provider": self.provider.name},
            batch_id=batch.batch_id,
            history=history,
            is_wanted=is_wanted,
            longest_call=self.provider.settings.timeout,
        )
        name = self.provider.platform_name(batch.name, disable_prefix=batch.disable_prefix)
        audience, order = audience_key(self.provider, batch), None
        if standing is not None and self.removals is not None:
            order = RecordInOrder(
                removals=self.removals,
                audience=audience,
                mode=batch.mode,
                standing=standing,
                only=identifiers,
                has_begun=history.progress is not None,
            )
        head = msgspec.structs.replace(batch, users=[])
        return DeliveredRecord(
            batch=head, name=name, audience=audience, attempts=attempts, outcome=outcome, order=order
        )

    async def _delivered(self, record: DeliveredRecord, users: UsersToSend) -> Outcome:
        outcome, attempts = record.outcome, record.attempts
        with calls_for(record.as_current(self.removals, self.called)):
            fault = record.why_not_removable(self.provider, self.removals)
            if fault is not None:
                outcome.fail(fault)
            else:
                await self._send(record, users)
        outcome.attempts, outcome.excused = attempts.most, attempts.excused
        outcome.doubtful_until = attempts.doubtful_until
        outcome.is_sent = outcome.is_sent and attempts.has_called
        if record.order is not None and record.is_to_be_settled(self.called):
            await record.order.settle(outcome.doubtful_until, self._do_again)
        return outcome

    async def _send(self, record: DeliveredRecord, users: UsersToSend) -> None:
        """Make rows of whom a record is to send, and send them; those of a removal with what the log knows of them."""
        outcome, order, progress = record.outcome, record.order, record.attempts.history.progress
        others: list[AudienceUser] = []
        if order is not None:
            if record.batch.mode == "remove":
                await order.removals.enter(record.audience, order.standing.place)
            named, left = users, await order.left(users)
            if left.users is not users:
                users = UsersToSend.those(left.users)
            is_open = Within(progress.open) if progress else None
            outcome.superseded = sum(1 for index in left.superseded if is_open is None or index in is_open)
            if record.batch.mode == "remove":
                others, outcome.other_identifiers_unknown = await order.others(named)
        rows = rows_in_turns(
            self.provider, users.taken_out(), record.batch.mode, progress, with_attributes=self.with_attributes
        )
        async with self.in_flight.held(rows, len(users)) as made:
            outcome.repaired, outcome.dropped = made.repaired, made.dropped
            for index, rejection in made.rejected:
                outcome.reject(index, rejection)
            call = self._call(record)
            if others and not await self._send_others(record, call, others):
                return
            if made.rows:
                await self._send_all(record, call, made)

    def _call(self, record: DeliveredRecord) -> Adding | Removing:
        """Return what a record does with its rows."""
        batch, order = record.batch, record.order
        if batch.mode == "add" or order is None:
            return Adding(
                provider=self.provider,
                audiences=self.audiences,
                name=record.name,
                type=batch.type,
                attempts=record.attempts,
                outcome=record.outcome,
                place=order.standing.place if order is not None else None,
                shared=self.shared if record.may_share_calls else None,
            )
        return Removing(
            provider=self.provider,
            audiences=self.audiences,
            name=record.name,
            type=batch.type,
            attempts=record.attempts,
            outcome=record.outcome,
            time=self.time,
            is_free=lambda: order.removals.is_free(record.audience, order.standing.place),
        )

    async def _send_all(self, record: DeliveredRecord, call: Adding | Removing, made: Rows) -> None:
        """Send rows, and see to what is left of searches at the end: 1. all at once, 2. their ends together."""
        outcome, progress = record.outcome, record.attempts.history.progress
        groups = grouped(made, record.limits(self.provider))
        made.rows.clear()
        del made.indexes[:]
        sending = Sending(
            call=call,
            outcome=outcome,
            attempts=record.attempts,
            calls=Calls(max(0, self.search_calls - len(groups))),
            is_whole=outcome.received == outcome.span.count,
            step=progress.step if progress else 0,
        )
        await sending.send_all(groups)

    async def _send_others(
        self, record: DeliveredRecord, call: Adding | Removing, others: Sequence[AudienceUser]
    ) -> bool:
        """Take people out by identifiers that the removal does not name; False where that is to be tried again.

        They are no users of the record, so they are not counted as such: only who left is.
        """
        aside = Outcome(mode="remove")
        groups = await removal_groups(self.provider, others, record.limits(self.provider))
        sending = Sending(
            call=call, outcome=aside, attempts=record.attempts, calls=Calls(self.search_calls), is_whole=False
        )
        await sending.send_all(groups)
        outcome = record.outcome
        outcome.platform.note_removed(Removed(removed=aside.platform.removed))
        outcome.is_given_up = aside.is_given_up
        if aside.error is not None:
            outcome.fail(aside.error)
        if aside.postponed is not None:
            outcome.postpone(aside.postponed)
        return aside.error is None and aside.postponed is None and not aside.is_given_up

    async def _do_again(self, later: Later, identifiers: frozenset[bytes]) -> None:
        """Do a later record again for some identifiers, however long that takes; its completion was written before."""
        assert self.removals is not None  # noqa: S101 -- who settles has removals
        found = await self.removals.fetched(later.partition, later.offset)
        if found is None:
            return
        batch, place = found
        standing, history, begun = Standing(place=place, is_late=True), FRESH, self.time.clock()
        while True:
            record = self._record(batch, _without_notice, history, lambda: True, standing, identifiers)
            people = UsersToSend.of(batch)
            record.outcome.received = len(people)
            outcome = await self._delivered(record, people)
            if outcome.postponed is None:
                break
            await self.time.sleep(outcome.postponed.seconds)
            history = History(attempts=outcome.attempts, age=self.time.clock() - begun, progress=outcome.progress())
        facts = {"provider": self.provider.name, "origin": f"{place.partition}@{place.offset}", "verb": batch.mode}
        if outcome.error is not None:
            log.error("A later record could not be done again for some.", error=outcome.error.code, **facts)
        else:
            log.info("A later record was done again for some.", identifiers=len(identifiers), **facts)


async def _without_notice(error: PlatformError, outcome: Outcome) -> None:
    """Say nothing: the record has a completion."""
    del error, outcome
