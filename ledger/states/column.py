"""The column: which rows are stale as a change may have made another state of theirs, and rows by their state.

A row of `sessions` or `batches` is stale where its state is NULL. `changes` counts what made it so: a state that was
folded before the last change is not put. Who waits for a blocked account is not in the column, as that is no change
of the row: `unfinished` names the accounts that are not through, and whoever asks knows which are blocked.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

Table = Literal["sessions", "batches"]
RowKey = tuple[Any, ...]
"""The values of a row's KEYS."""

TABLES = """
CREATE TABLE sessions (
    name TEXT, type TEXT, mode TEXT, session_id TEXT, first INTEGER, last INTEGER, state TEXT, unfinished TEXT,
    changes INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (session_id, name, type, mode)
) WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (last);
CREATE INDEX sessions_by_state ON sessions (state, unfinished, last);
CREATE TABLE batches (
    batch_id TEXT PRIMARY KEY, name TEXT, type TEXT, last INTEGER, state TEXT, unfinished TEXT,
    changes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (last);
CREATE INDEX batches_by_state ON batches (state, unfinished, last);
"""
"""`batches` are those that no session tells; `last` is when their first record was appended."""

KEYS: Mapping[Table, Sequence[str]] = {
    "sessions": ("session_id", "name", "type", "mode"),
    "batches": ("batch_id",),
}

UNKNOWN = "unknown"
"""The state of a row whose records are gone, or are not valid after all."""

IS_STALE = "state IS NULL AND unfinished IS NULL"
"""The same twice, as the index has both before the time."""

AT_ONCE = 400
"""Positions that are marked at once: twice as many variables in a statement, of which older SQLite takes 999."""

MOST_BRANCHES = 100
"""Sets of unfinished accounts that are each looked for in order of time; among more it is sorted."""

_STALE = "SET state = NULL, unfinished = NULL, changes = changes + 1"
_MARKS_OF_ENDS = (
    "UPDATE sessions {stale} WHERE (session_id, name, type, mode) IN"
    " (SELECT r.session_id, r.name, r.type, r.mode FROM {records} AND r.session_id IS NOT NULL)",
    "UPDATE batches {stale} WHERE batch_id IN (SELECT r.batch_id FROM {records})",
)
_MARKS = (
    *_MARKS_OF_ENDS,
    # A session's runs also go by what came between its batches of another mode of their audience.
    "UPDATE sessions {stale} WHERE (session_id, name, type, mode) IN"
    " (SELECT o.session_id, o.name, o.type, o.mode FROM"
    " (SELECT r.audience AS audience, r.mode AS mode, min(r.at) AS since FROM {records} AND r.verdict = 'valid'"
    " GROUP BY 1, 2) m CROSS JOIN records o ON o.audience = m.audience AND o.at >= m.since AND o.verdict = 'valid'"
    " AND o.mode = CASE m.mode WHEN 'add' THEN 'remove' ELSE 'add' END AND o.session_id IS NOT NULL)",
)
_AT_WANTED = "wanted CROSS JOIN records r ON r.partition = p AND r.offset = o WHERE 1"
_ADDITIONS = (
    "INSERT INTO sessions (session_id, name, type, mode, first, last)"
    " SELECT r.session_id, r.name, r.type, r.mode, min(r.at), max(r.at) FROM {records}"
    " AND r.session_id IS NOT NULL AND r.verdict = 'valid' GROUP BY 1, 2, 3, 4"
    " ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    "INSERT INTO batches (batch_id, name, type, last)"
    " SELECT r.batch_id, coalesce(r.name, ''), coalesce(r.type, 'custom'), min(r.at) FROM {records}"
    " AND r.batch_id IS NOT NULL AND (r.session_id IS NULL OR r.verdict != 'valid') GROUP BY 1"
    " ON CONFLICT DO UPDATE SET last = min(last, excluded.last)",
)
_SETS = (
    "WITH RECURSIVE sets(one) AS (SELECT min(unfinished) FROM {table} WHERE state = 'in_progress' UNION ALL"
    " SELECT (SELECT min(unfinished) FROM {table} WHERE state = 'in_progress' AND unfinished > one) FROM sets"
    " WHERE one IS NOT NULL) SELECT one FROM sets WHERE one IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedState:
    """The state of a row if no account were blocked, and the accounts that are not through, if it is in progress."""

    state: str
    unfinished: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFilter:
    """Which folded states are asked for, none by None, and whether stale rows are, too."""

    state: str | None
    unfinished: Sequence[str] = ("",)
    with_stale: bool = True


def mark(connection: sqlite3.Connection, records: str, values: Sequence[object], before: str = "") -> None:
    """Mark stale what may have another state now that these records changed, or are about to.

    `records` selects them as `r`, from FROM on and with a condition; `before` stands before the statement.
    """
    for statement in _MARKS:
        connection.execute(before + statement.format(stale=_STALE, records=records), values)


def mark_of_ends(connection: sqlite3.Connection, records: str, values: Sequence[object], before: str = "") -> None:
    """Mark as `mark` what may have another state where no more changed than what accounts did with these records."""
    for statement in _MARKS_OF_ENDS:
        connection.execute(before + statement.format(stale=_STALE, records=records), values)


def mark_at(connection: sqlite3.Connection, positions: Sequence[tuple[int, int]]) -> None:
    """Mark stale what may have another state now that the records at some positions change."""
    for before, values in _wanted(positions):
        mark(connection, _AT_WANTED, values, before)


def mark_of_ends_at(connection: sqlite3.Connection, positions: Sequence[tuple[int, int]]) -> None:
    """Mark stale what may have another state now that accounts said something of the records at some positions."""
    for before, values in _wanted(positions):
        mark_of_ends(connection, _AT_WANTED, values, before)


def add_at(connection: sqlite3.Connection, positions: Sequence[tuple[int, int]]) -> None:
    """Add the rows that the records at some positions, which are new, are of; mark stale what they may change."""
    for before, values in _wanted(positions):
        for statement in _ADDITIONS:
            connection.execute(before + statement.format(records=_AT_WANTED), values)
        mark(connection, _AT_WANTED, values, before)


def _wanted(positions: Iterable[tuple[int, int]]) -> Iterator[tuple[str, list[int]]]:
    """Yield what stands before statements that select by _AT_WANTED, with its values, of some positions at a time."""
    rest = iter(positions)
    while some := list(islice(rest, AT_ONCE)):
        before = f"WITH wanted(p, o) AS (VALUES {', '.join(['(?, ?)'] * len(some))}) "
        yield before, [number for position in some for number in position]


def mark_all(connection: sqlite3.Connection) -> None:
    """Mark everything stale."""
    for table in KEYS:
        connection.execute(f"UPDATE {table} {_STALE}")


def has_folded(connection: sqlite3.Connection) -> bool:
    """Tell whether any state is not stale."""
    some = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE state > '')" for table in KEYS)  # noqa: S608 -- our own names
    return bool(connection.execute(f"SELECT {some}").fetchone()[0])


def stale(connection: sqlite3.Connection, table: Table, most: int) -> list[tuple[int, RowKey]]:
    """Return the newest rows that are stale, each by its number of changes and its key."""
    query = f"SELECT changes, {', '.join(KEYS[table])} FROM {table} WHERE {IS_STALE} ORDER BY last DESC LIMIT ?"  # noqa: S608 -- our own names
    return [(row[0], row[1:]) for row in connection.execute(query, (most,))]


def put(connection: sqlite3.Connection, table: Table, folded: Iterable[tuple[int, RowKey, FoldedState]]) -> None:
    """Put states that were folded, each with the number of changes then: not where there was another one since."""
    key = " AND ".join(f"{name} = ?" for name in KEYS[table])
    rows = [(found.state, found.unfinished, *names, changes) for changes, names, found in folded]
    connection.executemany(f"UPDATE {table} SET state = ?, unfinished = ? WHERE {key} AND changes = ?", rows)  # noqa: S608 -- our own names


def unfinished_sets(connection: sqlite3.Connection, table: Table) -> list[str]:
    """Return each set of accounts that something waits for which is in progress."""
    return [row[0] for row in connection.execute(_SETS.format(table=table))]


def newest(
    connection: sqlite3.Connection,
    table: Table,
    filters: Mapping[str, object],
    before: Sequence[object] | None,
    most: int,
    wanted: StateFilter | None,
) -> Iterator[tuple[Any, ...]]:
    """Yield so many rows by time and key, the newest first, those behind `before` only.

    `filters` are values by the conditions with them. Where a state is wanted, those come that are in it or, unless it
    says otherwise, stale: each
    kind is read in the order of an index, and no more of it than the page may hold.
    """
    key, chosen = ("last", *KEYS[table]), {text: value for text, value in filters.items() if value is not None}
    values: dict[str, object] = {f"v{number}": value for number, value in enumerate(chosen.values())}
    conditions = [text.replace("?", f":v{number}") for number, text in enumerate(chosen)]
    if before is not None:
        values |= {f"b{number}": value for number, value in enumerate(before)}
        conditions.append(f"({', '.join(key)}) < ({', '.join(f':b{number}' for number in range(len(key)))})")
    order = f"ORDER BY {', '.join(f'{name} DESC' for name in key)} LIMIT {most}"
    branches = [
        f"SELECT {', '.join(key)} FROM {table} WHERE {' AND '.join([*conditions, one])} {order}"  # noqa: S608 -- our own names
        for one in _kinds(wanted, values)
    ]
    query = " UNION ALL ".join(f"SELECT * FROM ({branch})" for branch in branches)  # noqa: S608 -- our own names
    yield from connection.execute(f"{query} {order}" if len(branches) > 1 else branches[0], values)


def _kinds(wanted: StateFilter | None, values: dict[str, object]) -> list[str]:
    """Return a condition for each kind of rows that is asked for, whose values are added."""
    if wanted is None:
        return ["1"]
    stale = [IS_STALE] if wanted.with_stale else []
    if wanted.state is None:
        return stale
    values["state"] = wanted.state
    names = [f":u{number}" for number in range(len(wanted.unfinished))]
    values |= {name[1:]: one for name, one in zip(names, wanted.unfinished, strict=True)}
    if len(names) > MOST_BRANCHES:
        return [*stale, f"state = :state AND unfinished IN ({', '.join(names)})"]
    return [*stale, *(f"state = :state AND unfinished = {name}" for name in names)]
