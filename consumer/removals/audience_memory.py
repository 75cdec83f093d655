"""What the log says of one audience with removals, as far as it was read."""

import threading
import time
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from consumer.ordering.identifier_index import IdentifierIndex
from consumer.ordering.log_position import LogPosition, Verb
from consumer.ordering.removal_memory import Later, RemovalMemory
from consumer.removals.identifiers import Hashes

AT_ONCE = 250
"""People that are noted at once: what asks meanwhile waits no longer than that takes."""


@dataclass(slots=True)
class _Additions:
    """Where a partition has additions to the audience, and when they were appended."""

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))

    def note(self, place: LogPosition) -> None:
        if not self.offsets or self.offsets[-1] < place.offset:
            self.offsets.append(place.offset)
            self.times.append(place.appended_at)

    def forget_before(self, offset: int) -> None:
        gone = bisect_left(self.offsets, offset)
        del self.offsets[:gone], self.times[:gone]


@dataclass(slots=True)
class AudienceMemory:
    """Who was removed from an audience and added since, and which identifiers stood in one row.

    It is told records on one thread and asked on others.
    """

    log_id: str | None = None
    read_to: dict[int, int] = field(default_factory=dict)
    """Of each partition the offset that is to be read next."""
    _memory: RemovalMemory = field(init=False)
    _index: IdentifierIndex = field(default_factory=IdentifierIndex)
    _additions: defaultdict[int, _Additions] = field(default_factory=lambda: defaultdict(_Additions))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._memory = RemovalMemory(log_id=self.log_id)

    def note(self, place: LogPosition, verb: Verb, people: Iterable[Hashes]) -> None:
        """Note a record; those of a partition come in their order."""
        for some in _cut(people):
            time.sleep(0)  # other threads may want to go on
            with self._lock:
                named = list(chain.from_iterable(some))
                if verb == "add":
                    self._index.note(some)
                self._memory.note(place, verb, self._index.meant_by(named) if verb == "remove" else named)
        if verb == "add":
            with self._lock:
                self._additions[place.partition].note(place)

    def superseded(self, place: LogPosition, verb: Verb, people: Sequence[Hashes]) -> dict[int, dict[bytes, Later]]:
        """Return whom a record that is done late leaves as they are; see `RemovalMemory.superseded`."""
        found: dict[int, dict[bytes, Later]] = {}
        for first, some in zip(range(0, len(people), AT_ONCE), _cut(people), strict=True):
            with self._lock:
                of_some = self._memory.superseded(place, verb, some)
            found |= {first + position: later for position, later in of_some.items()}
        return found

    def owed(
        self, place: LogPosition, verb: Verb, identifiers: Iterable[bytes], *, is_suspect: bool
    ) -> dict[Later, list[bytes]]:
        """Return which later records are to be done again for whom; see `RemovalMemory.owed`."""
        with self._lock:
            return self._memory.owed(place, verb, identifiers, is_suspect=is_suspect)

    def has_others(self, identifiers: Hashes) -> bool:
        """Tell whether somebody stood in a row with more identifiers than these."""
        with self._lock:
            return self._index.has_others(identifiers)

    def meant(self, place: LogPosition, identifiers: Hashes) -> list[bytes]:
        """Return all identifiers that a removal means which names these."""
        with self._lock:
            return [one for one in self._index.meant_by(identifiers) if self._memory.is_meant(place, one)]

    def knows(self, identifiers: Hashes) -> bool:
        """Tell whether any row was seen of a person."""
        with self._lock:
            return self._index.knows(identifiers)

    def additions_before(self, place: LogPosition) -> dict[int, list[int]]:
        """Return the offsets of the additions before a place, by partition; of other partitions by append time."""
        with self._lock:
            return {number: found for number in self._additions if (found := self._before(number, place))}

    def _before(self, number: int, place: LogPosition) -> list[int]:
        held = self._additions[number]
        if number == place.partition:
            return list(held.offsets[: bisect_left(held.offsets, place.offset)])
        return [offset for offset, time in zip(held.offsets, held.times, strict=True) if time <= place.appended_at]

    def forget_before(self, partition: int, offset: int) -> None:
        """Forget what has left the log."""
        with self._lock:
            self._additions[partition].forget_before(offset)
            others = [held.times[0] for number, held in self._additions.items() if number != partition and held.times]
            self._memory.forget_before(partition, offset, min(others, default=float("inf")))


def _cut(people: Iterable[Hashes]) -> Iterator[list[Hashes]]:
    rest = iter(people)
    while some := list(islice(rest, AT_ONCE)):
        yield some
