"""Two ways beside each other, in turn, so that a change of the machine's speed meets both."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PAIRS = 15


@dataclass(frozen=True, slots=True)
class Ratios:
    """How many times as much the first way took as the second, pair by pair."""

    pairs: Sequence[tuple[float, float]]

    def __str__(self) -> str:
        ratios = [first / second for first, second in self.pairs]
        return f"x{statistics.median(ratios):.2f} (x{min(ratios):.2f} to x{max(ratios):.2f} of {len(ratios)} pairs)"

    def medians(self) -> tuple[float, float]:
        """Return what each took."""
        first, second = zip(*self.pairs, strict=True)
        return statistics.median(first), statistics.median(second)


def compare(first: Callable[[], object], second: Callable[[], object], pairs: int = PAIRS) -> Ratios:
    """Run two ways in turn, and compare their seconds of CPU."""
    return Ratios([(_seconds(first), _seconds(second)) for _ in range(pairs)])


def _seconds(way: Callable[[], object]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began
