"""How far accounts are with the batches of a session, counted by the view's file without reading each record."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ledger.states.rule import EndCounts

AT_ONCE = 400
"""Batches that are counted at once: older SQLite takes 999 variables in a statement."""

_OF_SESSION = (
    "WITH wanted(b) AS (VALUES {marks}) SELECT {columns}"
    " FROM wanted CROSS JOIN records r INDEXED BY records_by_batch ON r.batch_id = b {ends}"
    " WHERE r.verdict = 'valid' AND r.session_id = ? AND r.name = ? AND r.type = ? AND r.mode = ? GROUP BY {groups}"
)
_RECORDS = _OF_SESSION.format(marks="{marks}", columns="b, count(*), count(DISTINCT r.part)", ends="", groups="b")
_IN_VAIN = "NOT e.superseded AND NOT e.accepted AND (e.mode = 'add' OR e.rejected >= e.received)"
"""What `EndRow.is_in_vain` says, which a test holds."""
_ENDS = _OF_SESSION.format(
    marks="{marks}",
    columns=(
        "b, e.target, count(*), sum(e.status = 'failed'), sum(e.status = 'retrying'), sum(e.status = 'skipped'),"
        f" sum({_IN_VAIN}), sum(e.rejected > 0), sum(e.delivery != 'live')"
    ),
    ends="CROSS JOIN ends e ON e.partition = r.partition AND e.offset = r.offset",
    groups="b, e.target",
)

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCounts:
    """Records of a batch, and how many of its parts they are."""

    records: int
    parts: int


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Counts by the ids of batches, and by accounts of those."""

    records: dict[str, RecordCounts] = field(default_factory=dict)
    ends: dict[str, dict[str, EndCounts]] = field(default_factory=dict)
    replayed: set[str] = field(default_factory=set)
    """Batches of which a record has several ends of one account: what they amount to takes reading them."""


def read_run_counts(connection: sqlite3.Connection, key: Key, batch_ids: Iterable[str]) -> RunCounts:
    """Return what is counted of a session's batches. Raises sqlite3.Error."""
    found, rest = RunCounts(), iter(batch_ids)
    while some := list(islice(rest, AT_ONCE)):
        marks, values = ", ".join(["(?)"] * len(some)), (*some, *key)
        for batch_id, records, parts in connection.execute(_RECORDS.format(marks=marks), values):
            found.records[batch_id] = RecordCounts(records=records, parts=parts)
        for row in connection.execute(_ENDS.format(marks=marks), values):
            _note(found, row[0], row[1], row[2:])
    return found


def _note(found: RunCounts, batch_id: str, target: str, counts: Sequence[int]) -> None:
    words, failed, retrying, skipped, in_vain, with_rejected, replays = counts
    if replays:
        found.replayed.add(batch_id)
    ends: Mapping[str, EndCounts] = {
        target: EndCounts(
            words=words,
            failed=failed,
            retrying=retrying,
            skipped=skipped,
            in_vain=in_vain,
            with_rejected=with_rejected,
        )
    }
    found.ends.setdefault(batch_id, {}).update(ends)
