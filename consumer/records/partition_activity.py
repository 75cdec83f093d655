"""What of a reader's partitions is under way, or may take effect later: who leaves them then says so."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from consumer.ordering.standing import NEVER


@dataclass(slots=True, kw_only=True)
class PartitionActivity:
    """The records that are worked on, by partition. The event loop alone changes it; any thread may ask."""

    longest_call: float
    """Seconds for which a call may take effect that was left alone."""
    _working: Counter[int] = field(default_factory=Counter)
    _until: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def work(self, partition: int) -> Iterator[None]:
        """Note that a record of a partition is worked on within the block; cut off, its calls may go on."""
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
        """Tell whether nothing of a partition is under way."""
        return not self._working.get(partition, 0) and self._until.get(partition, NEVER) <= time.monotonic()
