"""What the collector of cycles need not go through in a process that lives for long."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

SELDOM = (500, 80, 50)
"""Thresholds of the collector's passes: thousands of records that are under way are no garbage.

The first is what a pass goes through at least, a millisecond or two on a busy machine.
"""

FIRST = 1.0
"""Seconds to a full pass of its own, before most records come; from one freezing to the next it is ever longer."""


@contextmanager
def frozen_at_times() -> Iterator[None]:
    """Freeze what has come to stay while the block is entered, on the event loop that runs."""
    freezing = Freezing(time.monotonic)
    gc.callbacks.append(freezing)
    usual = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    first = asyncio.get_running_loop().call_later(FIRST, gc.collect)
    try:
        yield
    finally:
        first.cancel()
        gc.callbacks.remove(freezing)
        gc.set_threshold(*usual)


class Freezing:
    """Freezes what a full pass of the collector has left, ever more seldom: is told of every pass.

    Most of what a consumer makes after its start is there for good: connections, countries' numbering plans, what is
    remembered of values. What is frozen is freed as ever when nobody has it any more. Only what goes into a cycle after
    that is never found: of what is under way at a few moments, two dozen in a year, as much as errors hold, which is no
    rows (`without_frames`).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wait = FIRST
        self._due = clock() + FIRST

    def __call__(self, phase: str, facts: Mapping[str, int]) -> None:
        """Freeze at the end of a full pass that comes when it is time."""
        if phase == "stop" and facts["generation"] == 2 and (now := self._clock()) >= self._due:
            gc.freeze()
            self._wait *= 2
            self._due = now + self._wait
