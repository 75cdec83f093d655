"""What is asked of the view: the status resources, read in one go each."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import structs

from ledger.arrivals import Verdict, judge_arrival
from ledger.backlog import Backlog
from ledger.cursors import read_cursor, write_cursor
from ledger.rejections import rejections
from ledger.resources import (
    BatchPage,
    BatchStatus,
    BatchSummary,
    RejectedPage,
    RunStatus,
    SessionPage,
    SessionRejectedPage,
    SessionStatus,
    SessionSummary,
    TargetStatus,
)
from ledger.session_batch_query import MOST_BATCHES
from ledger.session_runs import Run, SeenBatch, runs_of
from ledger.states.column import StateFilter, Table
from ledger.states.run_states import states_of_run
from ledger.status import (
    StateOf,
    batch_status,
    batch_summary,
    held_up,
    latest_in_progress,
    run_status,
    target_of,
    target_status,
    with_identifier,
)
from ledger.view import EndRow, RecordRow, SessionKey, View
from schemas.records import AudienceType, Mode, Origin
from schemas.target import Target
from streams.cluster.open_transactions import OpenTransaction, holding_up

SPEED_WINDOW = timedelta(seconds=60)
MOMENT = timedelta(seconds=1)
"""How old what an account has yet to do may be where it is told how long that takes."""

MOST_STALE = 20
"""Sessions whose states are stale that are looked at for those in some states; more are folded within moments."""

MOST_SCANNED = 1_000
"""Sessions or batches that one page is looked for among, where states are not folded yet."""

FEW_BATCHES, TIMES = 100, 4
"""Newest batches that tell what a new one is: some, and a few times as many as its series has; all would take long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which sessions or batches are asked for; None is any."""

    name: str | None = None
    type: AudienceType | None = None
    state: str | None = None
    since: datetime | None = None
    search: str | None = None
    """A session's id, or a part of an audience's name in letters of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of the audiences under one session's id are asked for; None is any."""

    name: str | None = None
    type: AudienceType | None = None
    mode: Mode | None = None

    def has(self, key: SessionKey) -> bool:
        """Tell whether a session is chosen."""
        wanted = ((self.name, key.name), (self.type, key.type), (self.mode, key.mode))
        return all(chosen in (None, found) for chosen, found in wanted)


ALL = Choice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Answers from a view, for the accounts that this deployment serves. Each call may take some milliseconds."""

    view: View
    targets: Sequence[Target]
    state_of: StateOf
    now: Callable[[], datetime]
    window: timedelta
    open_transactions: Callable[[], Sequence[OpenTransaction]] = tuple
    _backlogs: dict[str, Backlog] = field(default_factory=dict, init=False)

    def batch(self, batch_id: str) -> BatchStatus | None:
        """Return how a batch stands, None where no record of it is known."""
        records = self.view.records_of(batch_id)
        if not records:
            return None
        status = self._status(records)
        return structs.replace(status, targets=self._timed(status.targets, [status], {status.batch_id: records[-1].at}))

    def first_records(self, batch_ids: Iterable[str]) -> dict[str, RecordRow]:
        """Return the first record of each of these batches that is known: whose they are, and for which accounts."""
        return {batch: records[0] for batch, records in self.view.records_of_batches(batch_ids).items()}

    def batches_without_time(self, batch_ids: Iterable[str]) -> dict[str, BatchStatus]:
        """Return how those of these batches stand that are known, but not how long they may take.

        They are read in one go; how long one takes is looked for among many records.
        """
        return self._statuses(self.view.records_of_batches(batch_ids))

    def summaries(self, keys: Iterable[SessionKey]) -> dict[SessionKey, SessionSummary]:
        """Return the newest runs of those of these sessions in short of which a batch is known."""
        with self.view.snapshot():
            return {key: summary for key in keys if (summary := self._summary(key)) is not None}

    def _status(self, records: Sequence[RecordRow]) -> BatchStatus:
        """Return how a batch stands, without how long it may take: that is looked for once for many."""
        return self._statuses({"": records})[""]

    def _statuses(self, batches: Mapping[str, Sequence[RecordRow]]) -> dict[str, BatchStatus]:
        """Return how batches stand by their ids, in one go."""
        by_origin: dict[Origin, list[EndRow]] = {}
        for end in self.view.ends_of(record.origin for records in batches.values() for record in records):
            by_origin.setdefault(end.origin, []).append(end)
        return {
            batch_id: self._batch_status(records, [end for one in records for end in by_origin.get(one.origin, ())])
            for batch_id, records in batches.items()
        }

    def _batch_status(self, records: Sequence[RecordRow], ends: Iterable[EndRow]) -> BatchStatus:
        by_target: dict[str, list[EndRow]] = {}
        for end in ends:
            by_target.setdefault(end.target, []).append(end)
        return batch_status(
            records, self.targets, lambda target, mine: self._target(target, mine, by_target.get(str(target), []))
        )

    def _target(self, target: Target, records: Sequence[RecordRow], ends: Sequence[EndRow]) -> TargetStatus:
        status = target_status(target, records, ends, self.state_of)
        if status.state == "waiting" and (held := self._held_up(records, ends)):
            return held_up(status, held)
        return status

    def _held_up(self, records: Sequence[RecordRow], ends: Sequence[EndRow]) -> OpenTransaction | None:
        """Return the transaction that records wait for which the account, whose ends these are, has not begun."""
        begun = {end.origin for end in ends}
        waiting = (record.origin for record in records if record.origin not in begun)
        return holding_up(waiting, self.open_transactions())

    def _timed(
        self, targets: Sequence[TargetStatus], batches: Iterable[BatchStatus], times: Mapping[str, datetime]
    ) -> list[TargetStatus]:
        """Return statuses with how long the last of these batches may take, by when each was appended."""
        latest = latest_in_progress(batches, times)
        return [
            structs.replace(status, seconds_to_go=self._seconds_to_go(target, latest[target]))
            if (target := target_of(status)) in latest
            else status
            for status in targets
        ]

    def _seconds_to_go(self, target: Target, at: datetime) -> float | None:
        """Return an estimate by how fast the account was in the last minute, or since it has something to do.

        None where it has ended nothing in that time, and for records that more stand behind than are counted.
        """
        now = self.now()
        if not self.view.speed(str(target), now - SPEED_WINDOW):
            return None
        backlog = self._backlog(str(target), now)
        if not (ahead := backlog.until(at)):
            return None
        begun = max(now - SPEED_WINDOW, backlog.came[0])
        users, seconds = self.view.speed(str(target), begun), (now - begun).total_seconds()
        return round(ahead * max(0.0, seconds) / users, 1) if users else None

    def _backlog(self, target: str, now: datetime) -> Backlog:
        """Return what an account has yet to do, as of a moment ago at most."""
        known = self._backlogs.get(target)
        if known is None or abs(now - known.read_at) > MOMENT:
            known = self._backlogs[target] = Backlog.of(self.view.open_records(target), now)
        return known

    def session(self, session_id: str, chosen: Choice = ALL) -> SessionStatus | None:
        """Return all runs of the audiences under a session's id that are chosen, the newest first; None without any."""
        with self.view.snapshot():
            runs = [status for key in self.view.keys_of(session_id) if chosen.has(key) for status in self._runs(key)]
        runs.sort(key=lambda status: status.last_at, reverse=True)
        return SessionStatus(session_id=session_id, runs=runs) if runs else None

    def _runs(self, key: SessionKey) -> Iterator[RunStatus]:
        for run in runs_of(self.view.session_batches(key), self.window):
            records = self._records(run.batches, key)
            batches = self._statuses(records)
            status, times = run_status(run, key, batches), {batch_id: some[-1].at for batch_id, some in records.items()}
            yield structs.replace(status, targets=self._timed(status.targets, batches.values(), times))

    def _records(self, batches: Iterable[SeenBatch], key: SessionKey) -> dict[str, list[RecordRow]]:
        """Return the records of a session's batches, by their ids."""
        found = self.view.records_of_batches(batch.batch_id for batch in batches)
        return {
            batch_id: [record for record in records if record.verdict == "valid" and record.is_of(key)]
            for batch_id, records in found.items()
        }

    def sessions(self, filters: Filters, cursor: str | None, most: int) -> SessionPage:
        """Return so many sessions, the newest first. Raises CursorError."""
        with self.view.snapshot():
            return self._at_this_moment()._sessions(filters, _session_cursor(cursor) if cursor else None, most)  # noqa: SLF001 -- of our own kind

    def _sessions(self, filters: Filters, before: "SessionPlace | None", most: int) -> SessionPage:
        wanted = self._folded(filters.state, "sessions")

        def read(before: SessionPlace | None) -> Iterator[tuple[SessionPlace, SessionSummary | None]]:
            rows = self.view.newest_sessions(
                before, filters.name, filters.type, filters.since, most, wanted, filters.search
            )
            for last, key in rows:
                yield _place((last, key)), self._summary(key)

        found, end = _page(read, before, most, filters.state)
        return SessionPage(sessions=found, next=write_cursor(end) if end else None)

    def newest_in(self, states: Collection[str], since: datetime, most: int) -> dict[str, list[SessionKey]]:
        """Return so many sessions in each of these states, the newest first, by the column.

        Only those are looked at one by one whose state is stale, the newest MOST_STALE of them.
        """
        with self.view.snapshot():
            return self._at_this_moment()._newest_in(states, since, most)  # noqa: SLF001 -- of our own kind

    def _newest_in(self, states: Collection[str], since: datetime, most: int) -> dict[str, list[SessionKey]]:
        stale = self.view.newest_sessions(None, None, None, since, MOST_STALE, StateFilter(state=None))
        found: dict[str, list[tuple[int, SessionKey]]] = {state: [] for state in states}
        for row in stale:
            if (summary := self._summary(row[1])) is not None and summary.state in found:
                found[summary.state].append(row)
        for state in states:
            wanted = replace(self._folded(state, "sessions") or StateFilter(state=state), with_stale=False)
            if wanted.unfinished:
                found[state] += self.view.newest_sessions(None, None, None, since, most, wanted)
        return {
            state: [key for _, key in sorted(rows, key=_place, reverse=True)[:most]] for state, rows in found.items()
        }

    def batches(self, filters: Filters, cursor: str | None, most: int) -> BatchPage:
        """Return so many batches that no session tells, the newest first. Raises CursorError."""
        with self.view.snapshot():
            return self._at_this_moment()._batches(filters, _batch_cursor(cursor) if cursor else None, most)  # noqa: SLF001 -- of our own kind

    def _batches(self, filters: Filters, before: "BatchPlace | None", most: int) -> BatchPage:
        wanted = self._folded(filters.state, "batches")

        def read(before: BatchPlace | None) -> Iterator[tuple[BatchPlace, BatchSummary | None]]:
            rows = self.view.newest_batches(before, filters.name, filters.type, filters.since, most, wanted)
            statuses = self.batches_without_time(batch_id for _, batch_id in rows)
            for last, batch_id in rows:
                yield (last, batch_id), batch_summary(statuses[batch_id]) if batch_id in statuses else None

        found, end = _page(read, before, most, filters.state)
        return BatchPage(batches=found, next=write_cursor(end) if end else None)

    def _at_this_moment(self) -> "Queries":
        """Return what answers by the accounts' states as they are now, whatever they become meanwhile."""
        states = {target: self.state_of(target) for target in self.targets}
        return replace(self, state_of=states.get)

    def _folded(self, state: str | None, table: Table) -> StateFilter | None:
        """Return which folded states are those in which rows are in a state now; None for any."""
        if state not in ("blocked", "in_progress"):
            return None if state is None else StateFilter(state=state)
        blocked = {str(target) for target in self.targets if self._is_blocked(target)}
        sets = self.view.unfinished_sets(table)
        chosen = [one for one in sets if (set(one.split()) <= blocked) == (state == "blocked")]
        return StateFilter(state="in_progress", unfinished=chosen)

    def _summary(self, key: SessionKey) -> SessionSummary | None:
        runs = runs_of(self.view.session_batches(key), self.window)
        if not runs:
            return None
        run = runs[-1]
        states = states_of_run(self.view, key, run, self.targets, self._is_blocked)
        return SessionSummary(
            session_id=key.session_id,
            name=key.name,
            type=key.type,
            mode=key.mode,
            state=states.of_all,
            runs=len(runs),
            started_at=run.batches[0].at,
            last_at=run.batches[-1].at,
            total_batches=run.total_batches,
            total_users=run.total_users,
            users=run.users,
            missing=run.missing,
            targets=dict(states.of_each),
        )

    def _is_blocked(self, target: Target) -> bool:
        state = self.state_of(target)
        return state is not None and state.state == "blocked"

    def rejected(self, batch_id: str, cursor: str | None, most: int) -> RejectedPage | None:
        """Return so many rejected users of a batch; None where no record of it is known. Raises CursorError."""
        records = self.view.records_of(batch_id)
        if not records:
            return None
        found = rejections(self.view, records, cursor, most)
        return RejectedPage(batch_id=batch_id, rejected=found.rejected, unlisted=found.unlisted, next=found.next)

    def session_rejected(
        self, session_id: str, cursor: str | None, most: int, chosen: Choice = ALL
    ) -> SessionRejectedPage | None:
        """Return so many rejected users of a session's newest run; None where there is none. Raises CursorError."""
        with self.view.snapshot():
            keys = [key for key in self.view.keys_of(session_id) if chosen.has(key)]
            records = [record for key in keys for record in self._newest_run(key)]
            if not records:
                return None
            found = rejections(self.view, records, cursor, most)
        return SessionRejectedPage(
            session_id=session_id, rejected=found.rejected, unlisted=found.unlisted, next=found.next
        )

    def _newest_run(self, key: SessionKey) -> list[RecordRow]:
        """Return the records of the newest run, without those of batches that came twice."""
        runs = runs_of(self.view.session_batches(key), self.window)
        newest = runs[-1] if runs else Run()
        wanted = [batch for batch in newest.batches if newest.marks.get(batch.batch_id) != "repeated"]
        records = self._records(wanted, key)
        return [record for batch in wanted for record in records[batch.batch_id]]

    def judge(self, key: SessionKey, new: SeenBatch, being_written: Sequence[SeenBatch]) -> Verdict:
        """Return what a new batch is beside what came before it in its session; None: one to be accepted.

        `being_written` came before it, too, and is being written.
        """
        cut_at = self.view.other_mode_at(key, has_no_prefix=new.disable_prefix)
        new = replace(new, other_mode_at=cut_at)
        few = MOST_BATCHES if new.is_resumed else min(MOST_BATCHES, FEW_BATCHES + TIMES * (new.total_batches or 0))
        known = self.view.session_batches(key, few)
        ids = {batch.batch_id for batch in known}
        writing = [batch for batch in being_written if batch.batch_id not in ids]
        runs = runs_of([*known, *writing], self.window)
        safe = {batch.batch_id for batch in writing}
        return judge_arrival(
            new, runs[-1] if runs else None, lambda batch_id: batch_id in safe or self._is_good(batch_id), self.window
        )

    def _is_good(self, batch_id: str) -> bool:
        status = self.batch(batch_id)
        return (
            status is not None
            and status.state != "nobody"
            and not any(target.state in ("failed", "skipped") for target in status.targets)
            and not (status.mode == "remove" and any(with_identifier(target.reasons) for target in status.targets))
        )


def _place(row: tuple[int, SessionKey]) -> "SessionPlace":
    last, key = row
    return last, key.session_id, key.name, key.type, key.mode


SessionPlace = tuple[int, str, str, str, str]
BatchPlace = tuple[int, str]
Place = TypeVar("Place", SessionPlace, BatchPlace)
Summary = TypeVar("Summary", SessionSummary, BatchSummary)


def _page(
    read: Callable[[Place | None], Iterable[tuple[Place, Summary | None]]],
    before: Place | None,
    most: int,
    state: str | None,
) -> tuple[list[Summary], Place | None]:
    """Return so many of what `read` finds behind a place, and where the following page begins, None at the end.

    `read` finds `most` at once unless there are no more, and what is in another state where states are stale: of all
    these MOST_SCANNED are looked at, and what is left is for the following page.
    """
    found: list[Summary] = []
    scanned = 0
    while scanned < MOST_SCANNED:
        seen = 0
        for place, summary in read(before):
            seen, before = seen + 1, place
            if summary is not None and state in (None, summary.state):
                found.append(summary)
            if len(found) == most:
                return found, before
        scanned += seen
        if seen < most:
            return found, None
    return found, before


def _session_cursor(cursor: str) -> SessionPlace:
    last, session_id, name, kind, mode = read_cursor(cursor, int, str, str, str, str)
    return int(last), str(session_id), str(name), str(kind), str(mode)


def _batch_cursor(cursor: str) -> BatchPlace:
    last, batch_id = read_cursor(cursor, int, str)
    return int(last), str(batch_id)
