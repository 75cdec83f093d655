"""Rate limits in fixed windows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in a window of so many seconds."""

    calls: int
    seconds: int


class Windows:
    """Counts calls by key; every window begins at a multiple of its length on the clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, Limit], tuple[int, int]] = {}

    def enter(self, key: str, limits: Sequence[Limit]) -> float | None:
        """Count a call against all limits; where one is reached count nothing and return the seconds to wait."""
        full = [limit for limit in limits if self.used(key, limit) >= limit.calls]
        if full:
            return max(self.ends_in(limit) for limit in full)
        for limit in limits:
            self._counts[key, limit] = (self._window(limit), self.used(key, limit) + 1)
        return None

    def used(self, key: str, limit: Limit) -> int:
        """Return how many calls the current window has seen."""
        window, count = self._counts.get((key, limit), (0, 0))
        return count if window == self._window(limit) else 0

    def ends_in(self, limit: Limit) -> float:
        """Return the seconds until the current window ends."""
        return (self._window(limit) + 1) * limit.seconds - self._clock()

    def _window(self, limit: Limit) -> int:
        return math.floor(self._clock() / limit.seconds)
