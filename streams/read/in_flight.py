"""What is in flight of each partition, and whether that is enough."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from streams.read.consumer_thread import Record
from streams.read.offset_tracker import OffsetTracker

_NO_REST = (0, 0.0)


class Budget:
    """Whether to go on reading: no longer at a limit, and from there not before half of it is left.

    One thread may add while another one removes; either kind needs a lock among several threads.
    """

    def __init__(self, max_bytes: int, max_records: int) -> None:
        self._limits = (max_bytes, max_records)
        self._added_bytes = self._added_records = 0
        self._removed_bytes = self._removed_records = 0
        self._is_over = False
        self._rest = _NO_REST

    def add(self, record: Record) -> None:
        """Count a record that is now in flight."""
        self._added_bytes += _size(record)
        self._added_records += 1

    def remove(self, record: Record) -> None:
        """Count a record that is no longer in flight."""
        self._removed_bytes += _size(record)
        self._removed_records += 1

    @property
    def records(self) -> int:
        """How many are in flight."""
        return self._added_records - self._removed_records

    @property
    def bytes(self) -> int:
        """How many bytes these have."""
        return self._added_bytes - self._removed_bytes

    def is_over(self) -> bool:
        """Tell whether to pause; the answer stays for a while, so that reading does not flutter."""
        share = 0.5 if self._is_over else 1.0
        in_flight = (self.bytes, self.records)
        self._is_over = any(have >= limit * share for have, limit in zip(in_flight, self._limits, strict=True))
        return self._is_over or self._is_resting()

    def rest(self, left: int, until: float) -> None:
        """Be over until only so many records are left, or until a time of the monotonic clock."""
        self._rest = left, until

    def _is_resting(self) -> bool:
        left, until = self._rest
        if self.records <= left or time.monotonic() >= until:
            self._rest = _NO_REST
        return self._rest != _NO_REST


def _size(record: Record) -> int:
    return len(record.value) + len(record.key or b"")


class InFlight:
    """What is in flight, by partition: the one thing that the event loop and the consumer's thread share."""

    def __init__(self, budget: Budget) -> None:
        self._lock = threading.Lock()
        self._budget = budget
        self._windows: dict[int, OffsetTracker] = {}
        self._records: dict[int, dict[int, Record]] = {}
        self._withheld: set[int] = set()

    def begin(self, partition: int, window: OffsetTracker) -> None:
        """Hold a partition, with nothing in flight."""
        with self._lock:
            self._drop(partition)
            self._windows[partition], self._records[partition] = window, {}

    def give_up(self, partitions: Iterable[int]) -> None:
        """Hold partitions no longer: what was in flight is somebody else's."""
        with self._lock:
            for partition in partitions:
                self._drop(partition)

    def withhold(self, partitions: Iterable[int]) -> None:
        """Let nothing more be done of partitions that are about to be given up; what is finished still counts."""
        with self._lock:
            self._withheld.update(partitions)

    def _drop(self, partition: int) -> None:
        self._withheld.discard(partition)
        self._windows.pop(partition, None)
        for record in self._records.pop(partition, {}).values():
            self._budget.remove(record)

    @property
    def budget(self) -> Budget:
        """What is in flight of all partitions."""
        return self._budget

    @contextmanager
    def window(self, partition: int) -> Iterator[OffsetTracker | None]:
        """Lend the window of a partition, None where it is not held."""
        with self._lock:
            yield self._windows.get(partition)

    def add(self, record: Record) -> bool:
        """Take a record up; False if it needs no work."""
        with self._lock:
            window = self._windows.get(record.origin.partition)
            if window is None or not window.add(record.origin.offset):
                return False
            self._records[record.origin.partition][record.origin.offset] = record
            self._budget.add(record)
            return True

    def pass_to(self, partition: int, offset: int) -> None:
        """Go on at an offset of a partition that is held, as nothing comes before it."""
        with self.window(partition) as window:
            if window is not None:
                window.pass_to(offset)

    def finish(self, record: Record) -> bool:
        """Let go of a record whose effects are done; False if it is not in flight."""
        with self._lock:
            if not self._holds(record):
                return False
            del self._records[record.origin.partition][record.origin.offset]
            self._budget.remove(record)
            return self._windows[record.origin.partition].finish(record.origin.offset)

    def holds(self, record: Record) -> bool:
        """Tell whether this very record is in flight, not just one of the same offset, and stays so."""
        with self._lock:
            return self._holds(record) and record.origin.partition not in self._withheld

    def _holds(self, record: Record) -> bool:
        return self._records.get(record.origin.partition, {}).get(record.origin.offset) is record

    def partitions(self) -> frozenset[int]:
        """Return the partitions that are held."""
        with self._lock:
            return frozenset(self._windows)

    def unfinished(self, ends: Mapping[int, int]) -> int:
        """Return how many records before these ends of the partitions that are held are unread or unfinished."""
        with self._lock:
            held = self._windows.items()
            return sum(max(0, ends.get(number, 0) - window.next_offset) + window.unfinished for number, window in held)

    def oldest(self) -> datetime | None:
        """Return when the oldest record in flight was written, of the first one of each partition; None for none."""
        with self._lock:
            firsts = [next(iter(records.values())) for records in self._records.values() if records]
        return min((record.timestamp for record in firsts if record.timestamp is not None), default=None)

    def to_pause(self) -> set[int]:
        """Return the partitions that are not to be read for now."""
        with self._lock:
            if self._budget.is_over():
                return set(self._windows)
            return {partition for partition, window in self._windows.items() if window.is_full}

    def to_commit(self) -> dict[int, tuple[int, str]]:
        """Return the offset and metadata to commit of each partition."""
        with self._lock:
            return {number: (window.committable, window.metadata()) for number, window in self._windows.items()}
