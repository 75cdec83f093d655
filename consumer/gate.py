"""Whether an account's calls may go out: closed while a person has to act, or the platform is down."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from consumer.time import REAL_TIME, Time
from providers.errors import PlatformError, RetryError, StopError

log = structlog.get_logger()

FIRST_PROBE = 2.0
LONGEST_PROBE = 60.0
"""Seconds between probes of a closed account: each is twice as long after the one before."""

WINDOW = 30.0
FEWEST = 10
SHARE = 0.8
"""An account is closed when this share of its calls of the last WINDOW seconds failed on the platform's side."""


@dataclass(slots=True)
class Circuit:
    """How an account's calls went lately: a pure decision by share, not by count."""

    calls: deque[tuple[float, bool]] = field(default_factory=deque)

    def note(self, now: float, *, is_failure: bool) -> bool:
        """Note a call's end; True where so many failed that the account should be closed."""
        self.calls.append((now, is_failure))
        while self.calls and self.calls[0][0] <= now - WINDOW:
            self.calls.popleft()
        failed = sum(is_failure for _, is_failure in self.calls)
        return is_failure and len(self.calls) >= FEWEST and failed >= SHARE * len(self.calls)


@dataclass(slots=True)
class Gate:
    """The one way to the platform of an account in this process.

    Closed, it holds every call and probes; a probe that passes lets one call through, whose end decides. Records
    wait meanwhile: nothing fails for what is wrong with the account.
    """

    probe: Callable[[], Awaitable[object]]
    announce: Callable[[PlatformError | None], Awaitable[None]]
    """Tell all processes that the account is closed, or None that it is open."""
    time: Time = REAL_TIME
    closed_by: PlatformError | None = None
    _is_trying: bool = False
    _interval: float = FIRST_PROBE
    _waiting: int = 0
    _circuit: Circuit = field(default_factory=Circuit)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    async def enter(self) -> float:
        """Return when a call may go out, with the seconds that took. Say how it ends by `passed` or `failed`."""
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
        return self.time.clock() - begun

    @property
    def is_closed(self) -> bool:
        """Whether calls are held."""
        return self.closed_by is not None

    def passed(self) -> None:
        """Note that a call passed, or failed for a reason that is not the account's."""
        self._circuit.note(self.time.clock(), is_failure=False)
        if self.closed_by is not None:
            self.closed_by, self._is_trying, self._interval = None, False, FIRST_PROBE
            self._circuit.calls.clear()
            self._open.set()
            self._work.set()

    def failed(self, error: PlatformError) -> None:
        """Note that a call failed; close where the account is at fault, or the platform down."""
        if isinstance(error, StopError):
            self._close(error)
        elif not (isinstance(error, RetryError) and error.scope == "account"):
            self.passed()
        elif self._circuit.note(self.time.clock(), is_failure=True) or self.is_closed:
            self._close(self.closed_by or error)

    def _close(self, error: PlatformError) -> None:
        if self.closed_by is None:
            log.error("The account is parked: nothing is lost.", error=error.code, platform_code=error.platform_code)
        self.closed_by, self._is_trying = error, False
        self._open.clear()
        self._work.set()

    async def watch(self) -> None:
        """Say that the account is open, as an earlier process may have said otherwise; then announce and probe."""
        announced: str | None = None
        await self.announce(None)
        while True:
            await self._work.wait()
            self._work.clear()
            while self.closed_by is not None and not self._is_trying:
                if announced != self.closed_by.code:
                    announced = self.closed_by.code
                    await self.announce(self.closed_by)
                await self.time.sleep(self._interval)
                self._interval = min(LONGEST_PROBE, self._interval * 2)
                await self._try()
            if self.closed_by is None and announced is not None:
                announced = None
                log.info("The account is open again.")
                await self.announce(None)

    async def _try(self) -> None:
        try:
            await self.probe()
        except PlatformError as error:
            log.info("The account stays parked.", error=error.code, platform_code=error.platform_code)
            if isinstance(error, StopError):
                self.closed_by = error
            return
        if self._waiting:
            self._is_trying = True
            self._open.set()
        else:
            self.passed()
