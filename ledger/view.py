"""The view: what receipts and completions fold into, in a local SQLite file that can be thrown away at any time."""

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import structlog
from msgspec import Struct, structs

from ledger.session_batch_query import MOST_BATCHES, read_batches, time_of
from ledger.session_runs import SeenBatch
from ledger.states import column
from ledger.states.column import FoldedState, RowKey, StateFilter, Table
from ledger.states.run_counts import RunCounts, read_run_counts
from schemas.records import AudienceType, BatchCompletion, BatchReceipt, Mode, Origin

T = TypeVar("T")
ReportT = TypeVar("ReportT")
Place = TypeVar("Place")
Asked = TypeVar("Asked")
Position = tuple[int, int]
"""Partition and offset of a record of the log."""

log = structlog.get_logger()

DAMAGED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What says that the file is broken; all else, such as a full disk, says nothing of what it holds."""

CUT_OFF = 522
"""SQLITE_IOERR_SHORT_READ, which Python names from 3.12 on: of all errors of input it alone is the file's own."""

VERSION = "5"
"""Of the tables below; another one in the file makes the view be built anew."""

_ID_OF = "id of "
_READABLE = "readable"
"""What the schemas are known by that were read when the file was written last."""
_FOLDED_BY = "folded by"
"""What the states in the file go by beside its rows, such as the accounts that were configured then."""

AT_ONCE = 400
"""Places that are asked for at once: twice as many variables in a statement, of which older SQLite takes 999."""

MOST_AHEAD = 20_000
"""Newest records that are looked at to tell how much an account has before it."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE positions (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition));
CREATE TABLE records (
    partition INTEGER, offset INTEGER, batch_id TEXT, part INTEGER, parts INTEGER, session_id TEXT, sequence INTEGER,
    total_batches INTEGER, total_users INTEGER, name TEXT, type TEXT, disable_prefix INTEGER, channels TEXT,
    users INTEGER, content_hash BLOB, source TEXT, at INTEGER, verdict TEXT, reason TEXT, mode TEXT, is_home INTEGER,
    audience TEXT, receipt_partition INTEGER, receipt_offset INTEGER, PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX records_by_batch ON records (batch_id);
CREATE INDEX records_by_session ON records (session_id, name, type, mode, at) WHERE session_id IS NOT NULL;
CREATE INDEX records_by_audience ON records (audience, mode, at) WHERE verdict = 'valid';
CREATE INDEX records_by_time ON records (at);
CREATE INDEX records_by_receipt ON records (receipt_partition, receipt_offset);
CREATE TABLE ends (
    partition INTEGER, offset INTEGER, target TEXT, delivery TEXT, rank INTEGER, finished INTEGER, status TEXT,
    received INTEGER, accepted INTEGER, rejected INTEGER, matched INTEGER, open INTEGER, error_code TEXT,
    platform_code TEXT, request_id TEXT, audience_id TEXT, attempts INTEGER, started INTEGER, reasons TEXT,
    rejected_users TEXT, repaired TEXT, dropped TEXT, mode TEXT, removed INTEGER, superseded INTEGER,
    other_identifiers_unknown INTEGER, waits_for INTEGER, shared_calls TEXT, shared_unplaced INTEGER,
    completion_partition INTEGER, completion_offset INTEGER,
    PRIMARY KEY (partition, offset, target, delivery)
) WITHOUT ROWID;
CREATE INDEX ends_by_time ON ends (target, finished);
CREATE INDEX ends_by_completion ON ends (completion_partition, completion_offset);
CREATE TABLE unread (topic TEXT, partition INTEGER, offset INTEGER, PRIMARY KEY (topic, partition, offset))
    WITHOUT ROWID;
"""

_RECORD_COLUMNS = (
    "partition, offset, batch_id, part, parts, session_id, sequence, total_batches, total_users, name, type,"
    " disable_prefix, channels, users, content_hash, source, at, verdict, reason, mode, is_home, audience,"
    " receipt_partition, receipt_offset"
)
_END_COLUMNS = (
    "partition, offset, target, delivery, rank, finished, status, received, accepted, rejected, matched, open,"
    " error_code, platform_code, request_id, audience_id, attempts, started, reasons, rejected_users, repaired,"
    " dropped, mode, removed, superseded, other_identifiers_unknown, waits_for, shared_calls, shared_unplaced,"
    " completion_partition, completion_offset"
)

_RECEIPT_PLACE = _RECORD_COLUMNS.count(",") - 1
"""Where the columns begin that say where the receipt stands."""

_SAID_COLUMNS = _END_COLUMNS.replace("rejected_users", "NULL")
"""An end without the users that it lists: they are many."""

_RECORD_GONE = "receipt_partition = ? AND receipt_offset < ?"
_END_GONE = "completion_partition = ? AND completion_offset < ?"

_RANKS: Mapping[str, int] = {"retrying": 0, "failed": 1, "skipped": 2, "partial": 2, "delivered": 2}
"""A success is final, and a failure gives way to it; of two of a kind see `_put_end`."""


class RecordRow(Struct, frozen=True, kw_only=True, gc=False):
    """One record of the log as its receipt told it."""

    origin: Origin
    batch_id: str
    part: int
    parts: int
    session_id: str | None
    sequence: int | None
    total_batches: int | None
    total_users: int | None
    name: str
    type: AudienceType
    disable_prefix: bool
    channels: tuple[str, ...] | None
    users: int
    content_hash: bytes | None
    source: str | None
    at: datetime
    verdict: str
    reason: str | None
    mode: Mode
    is_home: bool | None
    """Whether it stands in its audience's home partition, None where that is not known."""

    def is_of(self, key: "SessionKey") -> bool:
        """Tell whether it is of a session."""
        mine = self.session_id, self.name, self.type, self.mode
        return mine == (key.session_id, key.name, key.type, key.mode)


class EndRow(Struct, frozen=True, kw_only=True, gc=False):
    """The last word of one account on one record, live or of a replay."""

    origin: Origin
    target: str
    delivery: str
    status: str
    received: int
    accepted: int
    rejected: int
    matched: int | None
    open: int
    error_code: str | None
    platform_code: str | None
    request_id: str | None
    audience_id: str | None
    attempts: int
    finished_at: datetime | None
    reasons: Mapping[str, int]
    repaired: Mapping[str, int]
    dropped: Mapping[str, int]
    mode: Mode
    removed: int | None
    superseded: int
    other_identifiers_unknown: int
    waits_for: Origin | None
    """The removal that it waits for while it is retried."""
    shared_calls: tuple[str, ...] = ()
    """Ids of calls that carried rows of other records, too."""
    shared_unplaced: int = 0
    """Rows of such calls that the platform refused, nobody knows of which record."""

    @property
    def is_in_vain(self) -> bool:
        """Whether it came to no effect for anybody. A removal of who is not in has one: they are out."""
        if self.superseded:
            return False
        return not self.accepted and (self.mode == "add" or self.rejected >= self.received)


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """How many users of a record one delivery of it to an account rejects, and how many of them are listed."""

    origin: Origin
    rejected: int
    listed: int
    is_only: bool
    """Whether the account got the record in no other delivery, so that all of these stand."""


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """A session is known by its id together with the audience that it fills, or takes people out of."""

    session_id: str
    name: str
    type: AudienceType
    mode: Mode = "add"


class View:
    """The file and what is asked of it. Safe to use from any thread: one writes at a time, all may read meanwhile.

    `identity` names the topics that it is of. All that asks or writes raises sqlite3.Error where the disk fails.
    """

    def __init__(self, path: Path, identity: str, topic: str) -> None:
        self._path = path
        self._identity = identity
        self._topic_ids: Mapping[str, str] = {}
        self._topic = topic
        self._readable = ""
        self._folded_by = ""
        self._has_ids = False
        self._writing = threading.Lock()
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._opening = 0
        """Connections of earlier openings are left alone, as their threads may be at work with them."""

    def open(self, topic_ids: Mapping[str, str] | None = None) -> None:
        """Open the file, or anew after an error; one of other topics, of another version or broken is thrown away.

        So is one of topics that had the same names and not the same `topic_ids`. Raises OSError, sqlite3.Error where
        it can't be read, or not be made.
        """
        self._topic_ids = {f"{_ID_OF}{name}": topic_id for name, topic_id in (topic_ids or {}).items()}
        self._opening += 1
        self._has_ids = False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._is_sound():
            self._make()

    def check_writable(self) -> None:
        """Write as good as nothing. Raises sqlite3.Error where that can't be."""
        with self._transaction() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (VERSION,))

    def _is_sound(self) -> bool:
        if not self._path.exists():
            return False
        try:
            found = dict(self._connection().execute("SELECT name, value FROM meta").fetchall())
            is_whole = self._connection().execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            found, is_whole = {}, False
        wanted = {"version": VERSION, "identity": self._identity, **self._topic_ids}
        named = {name: value for name, value in found.items() if name in wanted}
        is_ours = (
            all(wanted.get(name) == value for name, value in named.items()) and {"version", "identity"} <= named.keys()
        )
        if not (is_ours and is_whole):
            log.warning(
                "The view is broken, or of other topics, topics made anew or another version: it is built anew."
            )
        return is_ours and is_whole

    def _make(self) -> None:
        self._opening += 1
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        connection = self._connection()
        connection.executescript(_TABLES + column.TABLES)
        meta = [("version", VERSION), ("identity", self._identity)]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta)

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None and self._local.opening == self._opening:
            return found
        if found is not None:
            self._local.connection = None
            self._forget(found)
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        opening = self._opening
        found = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        self._opened.append(found)
        try:
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=OFF")  # what a power cut breaks is built anew
        except sqlite3.Error:
            self._forget(found)
            raise
        self._local.connection, self._local.opening = found, opening
        return found

    def _forget(self, connection: sqlite3.Connection) -> None:
        self._opened.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close all connections; nobody may use the view any more."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._local = threading.local()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all that this thread asks for within the block be of one moment, whatever is folded meanwhile."""
        connection = self._connection()
        connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(sqlite3.ProgrammingError):  # it is closed where the view was opened again meanwhile
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # on some errors the file's own code has rolled back
                    connection.execute("ROLLBACK")
                raise

    def forget_all(self) -> None:
        """Begin anew, as the topics did."""
        with self._transaction() as connection:
            for table in ("positions", "records", "sessions", "batches", "ends", "unread"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- our own names

    def positions(self, topic: str) -> dict[int, int]:
        """Return for each partition of a topic the offset that is to be read next."""
        rows = self._connection().execute("SELECT partition, next FROM positions WHERE topic = ?", (topic,))
        return dict(rows.fetchall())

    def fold_receipts(
        self,
        receipts: Iterable[tuple[BatchReceipt, Origin | None]],
        read: Mapping[int, int],
        topic: str,
        unread: Iterable[Origin] = (),
    ) -> None:
        """Fold receipts in, each with where it stands itself, None if it is our own word before the ledger's.

        `unread` are the places of those among them that nobody here can read; see `read_again`.
        """
        self._fold(_put_record, column.add_at, receipts, read, topic, unread)

    def fold_completions(
        self,
        completions: Iterable[tuple[BatchCompletion, Origin]],
        read: Mapping[int, int],
        topic: str,
        unread: Iterable[Origin] = (),
    ) -> None:
        """Fold completions in, each with where it stands; in any order the outcome is the same."""
        self._fold(_put_end, column.mark_of_ends_at, completions, read, topic, unread)

    def _fold(
        self,
        put: Callable[[sqlite3.Connection, ReportT, Place], Position | None],
        note: Callable[[sqlite3.Connection, Sequence[Position]], None],
        reports: Iterable[tuple[ReportT, Place]],
        read: Mapping[int, int],
        topic: str,
        unread: Iterable[Origin],
    ) -> None:
        """Put in what was read of a topic up to some offsets, and those, in one transaction.

        `note` is told of which records something is new.
        """
        with self._transaction() as connection:
            self._put_ids(connection)
            changed = dict.fromkeys(put(connection, report, place) for report, place in reports)
            note(connection, [position for position in changed if position is not None])
            positions = [(topic, place.partition, place.offset) for place in unread]
            connection.executemany("INSERT OR IGNORE INTO unread VALUES (?, ?, ?)", positions)
            _put_positions(connection, topic, read)

    def unread(self) -> int:
        """Return how many receipts and completions nobody here could read."""
        return int(self._connection().execute("SELECT count(*) FROM unread").fetchone()[0])

    def read_again(self, readable: str) -> None:
        """Go back to the first record that nobody here could read, where another set of schemas is read now.

        What comes after it is read again, too, which changes nothing: folding is the same in any order.
        """
        self._readable = readable
        query = "SELECT value FROM meta WHERE name = ?"
        known = self._connection().execute(query, (_READABLE,)).fetchone()
        if known in (None, (readable,)) or not self.unread():
            return
        with self._transaction() as connection:
            firsts = "SELECT min(offset), topic, partition FROM unread GROUP BY topic, partition"
            back = "UPDATE positions SET next = min(next, ?) WHERE topic = ? AND partition = ?"
            connection.executemany(back, connection.execute(firsts).fetchall())
            connection.execute("DELETE FROM unread")

    def _put_ids(self, connection: sqlite3.Connection) -> None:
        """Note of which topics the rows are, what could be read, and by which rules states are folded.

        A file of an earlier version does not say of which topics its rows are.
        """
        if not self._has_ids:
            connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", self._topic_ids.items())
            noted = [(_READABLE, self._readable), (_FOLDED_BY, self._folded_by)]
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", noted)
            self._has_ids = True

    def drop_unread(self, topic: str, firsts: Mapping[int, int]) -> None:
        """Forget of what could not be read that which left a topic: all before these offsets by partition."""
        gone = [(topic, partition, low) for partition, low in firsts.items()]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM unread WHERE topic = ? AND partition = ? AND offset < ?", gone)

    def drop_before(self, receipts: Mapping[int, int], completions: Mapping[int, int]) -> int:
        """Drop what left the topics: all before these offsets by partition. Return how many records that were."""
        with self._transaction() as connection:
            for gone in completions.items():
                column.mark_of_ends(
                    connection, f"ends CROSS JOIN records r USING (partition, offset) WHERE {_END_GONE}", gone
                )
                connection.execute(f"DELETE FROM ends WHERE {_END_GONE}", gone)  # noqa: S608 -- our own names
            dropped = 0
            for gone in receipts.items():
                column.mark(connection, f"records r WHERE {_RECORD_GONE}", gone)
                dropped += connection.execute(f"DELETE FROM records WHERE {_RECORD_GONE}", gone).rowcount  # noqa: S608 -- our own names
            if dropped:
                connection.execute(
                    "DELETE FROM sessions WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.session_id ="
                    " sessions.session_id AND r.name = sessions.name AND r.type = sessions.type"
                    " AND r.mode = sessions.mode)"
                )
                connection.execute(
                    "DELETE FROM batches WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.batch_id = batches.batch_id)"
                )
        return dropped

    def records_of(self, batch_id: str) -> list[RecordRow]:
        """Return the records of a batch in the order of the log."""
        return self._records("r.batch_id = ? ORDER BY r.at, r.partition, r.offset", (batch_id,))

    def records_of_batches(self, batch_ids: Iterable[str]) -> dict[str, list[RecordRow]]:
        """Return the records of batches by their ids, each batch's in the order of the log."""
        found: dict[str, list[RecordRow]] = {}
        for some in _at_once(batch_ids):
            order = "ORDER BY r.at, r.partition, r.offset"
            for record in self._records(f"r.batch_id IN ({', '.join('?' * len(some))}) {order}", some):
                found.setdefault(record.batch_id, []).append(record)
        return found

    def invalid_records(self, most: int) -> list[RecordRow]:
        """Return the newest records that are not valid, so many at most."""
        return self._records("r.verdict != 'valid' ORDER BY r.at DESC LIMIT ?", (most,))

    def session_batches(self, key: SessionKey, most: int = MOST_BATCHES) -> list[SeenBatch]:
        """Return the newest batches of a session in the order of the log, so many at most; only valid records count."""
        return read_batches(self._connection(), (key.session_id, key.name, key.type, key.mode), most)

    def has_other_mode_since(self, key: SessionKey, origin: Origin, *, has_no_prefix: bool) -> bool:
        """Tell whether something of another mode of an audience came after the record of it that stands there.

        Where that record is not known, whether there is any.
        """
        query = "SELECT at FROM records WHERE partition = ? AND offset = ?"
        first = self._connection().execute(query, (origin.partition, origin.offset)).fetchone()
        last = self.other_mode_at(key, has_no_prefix=has_no_prefix)
        return last is not None and (first is None or last >= time_of(first[0]))

    def other_mode_at(self, key: SessionKey, *, has_no_prefix: bool) -> datetime | None:
        """Return when the last record of another mode of a session's audience was appended; None without any."""
        query = "SELECT max(at) FROM records WHERE audience = ? AND mode = ? AND verdict = 'valid'"
        values = (_audience(key.name, has_no_prefix), "remove" if key.mode == "add" else "add")
        found = self._connection().execute(query, values).fetchone()[0]
        return None if found is None else time_of(found)

    def known_between(self, partition: int, after: int, end: int) -> int:
        """Return how many records are known of those behind an offset of a partition of the log and before an end."""
        query = "SELECT count(*) FROM records WHERE partition = ? AND offset > ? AND offset < ?"
        return int(self._connection().execute(query, (partition, after, end)).fetchone()[0])

    def _records(self, condition: str, values: Sequence[object]) -> list[RecordRow]:
        query = f"SELECT {_RECORD_COLUMNS} FROM records r WHERE {condition}"  # noqa: S608 -- our own names
        return [self._record(row) for row in self._connection().execute(query, values)]

    def _record(self, row: Sequence[Any]) -> RecordRow:
        return RecordRow(
            origin=Origin(topic=self._topic, partition=row[0], offset=row[1]),
            batch_id=row[2] or "",
            part=row[3] or 1,
            parts=row[4] or 1,
            session_id=row[5],
            sequence=row[6],
            total_batches=row[7],
            total_users=row[8],
            name=row[9] or "",
            type=row[10] or "custom",
            disable_prefix=bool(row[11]),
            channels=tuple(json.loads(row[12])) if row[12] else None,
            users=row[13],
            content_hash=row[14],
            source=row[15],
            at=time_of(row[16]),
            verdict=row[17],
            reason=row[18],
            mode=row[19],
            is_home=None if row[20] is None else bool(row[20]),
        )

    def ends_of(self, origins: Iterable[Origin]) -> list[EndRow]:
        """Return the last words of all accounts on these records, in their order."""
        found: list[EndRow] = []
        for some in _at_once(origins):
            by_position = {(origin.partition, origin.offset): origin for origin in some}
            rows = self._ends_at(f"SELECT {_SAID_COLUMNS}", by_position)
            found += [_end(by_position[row[0], row[1]], row) for row in rows]
        return found

    def rejections_of(self, origins: Iterable[Origin]) -> Iterator[RejectionCount]:
        """Yield how many users the ends of these records reject, in their order, where it is any."""
        others = (
            "SELECT count(*) FROM ends o WHERE o.partition = p AND o.offset = ends.offset AND o.target = ends.target"
        )
        query = f"SELECT p, ends.offset, rejected, json_array_length(rejected_users), ({others})"
        for some in _at_once(origins):
            by_position = {(origin.partition, origin.offset): origin for origin in some}
            for row in self._ends_at(query, by_position, "AND (rejected > 0 OR rejected_users != '[]')"):
                yield RejectionCount(by_position[row[0], row[1]], row[2], row[3], is_only=row[4] == 1)

    def _ends_at(self, select: str, positions: Collection[tuple[int, int]], condition: str = "") -> sqlite3.Cursor:
        """Return the ends at some positions, in their order."""
        marks = ", ".join(["(?, ?)"] * len(positions))
        query = (
            f"WITH wanted(p, o) AS (VALUES {marks}) {select} FROM wanted"
            f" CROSS JOIN ends ON partition = p AND offset = o {condition}"
        )
        return self._connection().execute(query, [number for position in positions for number in position])

    def rejected_of(self, origins: Iterable[Origin]) -> Iterator[tuple[Origin, str, str, int, str | None, str]]:
        """Yield record, target, delivery, index in the request, field and reason of each rejected user in a list."""
        for some in _at_once(origins):
            by_position = {(origin.partition, origin.offset): origin for origin in some}
            query = "SELECT p, offset, target, delivery, rejected_users"
            for row in self._ends_at(query, by_position, "AND rejected_users != '[]'"):
                for index, field_name, reason in json.loads(row[4]):
                    yield by_position[row[0], row[1]], row[2], row[3], index, field_name, reason

    def speed(self, target: str, since: datetime) -> int:
        """Return how many users an account was through with since a time."""
        query = "SELECT coalesce(sum(received), 0) FROM ends WHERE target = ? AND finished >= ? AND rank > 0"
        return int(self._connection().execute(query, (target, _millis(since))).fetchone()[0])

    def open_records(self, target: str) -> list[tuple[int, int]]:
        """Return which of the newest MOST_AHEAD records an account is not through with, the oldest first.

        Each by its time in milliseconds and its users. It takes some 50 ms where there are as many.
        """
        query = (
            "SELECT at, users FROM (SELECT * FROM records WHERE verdict = 'valid' ORDER BY at DESC LIMIT ?) r"
            " WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.partition = r.partition"
            " AND e.offset = r.offset AND e.target = ? AND e.delivery = 'live' AND e.rank > 0) ORDER BY at"
        )
        return self._connection().execute(query, (MOST_AHEAD, target)).fetchall()

    def reading(self) -> sqlite3.Connection:
        """Return this thread's connection, for what is read of several tables at once."""
        return self._connection()

    def keys_of(self, session_id: str) -> list[SessionKey]:
        """Return the sessions that bear an id, newest first."""
        query = "SELECT session_id, name, type, mode FROM sessions WHERE session_id = ? ORDER BY last DESC"
        return [SessionKey(*row) for row in self._connection().execute(query, (session_id,))]

    def newest_sessions(
        self,
        before: tuple[int, str, str, str, str] | None,
        name: str | None,
        kind: str | None,
        since: datetime | None,
        most: int,
        wanted: StateFilter | None = None,
        search: str | None = None,
    ) -> list[tuple[int, SessionKey]]:
        """Return sessions with their last record's time in milliseconds, newest first, those behind `before` only.

        Where a state is wanted, those that are in it, and those whose state is stale, see `stale`.
        """
        rows = column.newest(
            self._connection(), "sessions", _filters(name, kind, since) | {_SEARCH: search}, before, most, wanted
        )
        return [(row[0], SessionKey(*row[1:])) for row in rows]

    def newest_batches(
        self,
        before: tuple[int, str] | None,
        name: str | None,
        kind: str | None,
        since: datetime | None,
        most: int,
        wanted: StateFilter | None = None,
    ) -> list[tuple[int, str]]:
        """Return batches that no session tells, by their first record's time in milliseconds, as those are."""
        rows = column.newest(self._connection(), "batches", _filters(name, kind, since), before, most, wanted)
        return [(row[0], row[1]) for row in rows]

    def fold_states_by(self, rules: str) -> None:
        """Take all states for stale where they were folded by other rules than these, which are gone by from now on."""
        self._folded_by, self._has_ids = rules, False
        query = "SELECT value FROM meta WHERE name = ?"
        known = self._connection().execute(query, (_FOLDED_BY,)).fetchone()
        if known != (rules,) and column.has_folded(self._connection()):
            with self._transaction() as connection:
                column.mark_all(connection)
                self._put_ids(connection)

    def stale(self, table: Table, most: int) -> list[tuple[int, RowKey]]:
        """Return rows whose state is to be folded anew, each by its number of changes and its key."""
        return column.stale(self._connection(), table, most)

    def put_states(self, table: Table, folded: Sequence[tuple[int, RowKey, FoldedState]]) -> None:
        """Put states that were folded of `stale` rows, unless something changed since."""
        with self._transaction() as connection:
            self._put_ids(connection)
            column.put(connection, table, folded)

    def unfinished_sets(self, table: Table) -> list[str]:
        """Return each set of accounts that some row in progress waits for, as its state says."""
        return column.unfinished_sets(self._connection(), table)

    def run_counts(self, key: SessionKey, batch_ids: Iterable[str]) -> RunCounts:
        """Return how many records some batches of a session have, and what accounts did with them."""
        return read_run_counts(self._connection(), (key.session_id, key.name, key.type, key.mode), batch_ids)


_SEARCH = "(session_id = ? OR instr(lower(name), lower(?)))"
"""That the id of a session or a part of its name is what is searched for."""


def _filters(name: str | None, kind: str | None, since: datetime | None) -> dict[str, object]:
    return {"name = ?": name, "type = ?": kind, "last >= ?": since and _millis(since)}


def _put_record(connection: sqlite3.Connection, receipt: BatchReceipt, place: Origin | None) -> Position | None:
    """Put a receipt in its place; return that, None where nothing of it is new but where the receipt stands."""
    position, values = (receipt.origin.partition, receipt.origin.offset), _record_values(receipt, place)
    query = f"SELECT {_RECORD_COLUMNS} FROM records WHERE partition = ? AND offset = ?"  # noqa: S608 -- our own names
    known = connection.execute(query, position).fetchone()
    is_new = known is None or (place is not None and known[:_RECEIPT_PLACE] != values[:_RECEIPT_PLACE])
    if known is not None and is_new:
        column.mark_at(connection, [position])
    verb = "INSERT OR REPLACE" if place else "INSERT OR IGNORE"
    connection.execute(f"{verb} INTO records ({_RECORD_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
    return position if is_new else None


def _record_values(receipt: BatchReceipt, place: Origin | None) -> tuple[object, ...]:
    return (
        receipt.origin.partition,
        receipt.origin.offset,
        receipt.batch_id and receipt.batch_id.lower(),
        receipt.part,
        receipt.parts,
        receipt.session_id,
        receipt.sequence,
        receipt.total_batches,
        receipt.total_users,
        receipt.name,
        receipt.type,
        receipt.disable_prefix,
        None if receipt.channels is None else json.dumps(receipt.channels),
        receipt.users,
        receipt.content_hash,
        receipt.source,
        _millis(receipt.timestamp),
        receipt.verdict,
        receipt.reason,
        receipt.mode,
        receipt.is_home,
        None if receipt.name is None else _audience(receipt.name, bool(receipt.disable_prefix)),
        place.partition if place else None,
        place.offset if place else None,
    )


def _put_end(connection: sqlite3.Connection, completion: BatchCompletion, place: Origin) -> Position | None:
    """Put a completion in its place; return its record's, None where the completion changes nothing.

    Of two successes the first counts, of anything else the last.
    """
    values = (
        completion.origin.partition,
        completion.origin.offset,
        f"{completion.provider}/{completion.account}" if completion.account else completion.provider,
        completion.delivery,
        _RANKS[completion.status],
        _millis(completion.finished_at) if completion.finished_at else 0,
        completion.status,
        completion.counts.received,
        completion.counts.accepted,
        completion.counts.rejected,
        completion.counts.matched,
        completion.counts.open,
        completion.error_code,
        completion.platform_code,
        completion.request_id,
        completion.audience_id,
        completion.attempts,
        _millis(completion.started_at) if completion.started_at else None,
        json.dumps(completion.rejected_reasons),
        json.dumps([(user.index, user.field, user.reason) for user in completion.rejected_users]),
        json.dumps(completion.repaired),
        json.dumps(completion.dropped),
        completion.mode,
        completion.counts.removed,
        completion.counts.superseded,
        completion.counts.other_identifiers_unknown,
        completion.waits_for,
        json.dumps(completion.shared_calls),
        completion.shared_unplaced,
        place.partition,
        place.offset,
    )
    columns = _END_COLUMNS.replace(" ", "").split(",")
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns[4:])
    # Offsets order what came at one moment; all completions of a batch stand in one partition.
    newer = "(excluded.finished, excluded.completion_offset) > (finished, completion_offset)"
    wins = f"excluded.rank > rank OR (excluded.rank = rank AND ((rank = 2) != ({newer})))"
    put = connection.execute(
        f"INSERT INTO ends ({_END_COLUMNS}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 -- our own names
        f" ON CONFLICT DO UPDATE SET {updates} WHERE {wins}",
        values,
    )
    return (completion.origin.partition, completion.origin.offset) if put.rowcount else None


def _audience(name: str, has_no_prefix: bool) -> str:
    """Return what platforms call an audience, as far as all of them agree: several uploaded names may be one."""
    return name if has_no_prefix else f"blotout_{name.replace(' ', '_')}"


def _put_positions(connection: sqlite3.Connection, topic: str, read: Mapping[int, int]) -> None:
    rows = [(topic, partition, following) for partition, following in read.items()]
    connection.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)


def _end(origin: Origin, row: Sequence[Any]) -> EndRow:
    return EndRow(
        origin=origin,
        target=row[2],
        delivery=row[3],
        status=row[6],
        received=row[7],
        accepted=row[8],
        rejected=row[9],
        matched=row[10],
        open=row[11],
        error_code=row[12],
        platform_code=row[13],
        request_id=row[14],
        audience_id=row[15],
        attempts=row[16],
        finished_at=time_of(row[5]) if row[5] else None,
        reasons=_counts(row[18]),
        repaired=_counts(row[20]),
        dropped=_counts(row[21]),
        mode=row[22],
        removed=row[23],
        superseded=row[24],
        other_identifiers_unknown=row[25],
        waits_for=None if row[26] is None else structs.replace(origin, offset=row[26]),
        shared_calls=() if row[27] == "[]" else tuple(json.loads(row[27])),
        shared_unplaced=row[28],
    )


@lru_cache(maxsize=1_000)
def _counts(text: str) -> Mapping[str, int]:
    """Return what a column counts; many records say the same."""
    counts: Mapping[str, int] = json.loads(text)
    return counts


def _at_once(all_of_them: Iterable[Asked]) -> Iterator[list[Asked]]:
    rest = iter(all_of_them)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the file is broken; the file's own code has not given some a number."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code == CUT_OFF or code & 0xFF in DAMAGED)


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)
