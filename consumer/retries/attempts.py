"""Try a platform call until it passes, will never pass, or is better tried later."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import structlog

from consumer.ordering.standing import NEVER
from consumer.retries.account_gate import Caller, End, Gate, facts_of
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.retry_policy import InPlace, RetryPolicy
from consumer.retries.throttles import Throttles
from providers.kit.errors import PlatformError, RetryError, StopError, ThrottleError
from providers.kit.pre_send_checks import pre_send_check
from schemas.records import Progress

log = structlog.get_logger()

LONGEST_CALL = 60.0
"""Seconds that a call may take where nobody says otherwise; an account says so by its `timeout`.

By that limit it has ended here, and no byte of it goes any more. For as long again it may take effect there: a platform
that takes longer than that for a call has never answered one in time.
"""

T = TypeVar("T")

Notice = Callable[[PlatformError], Awaitable[None]]


class PostponedError(Exception):
    """The call is better tried later: `error` was its last failure, `seconds` how much later."""

    def __init__(self, error: PlatformError, seconds: float) -> None:
        super().__init__(error.code)
        self.error = error
        self.seconds = seconds

    @property
    def is_search(self) -> bool:
        """Whether nothing failed: rows that the platform refuses are still being looked for."""
        return self.error.code == "unisolated"

    @property
    def is_progressing(self) -> bool:
        """Whether it is no failure: a search goes on, or a job of the platform has not ended."""
        return self.is_search or self.error.code == "job_pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was tried of a record before: the number of attempts, the age of the first one, and how far they came.

    The age leaves out seconds that do not count. Without progress all users are open.
    """

    attempts: int = 0
    age: float = 0.0
    progress: Progress | None = None


@dataclass(slots=True, kw_only=True)
class _Trying:
    """One call: its present or next attempt, and how long it has waited through no fault of its own."""

    attempt: int
    since: float
    caller: Caller
    excused: float = 0.0
    noticed: str | None = None
    """Word of the error that was reported last."""


@dataclass(slots=True, kw_only=True)
class Attempts:
    """The attempts of one record. `most` is the highest number that one of its calls took."""

    policy: RetryPolicy
    throttles: Throttles
    breaker: CircuitBreaker
    time: Time
    notice: Notice
    context: dict[str, object]
    batch_id: str | None = None
    history: History
    is_wanted: Callable[[], bool]
    """Whether the record is still ours: asked last, right before the bytes of a call go."""
    longest_call: float = LONGEST_CALL
    """Seconds from its end on in which a call may take effect that has no answer: the account's `timeout`."""
    has_called: bool = field(default=False, init=False)
    """Whether bytes of a call have gone, so that the platform may hold what it says."""
    doubtful_until: float = field(default=NEVER, init=False)
    """Until when calls that ended without an answer may take effect, by the clock of `time`."""
    most: int = field(default=0, init=False)
    excused: float = field(default=0.0, init=False)
    """Seconds that were spent throttled or parked, of the call where it was most."""
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.time.clock()

    @property
    def age(self) -> float:
        """Seconds since the record's first attempt, without what does not count."""
        return self.history.age + self.time.clock() - self.begun - self.excused

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it returns; while the account is held or parked, wait. Raises as `run_by` does."""
        gate = Gate(throttles=self.throttles, breaker=self.breaker)

        async def go(caller: Caller) -> End[T]:
            with pre_send_check(caller.look):
                return await gate.go(lambda _: call(), lambda: (caller,))

        return await self.run_by(go)

    async def run_by(self, go: Callable[[Caller], Awaitable[End[T]]]) -> T:
        """Make a call by what leads it through the gate, until it returns; that may be one together with others.

        Raises RetryError or StopError past the policy's age, RejectError, an error of ours, PostponedError, or
        GivenUpError before a call of a record that is no longer ours.
        Throttles and what parks the account are neither attempts nor age.
        """
        trying = _Trying(
            attempt=self.history.attempts + 1, since=self.time.clock() - self.history.age, caller=self._caller()
        )
        try:
            while True:
                end = await self._gone(go, trying)
                if end.error is None:
                    self._count(trying)
                    return cast(T, end.result)
                await self._see_to(end.error, end, trying)
        finally:
            self.excused = max(self.excused, trying.excused)

    def _caller(self) -> Caller:
        return Caller(
            is_wanted=self.is_wanted,
            called=self._note_called,
            doubt=self._doubt,
            context=self.context,
            batch_id=self.batch_id,
        )

    def _count(self, trying: _Trying) -> None:
        self.most = max(self.most, trying.attempt)

    def _note_called(self) -> None:
        self.has_called = True

    def _doubt(self) -> None:
        """Note that a call may take effect later, if any bytes have gone."""
        if self.has_called:
            self.doubtful_until = max(self.doubtful_until, self.time.clock() + self.longest_call)

    async def _gone(self, go: Callable[[Caller], Awaitable[End[T]]], trying: _Trying) -> End[T]:
        """Make a call; note what may come of it later."""
        try:
            end = await go(trying.caller)
        except asyncio.CancelledError:
            self._doubt()
            raise
        if isinstance(end.error, PlatformError) and end.error.is_ambiguous:
            self._doubt()
        trying.excused += end.waited
        return end

    async def _see_to(self, error: Exception, end: End[T], trying: _Trying) -> None:
        """Return when the call is to be tried again, raise where it is not."""
        if isinstance(error, ThrottleError):
            await self._wait_out(error, end.held, trying)
        elif isinstance(error, StopError) and not end.is_lone:
            trying.caller.stopped_at = end.passes
            await self._notify(error, trying)
        elif not end.is_parked:
            self._count(trying)
            if not isinstance(error, RetryError | StopError):
                raise error
            if end.records > 1:  # so that nobody fails by another's rows for long
                trying.caller.most_records = end.records // 2
            await self._back_off(error, trying)
            trying.attempt += 1

    async def _wait_out(self, error: ThrottleError, wait: float, trying: _Trying) -> None:
        """Wait in place, unless others need not: one operation may be held for a day."""
        if error.operation is not None:
            trying.excused += wait
            if wait > self.policy.longest_in_place:
                raise PostponedError(error, wait)
            await self.time.sleep(wait)

    async def _back_off(self, error: PlatformError, trying: _Trying) -> None:
        age = self.time.clock() - trying.since - trying.excused
        decision = self.policy.decide(
            trying.attempt, age=age, asked=error.wait, chance=self.time.chance(), is_shared=error.scope == "account"
        )
        if decision is None:
            raise error
        is_now = isinstance(decision, InPlace)
        text = "A platform call failed: trying again." if is_now else "A platform call failed: trying again later."
        facts = {"attempt": trying.attempt, "seconds": round(decision.seconds, 2), **facts_of(error, self.context)}
        log.warning(text, action="retry", **facts)
        if not is_now:
            raise PostponedError(error, decision.seconds)
        await self._notify(error, trying)
        await self.time.sleep(decision.seconds)

    async def _notify(self, error: PlatformError, trying: _Trying) -> None:
        """Report why the record is tried again, once for each reason."""
        if trying.noticed != error.code:
            trying.noticed = error.code
            await self.notice(error)
