"""Pointers to later attempts in the order in which they fall due."""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from consumer.ordering.standing import NEVER
from schemas.records import RetryPointer
from streams.read.consumer_thread import Record


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A pointer, the record of the retry topic that holds it, and when it is seen to by the caller's clock."""

    at: float
    number: int
    record: Record = field(compare=False)
    pointer: RetryPointer = field(compare=False)
    is_put_off: bool = field(compare=False)
    """Whether it is not due by then, but only to be written to the end of its topic again."""
    since: float = field(default=0.0, compare=False)
    """When it was read."""
    calls_until: float = field(default=NEVER, compare=False)
    """Until when calls of earlier tries may take effect."""


@dataclass(slots=True)
class Schedule:
    """What waits for its time. Whoever fills it bounds it: each pointer takes about a kilobyte."""

    _heap: list[Entry] = field(default_factory=list)
    _added: int = 0
    _in_attempt: dict[int, Entry] = field(default_factory=dict)
    """Those that were taken and are being tried, by their numbers."""

    def add(
        self,
        at: float,
        record: Record,
        pointer: RetryPointer,
        *,
        is_put_off: bool,
        since: float = 0.0,
        calls_until: float = NEVER,
    ) -> None:
        """Note a pointer that is to be seen to at a time."""
        self._added += 1
        entry = Entry(at, self._added, record, pointer, is_put_off, since, calls_until)
        heapq.heappush(self._heap, entry)

    def next_at(self) -> float | None:
        """Return when the next pointer is to be seen to, None where none waits."""
        return self._heap[0].at if self._heap else None

    def take(self) -> Entry:
        """Return the pointer that is next, and let go of it. Raises IndexError where there is none."""
        return heapq.heappop(self._heap)

    @contextmanager
    def in_attempt(self, entry: Entry) -> Iterator[None]:
        """Note that what a pointer stands for is being tried while the block is entered."""
        self._in_attempt[entry.number] = entry
        try:
            yield
        finally:
            del self._in_attempt[entry.number]

    def oldest(self) -> datetime | None:
        """Return the first attempt of what was first tried longest ago and has not ended, None where there is none."""
        entries = (*self._heap, *self._in_attempt.values())
        return min((entry.pointer.first_attempt_at for entry in entries), default=None)
