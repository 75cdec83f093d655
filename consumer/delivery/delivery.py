"""Bring the users of one record to one platform account."""

import asyncio
import uuid
from array import array
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from consumer.delivery.adding_and_removing import Adding, Removing
from consumer.delivery.audiences import Audiences
from consumer.delivery.outcome import Outcome
from consumer.delivery.people import People
from consumer.delivery.platform_calls import Calls, Sending
from consumer.delivery.platform_outcome import PlatformOutcome, Within
from consumer.delivery.rows_in_flight import RowsInFlight
from consumer.delivery.shared_calls import SharedCalls
from consumer.ordering.audience_key import audience_key
from consumer.ordering.removal_memory import Later
from consumer.ordering.standing import NEVER, Standing
from consumer.removals.account_removals import AccountRemovals
from consumer.removals.late_record import Numbered, RecordInOrder
from consumer.retries.attempts import Attempts, History
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.gate import Gate
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.kit.call_limits import Limits
from providers.kit.current_record import CurrentRecord, calls_for
from providers.kit.errors import PlatformError, platform_error
from providers.kit.provider import AnyProvider, Removed
from providers.kit.rows.rows_per_call import RowGroup, group_rows
from providers.kit.rows.users_to_rows import Rows, make_removal_rows, make_rows
from schemas.records import LIVE, AudienceBatch, AudienceUser, Origin, Progress, Span

log = structlog.get_logger()

FRESH = History()

NoticeOf = Callable[[PlatformError, Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One record that is delivered, without its users."""

    batch: AudienceBatch
    name: str
    """What the platform calls its audience."""
    audience: str
    """What the audience is known by: see `audience_key`."""
    attempts: Attempts
    outcome: Outcome
    order: RecordInOrder | None


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One account's way to its platform. Records may be delivered at the same time."""

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
        chosen = People.of(batch, only)
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
    ) -> _Record:
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
        return _Record(batch=head, name=name, audience=audience, attempts=attempts, outcome=outcome, order=order)

    async def _delivered(self, record: _Record, users: People) -> Outcome:
        outcome, attempts = record.outcome, record.attempts
        with calls_for(self._current(record)):
            fault = self._cannot_remove(record) if record.batch.mode == "remove" else None
            if fault is not None:
                outcome.fail(fault)
            else:
                await self._send(record, users)
        outcome.attempts, outcome.excused = attempts.most, attempts.excused
        outcome.doubtful_until = attempts.doubtful_until
        outcome.is_sent = outcome.is_sent and attempts.has_called
        if record.order is not None and self._is_to_be_settled(record.order.standing, outcome):
            await record.order.settle(outcome.doubtful_until, self._do_again)
        return outcome

    def _is_to_be_settled(self, standing: Standing, outcome: Outcome) -> bool:
        """Tell whether calls may have undone what later records did, and nobody else will see to that.

        Who comes with the pointer of a record that is tried again later settles it then; a replay has no pointers.
        """
        if outcome.is_given_up:
            return outcome.is_sent
        if outcome.postponed is not None and (self.called == LIVE or outcome.postponed.is_patient):
            return False
        has_called = outcome.is_sent or outcome.progress_before is not None
        return standing.is_late and (has_called or standing.is_suspect or standing.calls_until > NEVER)

    def _cannot_remove(self, record: _Record) -> PlatformError | None:
        """Return why nobody can be removed at all."""
        if self.provider.removal is None:
            return platform_error("cannot_remove")
        if self.removals is None or self.removals.keys is None or record.order is None:
            return platform_error("no_hash_keys")
        return None

    def _current(self, record: _Record) -> CurrentRecord:
        """Return what the provider may know of a record; one that is sent once more on purpose has an id of its own."""
        order, removals = record.order, self.removals
        if order is None or removals is None:
            return CurrentRecord(id="")
        place, standing = order.standing.place, order.standing
        origin = Origin(topic=removals.memory.topic, partition=place.partition, offset=place.offset)
        again = f" {uuid.uuid4().hex}" if standing.is_suspect or order.only is not None else ""
        return CurrentRecord(
            id=f"{removals.log_id or ''} {origin} {self.called}{again}",
            job_taken=lambda job_id: removals.job_taken(job_id, record.audience, origin),
            job_ended=removals.job_ended,
        )

    async def _send(self, record: _Record, users: People) -> None:
        """Make rows of whom a record is to send, and send them; those of a removal with what the log knows of them."""
        outcome, order, progress = record.outcome, record.order, record.attempts.history.progress
        others: list[AudienceUser] = []
        if order is not None:
            if record.batch.mode == "remove":
                await order.removals.enter(record.audience, order.standing.place)
            named, left = users, await order.left(users)
            if left.users is not users:
                users = People.those(left.users)
            is_open = Within(progress.open) if progress else None
            outcome.superseded = sum(1 for index in left.superseded if is_open is None or index in is_open)
            if record.batch.mode == "remove":
                others, outcome.other_identifiers_unknown = await order.others(named)
        async with self.in_flight.held(self._rows(record, users.taken_out()), len(users)) as made:
            outcome.repaired, outcome.dropped = made.repaired, made.dropped
            for index, rejection in made.rejected:
                outcome.reject(index, rejection)
            call = self._call(record)
            if others and not await self._send_others(record, call, others):
                return
            if made.rows:
                await self._send_all(record, call, made)

    def _rows(self, record: _Record, users: Iterable[Numbered]) -> Iterator[Rows]:
        """Make rows in turns, the last of which has those of users that no earlier try settled."""
        made = Rows()
        if record.batch.mode == "remove":
            turns = make_removal_rows(self.provider, users)
        else:
            turns = make_rows(self.provider, users, with_attributes=self.with_attributes)
        for made in turns:
            yield made
        yield _still_open(made, record.attempts.history.progress)

    def _call(self, record: _Record) -> Adding | Removing:
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
                shared=self.shared if order is None or _is_plain(order) else None,
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

    async def _send_all(self, record: _Record, call: Adding | Removing, made: Rows) -> None:
        """Send rows, and see to what is left of searches at the end: 1. all at once, 2. their ends together."""
        outcome, progress = record.outcome, record.attempts.history.progress
        groups = _out_of_sight(group_rows(made, self._limits(record)))
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

    async def _send_others(self, record: _Record, call: Adding | Removing, others: Sequence[AudienceUser]) -> bool:
        """Take people out by identifiers that the removal does not name; False where that is to be tried again.

        They are no users of the record, so they are not counted as such: only who left is.
        """
        aside, turns = Outcome(mode="remove"), [Rows()]
        for made in make_removal_rows(self.provider, enumerate(others)):
            turns[0] = made
            await asyncio.sleep(0)
        groups = _out_of_sight(group_rows(turns[0], self._limits(record)))
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

    def _limits(self, record: _Record) -> Limits:
        return self.provider.removal_limits if record.batch.mode == "remove" else self.provider.limits

    async def _do_again(self, later: Later, identifiers: frozenset[bytes]) -> None:
        """Do a later record again for some identifiers, however long that takes; its completion was written before."""
        assert self.removals is not None  # noqa: S101 -- who settles has removals
        found = await self.removals.fetched(later.partition, later.offset)
        if found is None:
            return
        batch, place = found
        standing, history, begun = Standing(place=place, is_late=True), FRESH, self.time.clock()
        while True:
            record = self._record(batch, _not_told, history, lambda: True, standing, identifiers)
            people = People.of(batch)
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


async def _not_told(error: PlatformError, outcome: Outcome) -> None:
    """Say nothing: the record has a completion."""
    del error, outcome


def _is_plain(order: RecordInOrder) -> bool:
    """Tell whether a record may share calls: not one that is done once more, for some of its users.

    One that a process may have died of may: it was tried in a child process, and there may be thousands of them.
    """
    return order.only is None


def _out_of_sight(groups: Iterable[RowGroup]) -> list[RowGroup]:
    """Return groups with their rows in tuples, of which the collector of cycles forgets those that hold bytes alone.

    It goes through lists of tens of thousands again and again, and holds the event loop up meanwhile.
    """
    return [RowGroup(tuple(group.rows), group.indexes) for group in groups]


def _still_open(made: Rows, progress: Progress | None) -> Rows:
    """Return what was made of users that no earlier try settled."""
    if progress is None:
        return made
    within = Within(progress.open)
    kept = [place for place, index in enumerate(made.indexes) if index in within]
    return replace(
        made,
        rows=[made.rows[place] for place in kept],
        indexes=array("q", [made.indexes[place] for place in kept]),
        rejected=[(index, rejection) for index, rejection in made.rejected if index in within],
    )
