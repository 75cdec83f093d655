"""The batches of a session, as the view's records amount to them."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.session_runs import SeenBatch
from schemas.records import RESUMED

MOST_BATCHES = 2_000
"""Newest batches of a session that are looked at; a client that always names the same session has ever more."""

MOST_RECORDS = 50_000
"""Newest records of a session that are looked at, in however few batches."""

MORE = 8
"""Times as many records are looked at where those before were of too few batches."""

Row = Sequence[Any]

_COLUMNS = (
    "at, partition, offset, batch_id, part, parts, users, sequence, total_batches, total_users, content_hash,"
    " disable_prefix, channels, source, audience, mode"
)
_BATCH_ID, _PART, _USERS, _SOURCE = 3, 4, 6, 13

_NEWEST = (
    f"SELECT {_COLUMNS} FROM records WHERE session_id = ? AND name = ? AND type = ? AND mode = ?"  # noqa: S608 -- our own names
    " AND verdict = 'valid' ORDER BY at DESC, partition DESC, offset DESC LIMIT ?"
)
_HAS_MODE = "SELECT EXISTS (SELECT 1 FROM records WHERE audience = ? AND verdict = 'valid' AND mode = ?)"
_MODES_BEFORE = (
    "WITH wanted(i, t, p, o) AS (SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]') FROM json_each(?3))"
    " SELECT i, (SELECT at FROM records WHERE audience = ?1 AND verdict = 'valid' AND mode = ?2 AND at <= t"
    " AND (at, partition, offset) < (t, p, o) ORDER BY at DESC LIMIT 1) FROM wanted"
)


def read_batches(connection: sqlite3.Connection, key: tuple[str, str, str, str], most: int) -> list[SeenBatch]:
    """Return the newest batches of a session in the order of the log, so many at most.

    `key` is id, name, type and mode. Each batch stands where its first record does; a part that stands there twice
    counts once. Raises sqlite3.Error.
    """
    looked_at = most
    while True:
        rows = connection.execute(_NEWEST, (*key, looked_at)).fetchall()
        newest = list(dict.fromkeys(row[_BATCH_ID] for row in rows))
        if len(rows) < looked_at or len(newest) >= most or looked_at >= MOST_RECORDS:
            break
        looked_at = min(MOST_RECORDS, MORE * looked_at)
    wanted = set(newest[:most])
    return _merged(connection, (row for row in reversed(rows) if row[_BATCH_ID] in wanted))


def _merged(connection: sqlite3.Connection, rows: Iterable[Row]) -> list[SeenBatch]:
    """Return what records in the order of the log amount to."""
    firsts: dict[str, Row] = {}
    users: dict[str, dict[int, int]] = {}
    for row in rows:
        firsts.setdefault(row[_BATCH_ID], row)
        users.setdefault(row[_BATCH_ID], {}).setdefault(row[_PART] or 1, row[_USERS])
    others = _other_modes(connection, firsts.values())
    return [_seen(first, users[batch_id], others.get(batch_id)) for batch_id, first in firsts.items()]


def _seen(first: Row, users: Mapping[int, int], other_mode_at: datetime | None) -> SeenBatch:
    """Return a batch by its first record and the users of each of its parts."""
    at, _, _, batch_id, _, parts, _, sequence, total_batches, total_users, content_hash, no_prefix, channels, *_ = first
    return SeenBatch(
        batch_id=batch_id or "",
        sequence=sequence or 0,
        total_batches=total_batches,
        total_users=total_users,
        users=sum(users.values()),
        parts=parts or 1,
        parts_seen=len(users),
        content_hash=content_hash,
        disable_prefix=bool(no_prefix),
        channels=None if channels is None else tuple(json.loads(channels)),
        at=time_of(at),
        other_mode_at=other_mode_at,
        is_resumed=first[_SOURCE] == RESUMED,
    )


def _other_modes(connection: sqlite3.Connection, firsts: Iterable[Row]) -> dict[str, datetime]:
    """Return, by batch, when the last record of another mode of its audience before its first one was appended.

    Most audiences have nothing of it, which is asked once; of the others all batches are asked for in one go.
    """
    by_other: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in firsts:
        *_, audience, mode = row
        by_other[audience, "remove" if mode == "add" else "add"].append(row)
    found: dict[str, datetime] = {}
    for other, rows in by_other.items():
        if connection.execute(_HAS_MODE, other).fetchone()[0]:
            places = json.dumps([row[:3] for row in rows])
            times = connection.execute(_MODES_BEFORE, (*other, places))
            found |= {rows[index][_BATCH_ID]: time_of(at) for index, at in times if at is not None}
    return found


def time_of(millis: int) -> datetime:
    """Return a time of the view, which are in milliseconds."""
    return datetime.fromtimestamp(millis / 1000, UTC)
