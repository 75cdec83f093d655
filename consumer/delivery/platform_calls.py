"""The calls of one record: those that take its rows, and those that find out which rows the platform refuses."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from consumer.delivery.outcome import Outcome
from consumer.delivery.refused_row_search import Probe, Search
from consumer.retries.account_gate import GivenUpError
from consumer.retries.attempts import Attempts, PostponedError
from providers.kit.errors import PlatformError, RejectError, TooMuchError, platform_error
from providers.kit.provider import NamedRowsError, Rejection, Sent
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.rows_per_call import RowGroup
from schemas.tracebacks import place_of, without_frames

log = structlog.get_logger()

PAUSE = 2.0
"""Seconds to the next try of a search, and as many more with each one."""

HOPELESS = 20
"""Rows refused alone, while nothing was ever taken, from which on the calls are at fault rather than the rows."""

REFUSED = Rejection(None, "refused_by_platform")
NOT_ISOLATED = Rejection(None, "not_isolated")


class RowsRefusedError(RejectError):
    """The platform refused a call for what its rows hold; `by` is what it said."""

    def __init__(self, by: RejectError) -> None:
        super().__init__(by.code, platform_code=by.platform_code, request_id=by.request_id)
        self.by = by


Call = Callable[[RowGroup, bool], Awaitable[Sent]]
"""Sends rows; True for those of a record's first call, which may share it with others', as a search's are its own."""


@dataclass(slots=True)
class Calls:
    """Calls that a record may still cost in this try, besides the first one of each group of rows."""

    left: int

    def take(self) -> bool:
        """Use up one call; False where there is none."""
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True, kw_only=True)
class Sending:
    """The sending of one record's rows in one try. Groups of rows are sent at the same time."""

    call: Call
    outcome: Outcome
    attempts: Attempts
    calls: Calls
    is_whole: bool = True
    """Whether all users of the record are sent, and not some that a replay chose."""
    step: int = 0
    """Rows of a call with which an earlier try ended its search; 0: all are sent at once."""
    refused: RowsRefusedError | None = None
    """What the platform said when it refused rows last."""
    _found: list[int] = field(default_factory=list)
    """Indexes of users that were refused alone."""
    _open: list[int] = field(default_factory=list)
    """Indexes of users among whom the calls did not suffice to find those that are refused."""
    _steps: list[int] = field(default_factory=list)

    async def send_all(self, groups: Sequence[RowGroup]) -> None:
        """Send all groups of rows at once, and settle what came of them together."""
        if len(groups) == 1:
            await self.send(groups[0])
        else:
            async with asyncio.TaskGroup() as tasks:
                for group in groups:
                    tasks.create_task(self.send(group))
        self.conclude()

    async def send(self, group: RowGroup) -> None:
        """Send rows and note what came of it; `conclude` when all of a record are through."""
        try:
            await self._send(group, may_share=self.step == 0)
        except PlatformError as error:
            self.outcome.fail(error)
        except PostponedError as postponed:
            self.outcome.postpone(postponed)
        except GivenUpError:
            self.outcome.is_given_up = True
        except Exception as error:
            log.error("A provider failed.", at=place_of(error), action="reject", **self.attempts.context)
            without_frames(error)
            self.outcome.fail(RejectError("bug"))

    async def _send(self, group: RowGroup, *, may_share: bool = False) -> None:
        """Send rows, the first call of which is paid; where the platform refuses some, search until calls end."""
        search = Search(len(group.rows), self.step)
        is_paid = True
        try:
            while (probe := search.next()) is not None and (is_paid or self.calls.take()):
                await self._try(group, search, probe, may_share=may_share and is_paid)
                is_paid = False
        finally:
            self._found += (group.indexes[row] for row in search.bad)
            if search.step < search.size:
                self._steps.append(search.step)
        self._open += (group.indexes[row] for row in search.open)

    async def _try(self, group: RowGroup, search: Search, probe: Probe, *, may_share: bool) -> None:
        rows = group.chosen(probe.rows)
        try:
            sent = await self.call(rows, may_share)
        except RowsRefusedError as refused:
            await self._learn(refused, rows, search, probe)
        else:
            self.outcome.add(rows, sent)
            search.taken(probe)

    async def _learn(self, refused: RowsRefusedError, rows: RowGroup, search: Search, probe: Probe) -> None:
        """Go by what the platform said: its names of rows, that they were too many, or nothing."""
        self.refused = without_frames(refused)
        named = dict(named_in(refused.by, len(rows.rows)))
        if named:
            for position, rejection in named.items():
                self.outcome.platform.refuse(rows.indexes[position], rejection)
            search.named(probe, [probe.rows[position] for position in named])
        elif isinstance(refused.by, TooMuchError) and len(rows.rows) > 1:
            search.handed_over(probe)
            await self._send_halves(rows)
        else:
            search.refused(probe)

    async def _send_halves(self, rows: RowGroup) -> None:
        for half in rows.halves():
            if self.calls.take():
                await self._send(half)
            else:
                self._open += half.indexes

    def conclude(self) -> None:
        """Settle, once all rows were sent, what searches found and what they left open.

        Where nothing at all was ever taken the calls are at fault, and the record fails without rejecting anybody that
        the platform did not name. What is open is put off; at the age limit it is rejected.
        """
        self.outcome.step = min(self._steps, default=0)
        if self.refused is not None and self._is_hopeless:
            self._fail(self.refused)
            return
        for index in self._found:
            self.outcome.platform.refuse(index, REFUSED)
        if self._open and not self.outcome.is_given_up:
            self._put_off()

    @property
    def _is_hopeless(self) -> bool:
        found = len(self._found) + self.outcome.platform.reasons[reason_of(REFUSED)]
        is_certain = found > 0 and (not self._open or found >= HOPELESS)
        return self._is_nothing_taken and is_certain

    @property
    def _is_nothing_taken(self) -> bool:
        return self.is_whole and self.outcome.accepted == 0

    def _fail(self, refused: RowsRefusedError) -> None:
        self.outcome.platform.forget(REFUSED)
        self.outcome.fail(refused)

    def _put_off(self) -> None:
        outcome, attempts, refused = self.outcome, self.attempts, self.refused
        asked = min(attempts.policy.cap, PAUSE * max(1, attempts.most))
        decision = attempts.policy.decide(
            1, age=attempts.age, asked=asked, chance=attempts.time.chance(), is_shared=False
        )
        if decision is None and refused is not None and self._is_nothing_taken:
            self._fail(refused)
        elif decision is None:
            for index in self._open:
                outcome.platform.refuse(index, NOT_ISOLATED)
        elif outcome.error is None:
            error = platform_error(
                "unisolated",
                platform_code=refused.platform_code if refused else None,
                request_id=refused.request_id if refused else None,
            )
            outcome.postpone(PostponedError(error, decision.seconds))
        action = "reject" if decision is None else "retry"
        log.warning(
            "Rows that the platform refuses are not found yet.", rows=len(self._open), action=action, **attempts.context
        )


def named_in(error: RejectError, rows: int) -> Iterator[tuple[int, Rejection]]:
    """Yield those of a call's rows that a refusal names; what it names beyond them is nobody."""
    if isinstance(error, NamedRowsError):
        yield from ((place, why) for place, why in error.rejected.items() if 0 <= place < rows)
