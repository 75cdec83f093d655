"""What is asked of the view: the status resources, read in one go each."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.resources import (
    BatchStatus,
    RejectedPage,
    RejectedTold,
    RunStatus,
    SessionPage,
    SessionStatus,
    SessionSummary,
    TargetStatus,
)
from ledger.sessions import Contradiction, Retry, Run, SeenBatch, judge_arrival, runs_of
from ledger.status import StateOf, batch_status, run_status, target_status
from ledger.view import MOST_RECORDS, RecordRow, SessionKey, View, seen_batches
from schemas.records import AudienceType
from schemas.target import Target, parse_target
from schemas.vocabulary import VOCABULARY

SPEED_WINDOW = timedelta(seconds=60)
MOST_SCANNED = 1_000
"""Sessions that one page is looked for among, where a filter by state lets few through."""

FEW_RECORDS, PARTS = 100, 4
"""Newest records that tell what a new batch is: some, and of each batch of its series a few; all would take long."""


class CursorError(ValueError):
    """The cursor is none that we gave: begin without one."""


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

    def batch(self, batch_id: str) -> BatchStatus | None:
        """Return how a batch stands, None where no record of it is known."""
        records = self.view.records_of(batch_id)
        return batch_status(records, self.targets, self._target) if records else None

    def _target(self, target: Target, records: Sequence[RecordRow]) -> TargetStatus:
        ends = self.view.ends_of(record.origin for record in records)
        told = target_status(target, records, ends, self.state_of)
        if told.state not in ("waiting", "retrying"):
            return told
        return target_status(target, records, ends, self.state_of, self._seconds_to_go(target, records[-1].at))

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
        return run_status(run, key.name, key.type, told)

    def sessions(self, filters: Filters, cursor: str | None, most: int) -> SessionPage:
        """Return so many sessions, the newest first. Raises CursorError."""
        before = _parsed(cursor) if cursor else None
        found: list[SessionSummary] = []
        scanned = 0
        while len(found) < most and scanned < MOST_SCANNED:
            page = self.view.newest_sessions(before, filters.name, filters.type, filters.since, most)
            for last, key in page:
                scanned, before = scanned + 1, (last, key.session_id, key.name, key.type)
                summary = self._summary(key)
                if summary is not None and filters.state in (None, summary.state):
                    found.append(summary)
                if len(found) == most:
                    break
            if len(page) < most:
                before = None if len(found) < most else before
                break
        return SessionPage(sessions=found, next=_cursor(before) if before else None)

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

    def rejected(self, batch_id: str) -> RejectedPage | None:
        """Return the rejected users of a batch, never with a value; None where no record of it is known."""
        records = self.view.records_of(batch_id)
        if not records:
            return None
        origins = [record.origin for record in records]
        listed = [_rejected(*row) for row in self.view.rejected_of(origins)]
        total = sum(end.rejected for end in self.view.ends_of(origins))
        return RejectedPage(batch_id=batch_id, rejected=listed, unlisted=max(0, total - len(listed)))

    def judge(self, key: SessionKey, new: SeenBatch, under_way: Sequence[SeenBatch]) -> Retry | Contradiction | None:
        """Return what a new batch is beside what came before it in its session; None: one to be accepted.

        `under_way` came before it, too, and is being written.
        """
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
        )


def _rejected(target: str, delivery: str, index: int, field: str | None, reason: str) -> RejectedTold:
    word, account = VOCABULARY.get(reason), parse_target(target)
    return RejectedTold(
        provider=account.provider,
        account=account.account or None,
        replay_id=None if delivery == "live" else delivery,
        index=index,
        field=field,
        reason=reason,
        remedy=word.remedy if word else "",
    )


Before = tuple[int, str, str, str]


def _cursor(before: Before) -> str:
    return base64.urlsafe_b64encode(json.dumps(before).encode()).decode().rstrip("=")


def _parsed(cursor: str) -> Before:
    try:
        last, session_id, name, kind = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(last), str(session_id), str(name), str(kind)
    except (binascii.Error, ValueError, TypeError) as error:
        raise CursorError from error
