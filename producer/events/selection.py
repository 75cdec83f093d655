"""Which of the things that changed a filter lets through."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ledger.view import RecordRow, SessionKey
from producer.events.change_log import Change
from producer.events.event_filter import ANY, EventFilter, Key
from producer.events.resources import Kind

MOST_AT_ONCE = 64
"""Events that a listener is sent in one go, and a few more where the last change is of two things."""

Numbered = tuple[int, Change]


class Subject(Struct, frozen=True):
    """What an event is about."""

    kind: Kind
    key: str | SessionKey


def subjects_of(change: Change, records: Mapping[str, RecordRow], chosen: EventFilter) -> Iterator[Subject]:
    """Yield what is told of a change to who asks for this; of a batch that is not known any more nothing."""
    if "change" in chosen.kinds:
        yield Subject("change", "")
    if change.kind != "batch":
        if change.kind in chosen.kinds and chosen.has_account(change.key.partition(" ")[0]):
            yield Subject(change.kind, change.key)
        return
    record = records.get(change.key)
    if record is None or not chosen.asks_for_batches or not chosen.has(record):
        return
    if "batch" in chosen.kinds:
        yield Subject("batch", change.key)
    if "session" in chosen.kinds and record.session_id is not None and record.verdict == "valid":
        yield Subject("session", SessionKey(record.session_id, record.name, record.type, record.mode))


@dataclass(slots=True)
class Changes:
    """Changes in their order, one at least, and the first record of each batch among them that is known.

    A thousand listeners may each ask for a session of their own: none of them is to go through all changes, and
    nobody is to go through all of them for a change.
    """

    numbered: Sequence[Numbered]
    records: Mapping[str, RecordRow]
    _by_key: dict[Key, Sequence[Numbered]] = field(init=False)

    def __post_init__(self) -> None:
        by_key: defaultdict[Key, list[Numbered]] = defaultdict(list)
        for one in self.numbered:
            record = self.records.get(one[1].key)
            if record is not None:
                by_key["session", record.session_id or ""].append(one)
                by_key["batch", record.batch_id].append(one)
                by_key["name", record.name].append(one)
        self._by_key = {**by_key, ANY: self.numbered}

    @property
    def keys(self) -> Collection[Key]:
        """The keys of all filters that may let one of them through."""
        return self._by_key.keys()

    def chosen(self, chosen: EventFilter) -> tuple[Sequence[Subject], int]:
        """Return what is told of the changes, each thing once and as much as goes at once, and up to which number."""
        found: dict[Subject, None] = {}
        for number, change in self._by_key.get(chosen.key, ()):
            found.update(dict.fromkeys(subjects_of(change, self.records, chosen)))
            if len(found) >= MOST_AT_ONCE:
                return list(found), number
        return list(found), self.numbered[-1][0]
