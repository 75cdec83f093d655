"""How often an account may call its platform: documented limits, and holds that the platform imposes."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from providers.kit.errors import platform_error

JITTER = 0.1
"""Seconds that every window is longer than the platform's, as some calls travel faster than others."""

GROWTH = 1.0 + JITTER
"""Seconds until a larger share counts: the shortest window that platforms count in."""

LONGEST_WAIT = 120.0
"""Seconds that a call waits in place at most: enough for an operation's limit by the minute, not for one by the day."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d+)/([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`."""

    calls: int
    seconds: float

    def part(self, share: float) -> tuple[int, float]:
        """Return a share of this rate as calls and seconds; of less than one call it is one call in more seconds."""
        return max(1, int(self.calls * share)), self.seconds * max(1.0, 1 / (self.calls * share)) + JITTER


@dataclass(frozen=True, slots=True)
class Pause:
    """How long not to call, this operation only or the whole account."""

    seconds: float
    is_account_wide: bool


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Parse `10/s,150/m`; `off` is no limit. Raises ValueError, which says what to write."""
    if text.strip() == "off":
        return ()
    matches = [_RATE.fullmatch(part.strip()) for part in text.split(",")]
    rates = [Rate(int(match[1]), _UNITS[match[2]]) for match in matches if match and int(match[1])]
    if len(rates) != len(matches):
        raise ValueError("write rates as calls per s, m, h or d, such as 10/s,150/m, or off")
    return tuple(rates)


@dataclass(slots=True)
class _Window:
    rate: Rate
    calls: deque[float] = field(default_factory=deque)

    def wait(self, now: float, share: float) -> float:
        """Return the seconds until one more call keeps the rate; a share below one call stretches the window."""
        allowed, seconds = self.rate.part(share)
        while self.calls and self.calls[0] <= now - seconds:
            self.calls.popleft()
        if len(self.calls) < allowed:
            return 0.0
        return self.calls[-allowed] + seconds - now


class Pace:
    """The pace of one account in this process.

    Each operation has rates of its own, as platforms count by endpoint. `share` returns the part of the account's
    limits that this process may use, by what it has to do now; a larger one counts after GROWTH, as the calls of who
    had it before still count at the platform. A hold stops one operation or every call of the account.
    """

    def __init__(
        self,
        rates: Mapping[str, Iterable[Rate]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.share = share
        self._granted = share()
        self._grown: tuple[float, float] | None = None
        self._windows = {operation: [_Window(rate) for rate in of] for operation, of in rates.items()}
        self._clock = clock
        self._sleep = sleep
        self._held_until: dict[str | None, float] = {}
        self.held_in_all = 0.0
        """Seconds for which calls were ever held, of all operations that were held each by itself."""

    def share_by(self, share: Callable[[], float]) -> None:
        """Take the share from another function: a smaller one at once, a larger one after GROWTH. Calls count on."""
        self.share, self._granted, self._grown = share, min(self._granted, share()), None

    def hold(self, seconds: float, operation: str | None = None) -> None:
        """Let nobody call, or none of an operation, before `seconds` have passed; a longer hold stays."""
        now, before = self._clock(), self._held_until.get(operation, 0.0)
        until = self._held_until[operation] = max(before, now + seconds)
        self.held_in_all += max(0.0, until - max(before, now))

    @property
    def held(self) -> float:
        """Seconds for which no call at all may go out, 0 where that is not so."""
        return max(0.0, self._held_until.get(None, 0.0) - self._clock())

    def wait(self, operation: str) -> float:
        """Return the seconds until a call may go out, 0 if now."""
        now = self._clock()
        self._grant(now)
        waits = [window.wait(now, self._granted) for window in self._windows.get(operation, ())]
        held_until = max(self._held_until.get(None, 0.0), self._held_until.get(operation, 0.0))
        return max([0.0, held_until - now, *waits])

    def _grant(self, now: float) -> None:
        """Take a smaller share at once, a larger one when it has been ours for a while."""
        share = self.share()
        if share <= self._granted:
            self._granted, self._grown = share, None
        elif self._grown is None or self._grown[0] != share:
            self._grown = share, now
        elif now - self._grown[1] >= GROWTH:
            self._granted, self._grown = share, None

    async def unheld(self) -> float:
        """Wait while the whole account is held; return the seconds that took."""
        begun = self._clock()
        while (left := self.held) > 0:
            await self._sleep(left)
        return self._clock() - begun

    async def ready(self, operation: str) -> None:
        """Wait until a call may go out; then `take` the turn, unless another call was faster.

        Raises ThrottleError where this operation, unlike the account, must wait for longer than LONGEST_WAIT.
        """
        while (wait := self.wait(operation)) > 0:
            if wait > LONGEST_WAIT and self._held_until.get(None, 0.0) - self._clock() < wait:
                raise platform_error("throttled", wait=wait, operation=operation)
            await self._sleep(wait)

    def take(self, operation: str) -> bool:
        """Count a call that goes out now; False, without effect, where it may not."""
        if self.wait(operation) > 0:
            return False
        for window in self._windows.get(operation, ()):
            window.calls.append(self._clock())
        return True
