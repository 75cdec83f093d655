"""Which of the things that changed a filter lets through."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from ledger.view import RecordRow, SessionKey
from producer.events.change_log import Change
from producer.events.event_filter import EventFilter

MOST_AT_ONCE = 64
"""Events that a listener is sent in one go, and a few more where the last change is of two things."""

Numbered = tuple[int, Change]


class Subject(Struct, frozen=True):
    """What an event is about."""

    kind: Literal["session", "batch", "account", "loss"]
    key: str | SessionKey


def subjects_of(change: Change, records: Mapping[str, RecordRow], chosen: EventFilter) -> Iterator[Subject]:
    """Yield what is told of a change to who asks for this; of a batch that is not known any more nothing."""
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

    A thousand listeners may each ask for a session of their own: none of them is to go through all changes.
    """

    numbered: Sequence[Numbered]
    records: Mapping[str, RecordRow]
    _by_session: dict[str, list[Numbered]] = field(default_factory=dict, init=False)
    _by_name: dict[str, list[Numbered]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for one in self.numbered:
            record = self.records.get(one[1].key)
            if record is not None:
                self._by_session.setdefault(record.session_id or "", []).append(one)
                self._by_name.setdefault(record.name, []).append(one)

    def chosen(self, chosen: EventFilter) -> tuple[Sequence[Subject], int]:
        """Return what is told of the changes, each thing once and as much as goes at once, and up to which number."""
        narrowed = self._narrowed(chosen)
        if not narrowed:
            return (), self.numbered[-1][0]
        found: dict[Subject, None] = {}
        for number, change in narrowed:
            found.update(dict.fromkeys(subjects_of(change, self.records, chosen)))
            if len(found) >= MOST_AT_ONCE:
                return list(found), number
        return list(found), self.numbered[-1][0]

    def _narrowed(self, chosen: EventFilter) -> Sequence[Numbered]:
        if chosen.session is not None:
            return self._by_session.get(chosen.session, ())
        if chosen.name is not None:
            return self._by_name.get(chosen.name, ())
        return self.numbered
