"""Whether an account's calls may go out: it is parked while a person has to act, or the platform is down."""

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
"""Seconds between probes of a parked account: each is twice as long after the one before."""

WINDOW = 30.0
FEWEST = 10
SHARE = 0.8
"""An account is parked when this share of its calls of the last WINDOW seconds failed, be it the platform or we."""


@dataclass(slots=True)
class FailureShare:
    """How an account's calls went lately: a pure decision by share, not by count."""

    calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0

    def note(self, now: float, *, is_failure: bool) -> bool:
        """Note a call's end; True where so many failed that the account should be parked."""
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
    """Leave for one call. How a call ends that began before the account was parked says nothing about it now."""

    times_parked: int
    waited: float
    """Seconds for which it waited."""
    batch_id: str | None = None
    """The batch that the call is for."""


@dataclass(slots=True)
class CircuitBreaker:
    """Lets the calls of one account in this process go out, or holds them while the account is parked.

    A parked account is probed. Once a probe passes, one call goes out, and how that ends decides for the others.
    Records wait meanwhile: none fails for what is wrong with the account.
    """

    probe: Callable[[], Awaitable[object]]
    announce: Callable[[PlatformError | None], Awaitable[None]]
    """Tells all processes what parks the account, or None that nothing does."""
    time: Time = REAL_TIME
    account: str = ""
    """Whose calls they are, such as facebook/eu."""
    on_call: Callable[[str], None] = lambda _: None
    """Is told of each call how it ended, by a word of the vocabulary or `ok`."""
    parked_by: PlatformError | None = None
    passes: int = 0
    """Calls that passed so far."""
    _announced: str | None = None
    """Word of what was told last to park the account, None for nothing."""
    _is_adopted: bool = False
    _times_parked: int = 0
    _unreported: list[tuple[str, str | None]] = field(default_factory=list)
    """Words of what keeps records from being reported, one for each record, and Kafka's own."""
    _is_trying: bool = False
    _interval: float = FIRST_PROBE
    _waiting: int = 0
    _platform: FailureShare = field(default_factory=FailureShare)
    _bugs: FailureShare = field(default_factory=FailureShare)
    _may_call: asyncio.Event = field(default_factory=asyncio.Event)
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._may_call.set()

    async def enter(self, batch_id: str | None = None) -> Permit:
        """Return when a call for a batch may go out. Say how it ends by `passed`, `failed`, `broke` or `withdrew`."""
        begun = self.time.clock()
        self._waiting += 1
        try:
            while True:
                await self._may_call.wait()
                if self._may_call.is_set():
                    break
        finally:
            self._waiting -= 1
        if self._is_trying:
            self._may_call.clear()  # the others wait for how this one ends
        return Permit(self._times_parked, self.time.clock() - begun, batch_id)

    @property
    def is_parked(self) -> bool:
        """Whether calls are held."""
        return self.parked_by is not None

    def is_parked_since(self, permit: Permit) -> bool:
        """Tell whether calls are held, and were not yet when this one got its leave."""
        return self.is_parked and self._is_stale(permit)

    def passed(self, permit: Permit) -> None:
        """Note that a call passed, or failed for a reason that is not the account's."""
        if not self._is_stale(permit):
            self.passes += 1
            self._platform.note(self.time.clock(), is_failure=False)
            self._bugs.note(self.time.clock(), is_failure=False)
            self._resume()

    def failed(self, permit: Permit, error: PlatformError) -> None:
        """Note that a call failed; park the account where that is at fault, or the platform down."""
        if self._is_stale(permit):
            return
        if isinstance(error, StopError):
            self._park(error, permit.batch_id)
        elif not (isinstance(error, RetryError) and error.scope == "account"):
            self.passed(permit)
        elif self._platform.note(self.time.clock(), is_failure=True) or self.is_parked:
            self._park(self.parked_by or error, permit.batch_id)

    def broke(self, permit: Permit) -> bool:
        """Note that our own code failed; True where so much does that the account is parked, and the call may wait."""
        if self._is_stale(permit):
            return self.is_parked
        is_trial_of_bugs = self.parked_by is not None and self.parked_by.code == "provider_broken"
        if self._bugs.note(self.time.clock(), is_failure=True) or is_trial_of_bugs:
            self._park(platform_error("provider_broken"), permit.batch_id)
            return True
        self._resume()
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
            self._park(error)
            self._announced, self._interval = error.code, 0.0

    def _is_stale(self, permit: Permit) -> bool:
        return permit.times_parked != self._times_parked

    def _resume(self) -> None:
        if self.parked_by is not None:
            self.parked_by, self._is_trying, self._interval = None, False, FIRST_PROBE
            self._platform.clear()
            self._bugs.clear()
            self._may_call.set()
            self._work.set()

    def _park(self, error: PlatformError, batch_id: str | None = None) -> None:
        if self.parked_by is None:
            self._times_parked += 1
            log.error("The account is parked: nothing is lost.", batch_id=batch_id, **self._facts(error))
        self.parked_by, self._is_trying = error, False
        self._may_call.clear()
        self._work.set()

    async def watch(self) -> None:
        """Say that the account runs, unless more was said before; then what changes, and probe while it is parked."""
        if not self._is_adopted:
            await self.announce(None)
        while True:
            await self._announce_change()
            while self.parked_by is not None and not self._is_trying:
                await self.time.sleep(self._interval)
                self._interval = min(LONGEST_PROBE, max(FIRST_PROBE, self._interval * 2))
                await self._try()
                await self._announce_change()
            await self._work.wait()
            self._work.clear()

    async def _announce_change(self) -> None:
        """Tell what parks the account, or that nothing does, unless that was told before."""
        block = self.parked_by or self._first_unreported()
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
                self.parked_by = error
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
            self._may_call.set()
        else:
            self._resume()
