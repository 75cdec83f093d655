"""Bring the users of one record to one platform account."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import structlog

from consumer.attempts import Attempts, GivenUpError, History, Notice, PostponedError
from consumer.audiences import Audiences
from consumer.gate import Gate
from consumer.retry import RetryPolicy
from consumer.tally import Tally
from consumer.throttles import Throttles
from consumer.time import Time
from providers.base import AnyProvider, Rejection, Sent
from providers.errors import AudienceGoneError, PlatformError, RejectError
from providers.rows import RowGroup, Rows, group_rows, make_rows, place_of
from schemas.records import AudienceBatch, AudienceUser

log = structlog.get_logger()

BISECTION_CALLS = 60
"""Calls that may be made to find the rows that a platform refuses, of one call."""

FRESH = History()


class RowsRefusedError(RejectError):
    """The platform refused a call for what its rows hold."""


@dataclass(slots=True)
class _Search:
    """The search for refused rows in one call: what was found, and how many calls are left for it."""

    calls: int = BISECTION_CALLS
    error: RejectError | None = None
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    is_anything_taken: bool = False

    def give_up(self, group: RowGroup, reason: str) -> None:
        """Note that rows were not taken."""
        self.rejected += [(index, Rejection(None, reason)) for index in group.indexes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One account's way to its platform. Records may be delivered at the same time."""

    provider: AnyProvider
    throttles: Throttles
    gate: Gate
    policy: RetryPolicy
    time: Time
    audiences: Audiences
    preparing: asyncio.Lock
    with_attributes: bool = True
    """Whether what membership does not need goes to the platform, too."""

    async def deliver(
        self,
        batch: AudienceBatch,
        notice: Notice,
        history: History = FRESH,
        is_wanted: Callable[[], bool] = lambda: True,
        only: Collection[int] | None = None,
    ) -> Tally:
        """Deliver a batch, or of its users only those with these indexes in the request.

        Return what happened to each; the platform's errors are in there.

        1. Make rows; unusable users are rejected. 2. Find or create the audience. 3. Send all groups of rows
        at once, as slots and pace allow. `notice` is awaited when a call is to be tried again. Before each call
        `is_wanted` is asked whether the record is still ours; the tally of one that is not says so.
        """
        context: dict[str, object] = {"batch_id": batch.batch_id, "provider": self.provider.name}
        attempts = Attempts(
            policy=self.policy,
            throttles=self.throttles,
            gate=self.gate,
            time=self.time,
            notice=notice,
            context=context,
            batch_id=batch.batch_id,
            history=history,
            is_wanted=is_wanted,
        )
        numbered = enumerate(batch.users, start=batch.first_index)
        chosen = [(index, user) for index, user in numbered if only is None or index in only]
        made = await self._make_rows(chosen)
        tally = Tally(received=len(chosen), repaired=made.repaired, dropped=made.dropped)
        for index, rejection in made.rejected:
            tally.reject(index, rejection)
        if made.rows:
            name = self.provider.platform_name(batch.name, disable_prefix=batch.disable_prefix)
            await self._send_all(batch, name, made, attempts, tally)
        tally.attempts, tally.excused = attempts.most, attempts.excused
        return tally

    async def _make_rows(self, users: Sequence[tuple[int, AudienceUser]]) -> Rows:
        """One record after the other, so that the first can be under way while the next is prepared."""
        made = Rows()
        async with self.preparing:
            for grown in make_rows(self.provider, users, with_attributes=self.with_attributes):
                made = grown
                await asyncio.sleep(0)
        return made

    async def _send_all(self, batch: AudienceBatch, name: str, made: Rows, attempts: Attempts, tally: Tally) -> None:
        sending = _Sending(delivery=self, batch=batch, name=name, attempts=attempts, tally=tally)
        async with asyncio.TaskGroup() as tasks:
            for group in group_rows(made, self.provider.limits):
                tasks.create_task(sending.send(group))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """The calls of one record."""

    delivery: Delivery
    batch: AudienceBatch
    name: str
    attempts: Attempts
    tally: Tally

    async def send(self, group: RowGroup) -> None:
        """Send rows and note what came of it. Rows that are refused fail the record where nothing else was taken."""
        search = _Search()
        try:
            await self._send_in_parts(group, search)
        except PlatformError as error:
            self.tally.fail(error)
        except PostponedError as postponed:
            self.tally.postpone(postponed)
        except GivenUpError:
            self.tally.is_given_up = True
        except Exception as error:
            log.error("A provider failed.", at=place_of(error), action="reject", **self.attempts.context)
            self.tally.fail(RejectError("bug"))
        else:
            if search.error is not None and not search.is_anything_taken:
                self.tally.fail(search.error)
            else:
                for index, rejection in search.rejected:
                    self.tally.reject(index, rejection)

    async def _send_in_parts(self, group: RowGroup, search: _Search) -> None:
        """Send rows; where the platform refuses them, halves, until the budget of calls is used up."""
        search.calls -= 1
        try:
            self.tally.add(group, await self.attempts.run(lambda: self._send_once(group)))
            search.is_anything_taken = True
        except RowsRefusedError as refused:
            search.error = refused
            if len(group.rows) == 1:
                return search.give_up(group, "refused_by_platform")
            for half in group.halves():
                if search.calls:
                    await self._send_in_parts(half, search)
                else:
                    search.give_up(half, "not_isolated")
        return None

    async def _send_once(self, group: RowGroup) -> Sent:
        audience_id = await self.delivery.audiences.ask(self.name, self.batch.type)
        self.tally.audience_id = audience_id
        try:
            return await self.delivery.provider.send(audience_id, group.rows)
        except AudienceGoneError:
            self.delivery.audiences.forget(self.name, audience_id)
            raise
        except RejectError as error:
            if error.scope == "row":
                raise RowsRefusedError(
                    error.code, platform_code=error.platform_code, request_id=error.request_id
                ) from error
            raise
