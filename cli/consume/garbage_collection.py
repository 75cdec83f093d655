"""What the collector of cycles need not go through in a process that lives for long."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

YOUNG = 200
"""New objects that a pass comes after, which goes through these alone: a millisecond or less.

Among them are tuples of all users that came meanwhile, which the first pass goes through and forgets: at 2,000 these
were 200 tuples of 250 users, for which it took several milliseconds. Passes that come sooner take less in all, too.
"""

NEVER = 2**31 - 1
"""A threshold that no pass comes by: older objects are gone through when it is calm."""

CALM = 100
"""Records in flight up to which there are passes.

A small record has 150 objects while it is in flight, of which none is garbage: with thousands of them passes took a
fifth of the processor's time, and single ones held the event loop for 20 to 180 ms.
"""

LOOK = 0.2
"""Seconds from one look at how many there are to the next."""

MANY = 200
"""Passes through new objects that make one through older ones due; where there were none, that many times YOUNG."""

BUSY = 10.0
"""Seconds after which it is made calm: nothing more is read until few records are left, or for REST seconds."""

REST = 5.0

FIRST = 1.0
"""Seconds to a full pass of its own, before most records come; from one freezing to the next it is ever longer."""


class Reader(Protocol):
    """What has records in flight."""

    @property
    def records_in_flight(self) -> int:
        """How many there are."""

    def rest(self, left: int, seconds: float) -> None:
        """Read nothing more until so few are in flight, for so many seconds at most."""


@contextmanager
def collected_when_calm(reader: Reader) -> Iterator[None]:
    """Have passes only while few records are in flight, and what has come to stay frozen, while the block is entered.

    To be entered on the event loop that runs.
    """
    freezing = Freezing(time.monotonic)
    gc.callbacks.append(freezing)
    usual = gc.get_threshold()
    gc.set_threshold(YOUNG, NEVER, NEVER)
    looking = asyncio.create_task(_look(Passes(reader, time.monotonic)))
    try:
        yield
    finally:
        looking.cancel()
        gc.callbacks.remove(freezing)
        gc.set_threshold(*usual)
        gc.enable()


async def _look(passes: "Passes") -> None:
    await asyncio.sleep(FIRST)
    gc.collect()
    while True:
        await asyncio.sleep(LOOK)
        passes.look()


class Passes:
    """Lets the collector go through objects where few records are in flight, and sees to it that few are at times."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._calm_at = clock()
        self._is_resting = False

    def look(self) -> None:
        """Collect what is due, and let there be passes by themselves or not."""
        now = self._clock()
        if self._reader.records_in_flight <= CALM:
            if not gc.isenabled() or gc.get_count()[1] >= MANY:
                gc.collect()
            gc.enable()
            self._calm_at, self._is_resting = now, False
        elif now >= self._calm_at + BUSY + REST:
            if gc.get_count()[0] >= YOUNG * MANY:  # of whom nobody else tells while what is in flight stays
                gc.collect()
            self._calm_at, self._is_resting = now, False
        else:
            gc.disable()
            if now >= self._calm_at + BUSY and not self._is_resting:
                self._is_resting = True
                self._reader.rest(CALM, REST)


class Freezing:
    """Freezes what a full pass of the collector has left, ever more seldom: is told of every pass.

    Most of what a consumer makes after its start is there for good: connections, countries' numbering plans, what is
    remembered of values. What is frozen is freed as ever when nobody has it any more. Only what goes into a cycle after
    that is never found: of what is in flight at a few moments, two dozen in a year, as much as errors hold, which is no
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
