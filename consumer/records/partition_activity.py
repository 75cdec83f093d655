"""In which partitions of a reader records are worked on, or calls may take effect later: who leaves one says so."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from consumer.ordering.standing import NEVER


@dataclass(slots=True, kw_only=True)
class PartitionActivity:
    """How many records of each partition are worked on. Only the event loop changes it; any thread may ask."""

    longest_call: float
    """Seconds for which a call may still take effect whose end nobody waited for."""
    _working: Counter[int] = field(default_factory=Counter)
    _until: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def work(self, partition: int) -> Iterator[None]:
        """Note that a record of a partition is worked on within the block; if that is cut off, its calls may go on."""
        self._working[partition] += 1
        try:
            yield
        except BaseException:
            self.doubt(partition, time.monotonic() + self.longest_call)
            raise
        finally:
            self._working[partition] -= 1

    def doubt(self, partition: int, until: float) -> None:
        """Note that calls may take effect until a time of the monotonic clock."""
        self._until[partition] = max(until, self._until.get(partition, NEVER))

    def is_quiet(self, partition: int) -> bool:
        """Tell whether no record of a partition is worked on, and no call of one may take effect any more."""
        return not self._working.get(partition, 0) and self._until.get(partition, NEVER) <= time.monotonic()
