"""Who was removed from an audience, and who was added again since: a fold over the log."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from consumer.ordering.log_position import LogPosition, Verb
from schemas.records import is_of_log

_NO_TIME = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The record that decides about an identifier instead of an earlier one.

    It is not certain where append times had to be compared.
    """

    partition: int
    offset: int
    is_certain: bool = True


@dataclass(slots=True)
class _Partition:
    """The removals of one partition, and the additions that came after them.

    Values are offsets: one object for all identifiers of a record, so that an entry costs its key and its slot.
    """

    number: int
    removed: dict[bytes, int] = field(default_factory=dict)
    added: dict[bytes, int] = field(default_factory=dict)
    """Last additions after the removals, of this partition."""
    added_elsewhere: dict[bytes, LogPosition] = field(default_factory=dict)
    """The same of other partitions, by append time."""
    times: dict[int, int] = field(default_factory=dict)
    """When each removal was appended."""

    def note_removal(self, place: LogPosition, identifiers: Iterable[bytes]) -> None:
        removed, added, offset = self.removed, self.added, place.offset
        self.times[offset] = place.appended_at
        for identifier in identifiers:
            if removed.get(identifier, -1) < offset:
                removed.pop(identifier, None)  # to the end: `forget_before` goes from the earliest on
                removed[identifier] = offset
                if added and added.get(identifier, offset) < offset:
                    del added[identifier]
                elsewhere = self.added_elsewhere.get(identifier)
                if elsewhere is not None and elsewhere.appended_at <= place.appended_at:
                    del self.added_elsewhere[identifier]

    def note_addition(self, place: LogPosition, identifiers: Iterable[bytes]) -> None:
        removed = self.removed
        if not removed:
            return
        if place.partition != self.number:
            self._note_elsewhere(place, identifiers)
            return
        added, offset = self.added, place.offset
        for identifier in identifiers:
            if removed.get(identifier, offset) < offset and added.get(identifier, -1) < offset:
                added[identifier] = offset

    def _note_elsewhere(self, place: LogPosition, identifiers: Iterable[bytes]) -> None:
        for identifier in identifiers:
            removal = self.removed.get(identifier)
            before = self.added_elsewhere.get(identifier)
            is_newer = before is None or before.appended_at < place.appended_at
            if removal is not None and self.times[removal] < place.appended_at and is_newer:
                self.added_elsewhere[identifier] = place

    def removal_after(self, place: LogPosition, identifier: bytes) -> int | None:
        """Return the last removal where that is later; of two with the same append time it is the removal."""
        offset = self.removed.get(identifier)
        if offset is None:
            return None
        if place.partition == self.number:
            return offset if offset > place.offset else None
        return offset if self.times[offset] >= place.appended_at else None

    def addition_after(self, place: LogPosition, identifier: bytes) -> Later | None:
        """Return the last addition where that is later than a removal at a place, and no removal is later still."""
        offset, elsewhere = self.added.get(identifier), self.added_elsewhere.get(identifier)
        if offset is not None and (place.partition == self.number and offset > place.offset):
            return Later(partition=self.number, offset=offset)
        if elsewhere is not None and elsewhere.appended_at > place.appended_at:
            return Later(partition=elsewhere.partition, offset=elsewhere.offset, is_certain=False)
        return None

    def is_in(self, identifier: bytes) -> bool:
        """Tell whether somebody was added after the last removal."""
        return identifier in self.added or identifier in self.added_elsewhere

    def forget_before(self, offset: int, elsewhere: float) -> None:
        """Forget removals that were before an offset, and before what is left of other partitions."""

        def is_gone(removal: int) -> bool:
            return removal < offset and self.times[removal] < elsewhere

        for identifier in list(takewhile(lambda one: is_gone(self.removed[one]), self.removed)):
            del self.removed[identifier]
            self.added.pop(identifier, None)
            self.added_elsewhere.pop(identifier, None)
        still = set(self.removed.values())
        self.times = {removal: time for removal, time in self.times.items() if removal in still}


@dataclass(slots=True, kw_only=True)
class RemovalMemory:
    """What an account's copy of the log says of who left one of its platform audiences.

    It is told all records of the audience, those of each partition in the order of the log, again wherever that is
    easier: the same again changes nothing. What became of a record counts for nothing, as it may be sent again at any
    time: the last that the log says of somebody holds. An identifier is a keyed hash of the platform's normal form.
    Before the first removal it holds nothing.
    """

    log_id: str | None = None
    _partitions: dict[int, _Partition] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many identifiers are known to have been removed."""
        return sum(len(partition.removed) for partition in self._partitions.values())

    def note(self, place: LogPosition, verb: Verb, identifiers: Iterable[bytes]) -> None:
        """Note a record of the log: of a removal all identifiers that it means. Another log's counts for nothing."""
        if not is_of_log(place.log_id, self.log_id):
            return
        if verb == "remove":
            partition = self._partitions.setdefault(place.partition, _Partition(place.partition))
            partition.note_removal(place, identifiers)
        elif self._partitions:
            known = list(identifiers)
            for partition in self._partitions.values():
                partition.note_addition(place, known)

    def superseded(
        self, place: LogPosition, verb: Verb, people: Iterable[Sequence[bytes]]
    ) -> dict[int, dict[bytes, Later]]:
        """Return which people a record that is done late leaves alone, by position, with the identifiers concerned.

        An addition leaves alone who was removed after it, a removal who was added after it. Where that is true of some
        of a person's identifiers only, the others are still to be added or removed.
        """
        if not self._partitions or not is_of_log(place.log_id, self.log_id):
            return {}
        found: dict[int, dict[bytes, Later]] = {}
        later_of = self._removal_after if verb == "add" else self._addition_after
        removed = [partition.removed for partition in self._partitions.values()]
        first, others = removed[0], removed[1:]
        for position, identifiers in enumerate(people):
            for identifier in identifiers:
                is_known = identifier in first or any(identifier in other for other in others)
                if is_known and (later := later_of(place, identifier)) is not None:
                    found.setdefault(position, {})[identifier] = later
        return found

    def owed(
        self, place: LogPosition, verb: Verb, identifiers: Iterable[bytes], *, is_suspect: bool = False
    ) -> dict[Later, list[bytes]]:
        """Return the later records that are to be done again, each with the identifiers concerned.

        A call of this record may have taken effect after the calls of later ones, and so have undone what they did.
        That can happen wherever later records did not have to wait for this one. It is to be asked once no call of
        the record can take effect any more and the log has been read to its end.

        A record is suspect where another process may have had it and died. That process may have been doing later
        records again itself, so the last call may have been an addition or a removal, whatever this record is.
        """
        owed: dict[Later, list[bytes]] = {}
        if not is_of_log(place.log_id, self.log_id):
            return owed
        for identifier in identifiers:
            later = self._undone(place, verb, identifier, is_suspect)
            if later is not None:
                owed.setdefault(later, []).append(identifier)
        return owed

    def _undone(self, place: LogPosition, verb: Verb, identifier: bytes, is_suspect: bool) -> Later | None:
        """Return the last record of an identifier if that is later, and if a call may have undone it."""
        removal = self._removal_after(place, identifier)
        if removal is not None and not self._is_in(identifier):
            return removal if verb == "add" or is_suspect else None
        is_undone = verb == "remove" or (is_suspect and removal is not None)
        return self._addition_after(place, identifier) if is_undone else None

    def is_meant(self, place: LogPosition, identifier: bytes) -> bool:
        """Tell whether a removal, or a later one, was noted to mean an identifier."""
        partition = self._partitions.get(place.partition)
        return partition is not None and partition.removed.get(identifier, -1) >= place.offset

    def forget_before(self, partition: int, offset: int, elsewhere: float = _NO_TIME) -> None:
        """Forget the removals of a partition that have left the log with all that is older.

        `offset` is the first that the partition still has. `elsewhere` is the append time of the oldest record of the
        audience that other partitions still have.
        """
        held = self._partitions.get(partition)
        if held is None:
            return
        held.forget_before(offset, elsewhere)
        if not held.removed:
            del self._partitions[partition]

    def _removal_after(self, place: LogPosition, identifier: bytes) -> Later | None:
        certain, other = None, None
        for partition in self._partitions.values():
            offset = partition.removal_after(place, identifier)
            if offset is not None:
                is_certain = partition.number == place.partition
                later = Later(partition=partition.number, offset=offset, is_certain=is_certain)
                certain, other = (later, other) if is_certain else (certain, later)
        return certain or other

    def _addition_after(self, place: LogPosition, identifier: bytes) -> Later | None:
        found = (partition.addition_after(place, identifier) for partition in self._partitions.values())
        return max(filter(None, found), key=lambda later: later.is_certain, default=None)

    def _is_in(self, identifier: bytes) -> bool:
        return all(partition.is_in(identifier) for partition in self._holding(identifier))

    def _holding(self, identifier: bytes) -> Iterator[_Partition]:
        return (partition for partition in self._partitions.values() if identifier in partition.removed)
