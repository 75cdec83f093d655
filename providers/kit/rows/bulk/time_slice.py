"""How long rows are made before other tasks on the event loop run."""

import time
from collections.abc import Callable

SECONDS = 0.002
"""Of a slice. A step that has begun is ended, which takes less: nothing is to hold the event loop for 5 ms."""


class TimeSlice:
    """A slice of the event loop's time. Which way a row is made may depend on its end, what the row is never does."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Begin the next slice, after other tasks have run."""
        self._begun = self._clock()

    def is_over(self) -> bool:
        """Tell whether other tasks are to run."""
        return self.part_gone() >= 1

    def part_gone(self) -> float:
        """Return how much of the slice is gone, more than 1 where it is over."""
        return (self._clock() - self._begun) / SECONDS


def never_over() -> bool:
    """Tell that the slice is not over, where no other task has to run."""
    return False
