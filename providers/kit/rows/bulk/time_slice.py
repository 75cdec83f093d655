"""How long rows are made before others on the event loop have a turn."""

import time
from collections.abc import Callable

SECONDS = 0.002
"""Of a turn. What is under way then is ended, which takes less: nothing is to hold the event loop for 5 ms."""


class Turn:
    """A turn, and whether it is over. Which way a row is made may depend on that, what it is never does."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Begin anew: others had theirs."""
        self._until = self._clock() + SECONDS

    def is_over(self) -> bool:
        """Tell whether others are to have a turn."""
        return self._clock() >= self._until


def endless() -> bool:
    """Tell that a turn is not over, for who has nobody to give it to."""
    return False
