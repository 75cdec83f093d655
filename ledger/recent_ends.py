"""What happened lately, over all sessions: the last words on records, what failed, how fast, and the audiences."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from ledger.session_batch_query import time_of
from schemas.records import AudienceType

_COLUMNS = (
    "e.partition, e.offset, e.target, e.delivery, e.status, coalesce(nullif(e.finished, 0), e.started, r.at),"
    " e.received, e.accepted, e.rejected, e.error_code, e.attempts, r.batch_id, r.session_id, r.name, r.type, r.mode"
)
_FROM = "FROM ends e LEFT JOIN records r ON r.partition = e.partition AND r.offset = e.offset"
_NEWEST = f"SELECT {_COLUMNS} {_FROM} WHERE e.target = ? AND e.finished {{}} ORDER BY e.finished DESC LIMIT ?"
_NOT_THROUGH = (
    "NOT EXISTS (SELECT 1 FROM ends o WHERE o.partition = e.partition AND o.offset = e.offset AND o.target = e.target"
    " AND o.rank = 2)"
)
_FAILED = (
    f"SELECT {_COLUMNS} {_FROM} WHERE e.target = ? AND e.rank = 1 AND {_NOT_THROUGH} ORDER BY e.finished DESC LIMIT ?"
)
_COUNTED = f"SELECT count(*) FROM ends e WHERE e.target = ? AND e.rank = 1 AND {_NOT_THROUGH}"  # noqa: S608 -- our own names
_SPEED = "SELECT (finished - ?) / ?, sum(received) FROM ends WHERE target = ? AND finished >= ? AND rank > 0 GROUP BY 1"
_AUDIENCES = (
    "SELECT audience, max(at), name, type, count(DISTINCT batch_id), sum(CASE mode WHEN 'add' THEN users ELSE 0 END),"
    " sum(CASE mode WHEN 'remove' THEN users ELSE 0 END) FROM records WHERE verdict = 'valid' AND audience IS NOT NULL"
    " GROUP BY audience, type ORDER BY 2 DESC, 1 LIMIT ? OFFSET ?"
)
_IDS = (
    "SELECT e.audience_id FROM records r JOIN ends e ON e.partition = r.partition AND e.offset = r.offset"
    " WHERE r.audience = ? AND r.mode = ? AND r.verdict = 'valid' AND e.target = ? AND e.audience_id IS NOT NULL"
    " ORDER BY r.at DESC LIMIT 1"
)


class RecentEnd(Struct, frozen=True, kw_only=True):
    """The last word of one account on one record in one delivery of it, with what the record is of."""

    partition: int
    offset: int
    target: str
    delivery: str
    status: str
    at: datetime | None
    """When it ended, or when the last try began; None where neither is known."""
    received: int
    accepted: int
    rejected: int
    error_code: str | None
    attempts: int
    batch_id: str | None
    session_id: str | None
    name: str | None
    type: str | None
    mode: str | None


class AudienceRow(Struct, frozen=True, kw_only=True):
    """An audience as uploads named it last; `users` were to be added, `removals` taken out."""

    platform_name: str
    last_at: datetime
    name: str
    type: AudienceType
    batches: int
    users: int
    removals: int


def newest_ends(connection: sqlite3.Connection, targets: Sequence[str], most: int) -> list[RecentEnd]:
    """Return the newest last words of these accounts, so many at most. Raises sqlite3.Error."""
    return _newest(connection, [(_NEWEST.format("> 0"), target) for target in targets], most)


def open_ends(connection: sqlite3.Connection, targets: Sequence[str], most: int) -> list[RecentEnd]:
    """Return what is tried again, so much at most. Raises sqlite3.Error."""
    return _newest(connection, [(_NEWEST.format("= 0"), target) for target in targets], most)


def failed_ends(connection: sqlite3.Connection, targets: Sequence[str], most: int) -> list[RecentEnd]:
    """Return what was given up and did not get through since, the newest first. Raises sqlite3.Error."""
    return _newest(connection, [(_FAILED, target) for target in targets], most)


def count_failed(connection: sqlite3.Connection, target: str) -> int:
    """Return how many records an account gave up that did not get through since. Raises sqlite3.Error."""
    return int(connection.execute(_COUNTED, (target,)).fetchone()[0])


def users_by_step(connection: sqlite3.Connection, target: str, since: int, step: int) -> Mapping[int, int]:
    """Return with how many users an account was through in each step since a time, both in milliseconds."""
    return dict(connection.execute(_SPEED, (since, step, target, since)).fetchall())


def newest_audiences(connection: sqlite3.Connection, most: int, after: int) -> list[AudienceRow]:
    """Return audiences by their last upload, behind the first so many. Raises sqlite3.Error."""
    return [
        AudienceRow(
            platform_name=row[0],
            last_at=time_of(row[1]),
            name=row[2],
            type=row[3],
            batches=row[4],
            users=row[5],
            removals=row[6],
        )
        for row in connection.execute(_AUDIENCES, (most, after))
    ]


def audience_id(connection: sqlite3.Connection, platform_name: str, target: str) -> str | None:
    """Return what an account calls an audience, as far as completions say; None where none does."""
    for mode in ("add", "remove"):
        found = connection.execute(_IDS, (platform_name, mode, target)).fetchone()
        if found is not None:
            return str(found[0])
    return None


def _newest(connection: sqlite3.Connection, queries: Sequence[tuple[str, str]], most: int) -> list[RecentEnd]:
    found = [end for query, target in queries for end in _ends(connection.execute(query, (target, most)))]
    return sorted(found, key=lambda end: (end.at is not None, end.at and end.at.timestamp()), reverse=True)[:most]


def _ends(rows: sqlite3.Cursor) -> Iterator[RecentEnd]:
    return (_end(row) for row in rows)


def _end(row: Sequence[Any]) -> RecentEnd:
    return RecentEnd(
        partition=row[0],
        offset=row[1],
        target=row[2],
        delivery=row[3],
        status=row[4],
        at=None if row[5] is None else time_of(row[5]),
        received=row[6],
        accepted=row[7],
        rejected=row[8],
        error_code=row[9],
        attempts=row[10],
        batch_id=row[11],
        session_id=row[12],
        name=row[13],
        type=row[14],
        mode=row[15],
    )
