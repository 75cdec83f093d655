"""Whether an account's calls may go out: closed while a person has to act, or the platform is down."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import structlog

from consumer.retries.clock import REAL_TIME, Time
from providers.kit.errors import PlatformError, RetryError, StopError, platform_error
from schemas.tracebacks import place_of

log = structlog.get_logger()

FIRST_PROBE = 2.0
LONGEST_PROBE = 60.0
"""Seconds between probes of a closed account: each is twice as long after the one before."""

WINDOW = 30.0
FEWEST = 10
SHARE = 0.8
"""An account is closed when this share of its calls of the last WINDOW seconds failed, be it the platform or we."""


@dataclass(slots=True)
class FailureShare:
    """How an account's calls went lately: a pure decision by share, not by count."""

    calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0

    def note(self, now: float, *, is_failure: bool) -> bool:
        """Note a call's end; True where so many failed that the account should be closed."""
        self.calls.append((now, is_failure))
        self._failed += is_failure
        while self.calls and self.calls[0][0] <= now - WINDOW:
            self._failed -= self.calls.popleft()[1]
        return is_failure and len(self.calls) >= FEWEST and self._failed >= SHARE * len(self.calls)

    def clear(self) -> None:
        """Forget how calls went."""
        self.calls.clear()
        self._failed = 0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call. What a call says that began before the latest closing says nothing about what is now."""

    closings: int
    waited: float
    """Seconds that the gate was closed."""
    batch_id: str | None = None
    """The batch that the call is for."""


@dataclass(slots=True)
class CircuitBreaker:
    """The one way to the platform of an account in this process.

    Closed, it holds every call and probes; a probe that passes lets one call through, whose end decides. Records
    wait meanwhile: nothing fails for what is wrong with the account.
    """

    probe: Callable[[], Awaitable[object]]
    announce: Callable[[PlatformError | None], Awaitable[None]]
    """Tell all processes that the account is closed, or None that it is open."""
    time: Time = REAL_TIME
    account: str = ""
    """Whose calls they are, such as facebook/eu."""
    closed_by: PlatformError | None = None
    passes: int = 0
    """Calls that passed so far."""
    _announced: str | None = None
    """Word of what was told last to park the account, None for nothing."""
    _is_adopted: bool = False
    _closings: int = 0
    _unreported: list[tuple[str, str | None]] = field(default_factory=list)
    """Words of what keeps records from being reported, one for each record, and Kafka's own."""
    _is_trying: bool = False
    _interval: float = FIRST_PROBE
    _waiting: int = 0
    _platform: FailureShare = field(default_factory=FailureShare)
    _bugs: FailureShare = field(default_factory=FailureShare)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    async def enter(self, batch_id: str | None = None) -> Permit:
        """Return when a call for a batch may go out. Say how it ends by `passed`, `failed`, `broke` or `withdrew`."""
        begun = self.time.clock()
        self._waiting += 1
        try:
            while True:
                await self._open.wait()
                if self._open.is_set():
                    break
        finally:
            self._waiting -= 1
        if self._is_trying:
            self._open.clear()  # the others wait for how this one ends
        return Permit(self._closings, self.time.clock() - begun, batch_id)

    @property
    def is_closed(self) -> bool:
        """Whether calls are held."""
        return self.closed_by is not None

    def is_shut_since(self, permit: Permit) -> bool:
        """Tell whether calls are held, and were not yet when this one got its leave."""
        return self.is_closed and self._is_stale(permit)

    def passed(self, permit: Permit) -> None:
        """Note that a call passed, or failed for a reason that is not the account's."""
        if not self._is_stale(permit):
            self.passes += 1
            self._platform.note(self.time.clock(), is_failure=False)
            self._bugs.note(self.time.clock(), is_failure=False)
            self._reopen()

    def failed(self, permit: Permit, error: PlatformError) -> None:
        """Note that a call failed; close where the account is at fault, or the platform down."""
        if self._is_stale(permit):
            return
        if isinstance(error, StopError):
            self._close(error, permit.batch_id)
        elif not (isinstance(error, RetryError) and error.scope == "account"):
            self.passed(permit)
        elif self._platform.note(self.time.clock(), is_failure=True) or self.is_closed:
            self._close(self.closed_by or error, permit.batch_id)

    def broke(self, permit: Permit) -> bool:
        """Note that our own code failed; True where so much does that the account is closed, and the call may wait."""
        if self._is_stale(permit):
            return self.is_closed
        is_trial_of_bugs = self.closed_by is not None and self.closed_by.code == "provider_broken"
        if self._bugs.note(self.time.clock(), is_failure=True) or is_trial_of_bugs:
            self._close(platform_error("provider_broken"), permit.batch_id)
            return True
        self._reopen()
        return False

    def withdrew(self, permit: Permit) -> None:
        """Note that a call was not made after all; where it was to show whether the account works, the next is to."""
        if not self._is_stale(permit) and self._is_trying:
            self._let_one_try()

    def without_registry(self) -> AbstractContextManager[None]:
        """Let the account count as parked while the block is entered: records can't be decoded or reported."""
        return self.unreported("registry_unreachable")

    @contextmanager
    def unreported(self, code: str, kafka: str | None = None) -> Iterator[None]:
        """Let the account count as parked by a word while the block is entered: a record waits to be reported."""
        self._unreported.append((code, kafka))
        self._work.set()
        try:
            yield
        finally:
            self._unreported.remove((code, kafka))
            self._work.set()

    def adopt(self, error: PlatformError | None) -> None:
        """Begin as another process left the account, which need not be told again; parked, it is probed at once."""
        self._is_adopted = True
        if error is not None:
            self._close(error)
            self._announced, self._interval = error.code, 0.0

    def _is_stale(self, permit: Permit) -> bool:
        return permit.closings != self._closings

    def _reopen(self) -> None:
        if self.closed_by is not None:
            self.closed_by, self._is_trying, self._interval = None, False, FIRST_PROBE
            self._platform.clear()
            self._bugs.clear()
            self._open.set()
            self._work.set()

    def _close(self, error: PlatformError, batch_id: str | None = None) -> None:
        if self.closed_by is None:
            self._closings += 1
            log.error("The account is parked: nothing is lost.", batch_id=batch_id, **self._facts(error))
        self.closed_by, self._is_trying = error, False
        self._open.clear()
        self._work.set()

    async def watch(self) -> None:
        """Say that the account is open, unless more was said before; then tell what changes, and probe while closed."""
        if not self._is_adopted:
            await self.announce(None)
        while True:
            await self._announce_change()
            while self.closed_by is not None and not self._is_trying:
                await self.time.sleep(self._interval)
                self._interval = min(LONGEST_PROBE, max(FIRST_PROBE, self._interval * 2))
                await self._try()
                await self._announce_change()
            await self._work.wait()
            self._work.clear()

    async def _announce_change(self) -> None:
        """Tell what parks the account, or that nothing does, unless that was told before."""
        block = self.closed_by or self._first_unreported()
        code = block.code if block else None
        if code != self._announced:
            self._announced = code
            if block is None:
                log.info("The account is open again.", account=self.account)
            await self.announce(block)

    def _first_unreported(self) -> PlatformError | None:
        if not self._unreported:
            return None
        code, kafka = self._unreported[0]
        return platform_error(code, platform_code=kafka)

    async def _try(self) -> None:
        try:
            await self.probe()
        except PlatformError as error:
            log.info("The account stays parked.", **self._facts(error))
            if isinstance(error, StopError):
                self.closed_by = error
        except Exception as error:
            log.error("The account stays parked: a probe failed by a bug.", account=self.account, at=place_of(error))
        else:
            self._let_one_try()

    def _facts(self, error: PlatformError) -> dict[str, object]:
        return {
            "account": self.account,
            "error": error.code,
            "platform_code": error.platform_code,
            "request_id": error.request_id,
        }

    def _let_one_try(self) -> None:
        if self._waiting:
            self._is_trying = True
            self._open.set()
        else:
            self._reopen()
