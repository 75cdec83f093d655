"""Waits that a platform imposes, shared by all processes of an account."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from providers.kit.errors import ThrottleError
from providers.kit.rate_limiter import Pace
from schemas.records import AccountState

DEFAULT_WAIT = 60.0
"""Seconds to wait where a platform throttles without saying for how long."""

WORTH_ANNOUNCING = 1.0
"""Seconds by which a wait must be longer than what was announced of it before."""


@dataclass(slots=True, kw_only=True)
class Throttles:
    """The waits of one account, as far as this process was told; its pace keeps them."""

    pace: Pace
    announce: Callable[[ThrottleError, datetime], Awaitable[None]]
    """Tell all processes of an account until when a throttle lasts."""
    now: Callable[[], datetime]
    _announced: dict[str | None, datetime] = field(default_factory=dict)

    async def hold(self, error: ThrottleError) -> float:
        """Hold calls for as long as the platform asks, here and in the other processes; return the seconds."""
        wait = DEFAULT_WAIT if error.wait is None else error.wait
        self.pace.hold(wait, error.operation)
        until = self.now() + timedelta(seconds=wait)
        known = self._announced.get(error.operation)
        if wait >= WORTH_ANNOUNCING and (known is None or (until - known).total_seconds() >= WORTH_ANNOUNCING):
            self._announced[error.operation] = until
            await self.announce(error, until)
        return wait

    def apply(self, state: AccountState) -> None:
        """Hold calls for as long as another process of this account was told; our own word comes back, too."""
        known = self._announced.get(state.operation)
        if state.state == "throttled" and state.until is not None and (known is None or state.until > known):
            self._announced[state.operation] = state.until
            self.pace.hold((state.until - self.now()).total_seconds(), state.operation)
