"""Bring the users of one record to one platform account."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace

from consumer.delivery.audiences import Audiences
from consumer.delivery.outcome import Outcome
from consumer.delivery.platform_calls import Calls, RowsRefusedError, Sending
from consumer.delivery.platform_outcome import PlatformOutcome, Within
from consumer.delivery.rows_in_flight import RowsInFlight
from consumer.ordering.standing import Standing
from consumer.retries.attempts import Attempts, History
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.kit.errors import AudienceGoneError, PlatformError, RejectError
from providers.kit.provider import AnyProvider, Sent
from providers.kit.rows.row_groups import RowGroup, Rows, group_rows, make_removal_rows, make_rows
from schemas.records import AudienceBatch, AudienceUser, Progress, Span

FRESH = History()

NoticeOf = Callable[[PlatformError, Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
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

        1. Make rows, and wait until there is room for them; unusable users are rejected. The users are taken out of
        the batch, as nobody needs them beside their rows. 2. Find or create the audience. 3. Send all groups of rows at
        once, as slots and pace allow; look for rows that the platform refuses.
        `notice` is awaited when a call is to be tried again. Before each call `is_wanted` is asked whether the record
        is still ours; the outcome of one that is not says so.
        """
        del standing
        numbered = enumerate(batch.users, start=batch.first_index)
        chosen = deque((index, user) for index, user in numbered if only is None or index in only)
        outcome = Outcome(
            received=len(chosen),
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
        batch.users.clear()
        async with self.in_flight.held(self._rows(batch, _taken_out(chosen), history.progress)) as made:
            outcome.repaired, outcome.dropped = made.repaired, made.dropped
            for index, rejection in made.rejected:
                outcome.reject(index, rejection)
            if made.rows:
                name = self.provider.platform_name(batch.name, disable_prefix=batch.disable_prefix)
                await self._send_all(batch, name, made, attempts, outcome)
        outcome.attempts, outcome.excused = attempts.most, attempts.excused
        outcome.doubtful_until = attempts.doubtful_until
        return outcome

    def _rows(
        self, batch: AudienceBatch, users: Iterable[tuple[int, AudienceUser]], progress: Progress | None
    ) -> Iterator[Rows]:
        """Make rows in turns, the last of which has those of users that no earlier try settled."""
        made = Rows()
        if batch.mode == "remove":
            making = make_removal_rows(self.provider, users)
        else:
            making = make_rows(self.provider, users, with_attributes=self.with_attributes)
        for made in making:
            yield made
        yield _still_open(made, progress)

    async def _send_all(
        self, batch: AudienceBatch, name: str, made: Rows, attempts: Attempts, outcome: Outcome
    ) -> None:
        """Send rows, and see to what is left of searches at the end: 1. all at once, 2. their ends together."""
        groups = _out_of_sight(group_rows(made, self.provider.limits))
        made.rows.clear()
        made.indexes.clear()
        progress = attempts.history.progress
        sending = Sending(
            call=_Calling(self, batch, name, attempts, outcome),
            outcome=outcome,
            attempts=attempts,
            calls=Calls(max(0, self.search_calls - len(groups))),
            is_whole=outcome.received == outcome.span.count,
            step=progress.step if progress else 0,
        )
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(sending.send(group))
        sending.conclude()


def _taken_out(users: deque[tuple[int, AudienceUser]]) -> Iterator[tuple[int, AudienceUser]]:
    while users:
        yield users.popleft()


def _out_of_sight(groups: Iterable[RowGroup]) -> list[RowGroup]:
    """Return groups in tuples, of which the collector of cycles forgets those that hold bytes or numbers alone.

    It goes through lists of tens of thousands again and again, and holds the event loop up meanwhile.
    """
    return [RowGroup(tuple(group.rows), tuple(group.indexes)) for group in groups]


def _still_open(made: Rows, progress: Progress | None) -> Rows:
    """Return what was made of users that no earlier try settled."""
    if progress is None:
        return made
    within = Within(progress.open)
    kept = [place for place, index in enumerate(made.indexes) if index in within]
    return replace(
        made,
        rows=[made.rows[place] for place in kept],
        indexes=[made.indexes[place] for place in kept],
        rejected=[(index, rejection) for index, rejection in made.rejected if index in within],
    )


@dataclass(frozen=True, slots=True)
class _Calling:
    """Sends rows of one record to its audience."""

    delivery: Delivery
    batch: AudienceBatch
    name: str
    attempts: Attempts
    outcome: Outcome

    async def __call__(self, rows: RowGroup) -> Sent:
        """Send rows, and again until that passes or never will. Raises what Attempts do; RowsRefusedError."""
        return await self.attempts.run(lambda: self._once(rows))

    async def _once(self, rows: RowGroup) -> Sent:
        if self.batch.mode == "remove":
            found = await self.delivery.provider.find_audience(self.name)
            return Sent() if found is None else await self.delivery.provider.remove(found, rows.rows)
        audience_id = await self.delivery.audiences.ask(self.name, self.batch.type)
        self.outcome.audience_id = audience_id
        try:
            return await self.delivery.provider.send(audience_id, rows.rows)
        except AudienceGoneError:
            self.delivery.audiences.forget(self.name, audience_id)
            raise
        except RejectError as error:
            if error.scope == "row":
                raise RowsRefusedError(error) from error
            raise
