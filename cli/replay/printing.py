"""A replay as text: what it is about to send, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cli.printing.tables import plain
from cli.replay.selection import Part
from schemas.records import BatchCompletion, Status
from schemas.target import Target

PLAN = ("account", "batches", "records", "users", "about", "left the log")
SUMMARY = (
    *("account", "delivered", "partial", "failed", "skipped", "unfinished"),
    *("accepted", "rejected", "superseded", "removed", "reasons"),
)

ENDS: tuple[Status, ...] = ("delivered", "partial", "failed", "skipped")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of one account's part, as far as it ran this time."""

    target: Target
    records: int
    before: int = 0
    """Records that were finished before, by the replay that this one resumes."""
    ends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    rejected: int = 0
    superseded: int = 0
    """Users about whom a later record decides."""
    removed: int | None = None
    """Users who left audiences, None where no platform has said of any."""
    parked_by: str | None = None

    def add(self, completion: BatchCompletion) -> None:
        """Count how one record ended."""
        self.ends[completion.status] += 1
        self.accepted += completion.counts.accepted
        self.rejected += completion.counts.rejected
        self.superseded += completion.counts.superseded
        if completion.counts.removed is not None:
            self.removed = (self.removed or 0) + completion.counts.removed
        if completion.status == "failed":
            self.reasons[completion.error_code or "unknown"] += 1

    @property
    def unfinished(self) -> int:
        """Records that have not ended."""
        return self.records - self.before - self.ends.total()

    def cells(self) -> list[str]:
        """Return this as a row of SUMMARY."""
        ends = [str(self.ends[status]) for status in ENDS]
        words = [f"{reason}: {count}" for reason, count in self.reasons.most_common()]
        words += [f"blocked: {self.parked_by}"] if self.parked_by else []
        words += [f"{self.before} were finished before"] if self.before else []
        users = [self.accepted, self.rejected, self.superseded, "-" if self.removed is None else self.removed]
        return [str(self.target), *ends, str(self.unfinished), *map(str, users), ", ".join(words)]


def plan_lines(parts: Sequence[Part], seconds: Sequence[float]) -> Iterator[str]:
    """Say what is about to be sent."""
    rows = [
        [
            str(part.target),
            str(len(part.batches)),
            str(len(part.wishes)),
            str(sum(part.users)),
            duration(took),
            str(len(part.gone)),
        ]
        for part, took in zip(parts, seconds, strict=True)
    ]
    yield from plain([PLAN, *rows])
    removals = max((part.removals for part in parts), default=0)
    if removals:
        yield f"Removals among these records: {removals}."
    gone = {record.origin: record for part in parts for record in part.gone}
    if gone:
        users = sum(record.users for record in gone.values())
        batches = len({record.batch_id for record in gone.values()})
        yield f"Not in the log any more: {len(gone)} records, {batches} batches, {users} users; upload them again."
    whole = sum(part.whole for part in parts)
    if whole:
        yield f"Of {whole} records not every rejected user is known: these go whole."


def duration(seconds: float) -> str:
    """Return a time as people read it."""
    return str(timedelta(seconds=round(seconds))) if seconds >= 1 else "a second"


def summary_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say what came of it."""
    yield from plain([SUMMARY, *(outcome.cells() for outcome in outcomes)])
