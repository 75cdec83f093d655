"""What the pages read from the view, each in one go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.throughput import STEP, Throughput, since, throughput
from ledger import recent_ends
from ledger.queries import Choice, Filters, Queries
from ledger.recent_ends import AudienceRow, RecentEnd
from ledger.resources import RunStatus, SessionRejectedPage, SessionStatus, SessionSummary
from ledger.view import RecordRow, SessionKey

NEWEST = 10
"""Sessions that the overview lists."""

LATELY = timedelta(days=7)
"""How long ago the last batch of a session came at most that needs somebody."""

ARRIVING = timedelta(minutes=1)
"""How long after its last batch a session counts as one whose next batch is on its way."""

MOST_IN_STATE = 10
"""Sessions of each state that are looked for: more than are shown."""

RUNNING, TROUBLED = ("in_progress", "blocked"), ("incomplete", "failed", "nobody")
"""States of sessions that the overview follows, and of those that need somebody."""

FOLLOWED = 4
"""Sessions under way whose progress the overview shows."""

AT_ONCE = 50
"""Rows of a page."""

MOST_INVALID = 100
MOST_DECISIONS = 500
MOST_REJECTED = 50
QUARANTINED = "quarantined"
"""How the reason of such a record begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A session that arrives or is being delivered, and its newest run."""

    key: SessionKey
    run: RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the first page shows besides the accounts."""

    sessions: Sequence[SessionSummary]
    under_way: Sequence[UnderWay]
    incomplete: Sequence[SessionSummary]
    failed_sessions: Sequence[SessionKey]
    for_nobody: Sequence[SessionKey]
    speeds: Mapping[str, Throughput]
    failed: Mapping[str, int]
    invalid: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """An audience, and what each account calls it."""

    row: AudienceRow
    ids: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSession:
    """A session, the run that is looked at, and the first of who was rejected in the newest."""

    status: SessionStatus
    run: RunStatus
    number: int
    rejected: SessionRejectedPage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """What was given up, and records that nobody can use."""

    failed: Sequence[RecentEnd]
    invalid: Sequence[RecordRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Reads; each call takes some milliseconds and runs on a thread of its own. All raise sqlite3.Error."""

    queries: Queries

    @property
    def targets(self) -> list[str]:
        """The accounts that are configured here."""
        return [str(target) for target in self.queries.targets]

    def overview(self) -> Overview:
        """Return the newest sessions, those under way or in trouble, how fast accounts are, and what was given up."""
        now = self.queries.now()
        by_state = self.queries.newest_in(RUNNING + TROUBLED, now - LATELY, MOST_IN_STATE)
        incomplete = list(self.queries.summaries(by_state["incomplete"]).values())
        arriving = [
            SessionKey(one.session_id, one.name, one.type, one.mode) for one in incomplete if _arrives(one, now)
        ]
        running = [*arriving, *(key for state in RUNNING for key in by_state[state])]
        invalid = self.queries.view.invalid_records(MOST_INVALID)
        quarantined = sum(is_quarantined(record) for record in invalid)
        return Overview(
            sessions=self.queries.sessions(Filters(), None, NEWEST).sessions,
            under_way=[found for key in running[:FOLLOWED] if (found := self._under_way(key))],
            incomplete=[one for one in incomplete if not _arrives(one, now)],
            failed_sessions=by_state["failed"],
            for_nobody=by_state["nobody"],
            speeds=self.speeds(),
            failed=self.failed(),
            invalid=len(invalid) - quarantined,
            quarantined=quarantined,
        )

    def _under_way(self, key: SessionKey) -> UnderWay | None:
        status = self.queries.session(key.session_id, Choice(name=key.name, type=key.type, mode=key.mode))
        return UnderWay(key=key, run=status.runs[0]) if status else None

    def speeds(self) -> Mapping[str, Throughput]:
        """Return how fast each account was lately."""
        begin = int(since(self.queries.now()).timestamp() * 1000)
        step = int(STEP.total_seconds() * 1000)
        reading = self.queries.view.reading()
        return {name: throughput(recent_ends.users_by_step(reading, name, begin, step)) for name in self.targets}

    def failed(self) -> Mapping[str, int]:
        """Return how many records each account gave up."""
        reading = self.queries.view.reading()
        return {name: recent_ends.count_failed(reading, name) for name in self.targets}

    def session(self, session_id: str, chosen: Choice, number: int) -> OneSession | None:
        """Return a session and one of its runs, the newest is 0; None where there is none."""
        status = self.queries.session(session_id, chosen)
        if status is None or number >= len(status.runs):
            return None
        is_newest_with_rejected = number == 0 and any(target.users.rejected for target in status.runs[0].targets)
        rejected = (
            self.queries.session_rejected(session_id, None, MOST_REJECTED, chosen) if is_newest_with_rejected else None
        )
        return OneSession(status=status, run=status.runs[number], number=number, rejected=rejected)

    def audiences(self, after: int) -> list[Audience]:
        """Return a page of audiences and one more, by their last upload."""
        reading = self.queries.view.reading()
        rows = recent_ends.newest_audiences(reading, AT_ONCE + 1, after)
        return [
            Audience(
                row=row,
                ids={name: recent_ends.audience_id(reading, row.platform_name, name) for name in self.targets},
            )
            for row in rows
        ]

    def dead_letters(self) -> DeadLetters:
        """Return the newest records that were given up, and that nobody can use."""
        failed = recent_ends.failed_ends(self.queries.view.reading(), self.targets, MOST_DECISIONS)
        return DeadLetters(failed=failed, invalid=self.queries.view.invalid_records(MOST_INVALID))

    def ends(self) -> list[RecentEnd]:
        """Return the newest last words on records, and what is tried again."""
        reading = self.queries.view.reading()
        found = recent_ends.newest_ends(reading, self.targets, MOST_DECISIONS)
        return found + recent_ends.open_ends(reading, self.targets, MOST_DECISIONS)


def _arrives(session: SessionSummary, now: datetime) -> bool:
    """Tell whether a session lacks batches only as they are still being sent."""
    return now - session.last_at < ARRIVING


def is_quarantined(record: RecordRow) -> bool:
    """Tell whether a record ends the process that reads it."""
    return (record.reason or "").startswith(QUARANTINED)
