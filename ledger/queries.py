"""What is asked of the view: the status resources, read in one go each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ledger.cursors import read_cursor, write_cursor
from ledger.rejections import rejections
from ledger.resources import (
    BatchStatus,
    RejectedPage,
    RunStatus,
    SessionPage,
    SessionRejectedPage,
    SessionStatus,
    SessionSummary,
    TargetStatus,
)
from ledger.sessions import Contradiction, Retry, Run, SeenBatch, judge_arrival, runs_of
from ledger.status import StateOf, batch_status, held_up, run_status, target_status, with_identifier
from ledger.view import MOST_RECORDS, EndRow, RecordRow, SessionKey, View, seen_batches
from schemas.records import AudienceType
from schemas.target import Target
from streams.cluster.topic_watch import OpenTransaction, holding_up

SPEED_WINDOW = timedelta(seconds=60)
MOST_SCANNED = 1_000
"""Sessions that one page is looked for among, where a filter by state lets few through."""

FEW_RECORDS, PARTS = 100, 4
"""Newest records that tell what a new batch is: some, and of each batch of its series a few; all would take long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which sessions are asked for; None is any."""

    name: str | None = None
    type: AudienceType | None = None
    state: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Answers from a view, for the accounts that this deployment serves. Each call may take some milliseconds."""

    view: View
    targets: Sequence[Target]
    state_of: StateOf
    now: Callable[[], datetime]
    window: timedelta
    open_transactions: Callable[[], Sequence[OpenTransaction]] = tuple

    def batch(self, batch_id: str) -> BatchStatus | None:
        """Return how a batch stands, None where no record of it is known."""
        records = self.view.records_of(batch_id)
        return batch_status(records, self.targets, self._target) if records else None

    def _target(self, target: Target, records: Sequence[RecordRow]) -> TargetStatus:
        ends = self.view.ends_of(record.origin for record in records)
        told = target_status(target, records, ends, self.state_of)
        if told.state == "waiting" and (held := self._held_up(target, records, ends)):
            return held_up(told, held)
        if told.state not in ("waiting", "retrying"):
            return told
        return target_status(target, records, ends, self.state_of, self._seconds_to_go(target, records[-1].at))

    def _held_up(self, target: Target, records: Sequence[RecordRow], ends: Sequence[EndRow]) -> OpenTransaction | None:
        """Return the transaction that records wait for which the account has not begun."""
        begun = {end.origin for end in ends if end.target == str(target)}
        waiting = (record.origin for record in records if record.origin not in begun)
        return holding_up(waiting, self.open_transactions())

    def _seconds_to_go(self, target: Target, at: datetime) -> float | None:
        """Return an estimate by how fast the account was in the last minute; None where it did nothing."""
        users = self.view.speed(str(target), self.now() - SPEED_WINDOW)
        speed = users / SPEED_WINDOW.total_seconds()
        return round(self.view.users_ahead(str(target), at) / speed, 1) if speed else None

    def session(self, session_id: str) -> SessionStatus | None:
        """Return all runs of all audiences under a session's id, the newest first; None where there are none."""
        runs = [told for key in self.view.keys_of(session_id) for told in self._runs(key)]
        runs.sort(key=lambda told: told.last_at, reverse=True)
        return SessionStatus(session_id=session_id, runs=runs) if runs else None

    def _runs(self, key: SessionKey) -> Iterator[RunStatus]:
        records = self.view.session_records(key)
        for run in runs_of(seen_batches(records), self.window):
            yield self._run(run, key, records)

    def _run(self, run: Run, key: SessionKey, records: Sequence[RecordRow]) -> RunStatus:
        wanted = {batch.batch_id for batch in run.batches}
        by_id: dict[str, list[RecordRow]] = {}
        for record in records:
            if record.batch_id in wanted:
                by_id.setdefault(record.batch_id, []).append(record)
        told = {batch_id: batch_status(some, self.targets, self._target) for batch_id, some in by_id.items()}
        return run_status(run, key, told)

    def sessions(self, filters: Filters, cursor: str | None, most: int) -> SessionPage:
        """Return so many sessions, the newest first. Raises CursorError."""
        before = _parsed(cursor) if cursor else None
        found: list[SessionSummary] = []
        scanned = 0
        while len(found) < most and scanned < MOST_SCANNED:
            page = self.view.newest_sessions(before, filters.name, filters.type, filters.since, most)
            for last, key in page:
                scanned, before = scanned + 1, (last, key.session_id, key.name, key.type, key.mode)
                summary = self._summary(key)
                if summary is not None and filters.state in (None, summary.state):
                    found.append(summary)
                if len(found) == most:
                    break
            if len(page) < most:
                before = None if len(found) < most else before
                break
        return SessionPage(sessions=found, next=write_cursor(before) if before else None)

    def _summary(self, key: SessionKey) -> SessionSummary | None:
        records = self.view.session_records(key)
        runs = runs_of(seen_batches(records), self.window)
        if not runs:
            return None
        told = self._run(runs[-1], key, records)
        return SessionSummary(
            session_id=key.session_id,
            name=key.name,
            type=key.type,
            mode=key.mode,
            state=told.state,
            runs=len(runs),
            started_at=told.started_at,
            last_at=told.last_at,
            total_batches=told.total_batches,
            total_users=told.total_users,
            users=told.users,
            missing=told.missing,
            targets={str(Target(target.provider, target.account or "")): target.state for target in told.targets},
        )

    def rejected(self, batch_id: str, cursor: str | None, most: int) -> RejectedPage | None:
        """Return so many rejected users of a batch; None where no record of it is known. Raises CursorError."""
        records = self.view.records_of(batch_id)
        if not records:
            return None
        found = rejections(self.view, records, cursor, most)
        return RejectedPage(batch_id=batch_id, rejected=found.rejected, unlisted=found.unlisted, next=found.next)

    def session_rejected(self, session_id: str, cursor: str | None, most: int) -> SessionRejectedPage | None:
        """Return so many rejected users of a session's newest run; None where there is none. Raises CursorError."""
        records = [record for key in self.view.keys_of(session_id) for record in self._newest_run(key)]
        if not records:
            return None
        found = rejections(self.view, records, cursor, most)
        return SessionRejectedPage(
            session_id=session_id, rejected=found.rejected, unlisted=found.unlisted, next=found.next
        )

    def _newest_run(self, key: SessionKey) -> list[RecordRow]:
        """Return the records of the newest run, without those of batches that came twice."""
        records = self.view.session_records(key)
        runs = runs_of(seen_batches(records), self.window)
        newest = runs[-1] if runs else Run()
        wanted = {batch.batch_id for batch in newest.batches if newest.marks.get(batch.batch_id) != "repeated"}
        return [record for record in records if record.batch_id in wanted]

    def judge(self, key: SessionKey, new: SeenBatch, under_way: Sequence[SeenBatch]) -> Retry | Contradiction | None:
        """Return what a new batch is beside what came before it in its session; None: one to be accepted.

        `under_way` came before it, too, and is being written.
        """
        cut_at = self.view.other_mode_at(key, has_no_prefix=new.disable_prefix)
        new = replace(new, other_mode_at=cut_at)
        few = min(MOST_RECORDS, FEW_RECORDS + PARTS * (new.total_batches or 0))
        known = seen_batches(self.view.session_records(key, few))
        ids = {batch.batch_id for batch in known}
        writing = [batch for batch in under_way if batch.batch_id not in ids]
        runs = runs_of([*known, *writing], self.window)
        safe = {batch.batch_id for batch in writing}
        return judge_arrival(
            new, runs[-1] if runs else None, lambda batch_id: batch_id in safe or self._is_good(batch_id), self.window
        )

    def _is_good(self, batch_id: str) -> bool:
        told = self.batch(batch_id)
        return (
            told is not None
            and told.state != "nobody"
            and not any(target.state in ("failed", "skipped") for target in told.targets)
            and not (told.mode == "remove" and any(with_identifier(target.reasons) for target in told.targets))
        )


Before = tuple[int, str, str, str, str]


def _parsed(cursor: str) -> Before:
    last, session_id, name, kind, mode = read_cursor(cursor, int, str, str, str, str)
    return int(last), str(session_id), str(name), str(kind), str(mode)
