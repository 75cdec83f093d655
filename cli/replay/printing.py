"""Replays as text: what one is about to send, what came of it, and which there are."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console

from cli.printing.tables import moment_text, plain, print_lines, print_rows
from cli.replay.listing import ListedReplay
from cli.replay.selection import Choice, Part
from schemas.records import BatchCompletion, Status
from schemas.target import Target

LISTED = ("replay", "state", "begun", "accounts", "what")
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


def print_replays(found: Sequence[ListedReplay], console: Console) -> None:
    """Print a table of replays, and on standard error how one that was interrupted goes on."""
    if found:
        print_rows(LISTED, [_cells(one) for one in found], console)
    else:
        print_lines(["No replay is known."], sys.stderr)
    if any(one.state == "interrupted" for one in found):
        print_lines(["What is interrupted goes on by: audience replay --resume REPLAY"], sys.stderr)


def _cells(one: ListedReplay) -> list[str]:
    """Return a replay as a row of LISTED."""
    options = "" if one.choice is None else " ".join(_options(one.choice))
    return [one.id, one.state, moment_text(one.created_at) or "-", ", ".join(one.targets), options or "-"]


def _options(choice: Choice) -> Iterator[str]:
    """Yield the options by which somebody asked for this."""
    texts = (
        ("session", choice.session_id),
        ("audience", choice.name),
        ("type", choice.type),
        ("mode", choice.mode),
        ("batch", choice.batch_id),
    )
    times = (("since", moment_text(choice.since)), ("until", moment_text(choice.until)))
    only = (("only", None if choice.only == "all" else choice.only), *(("reason", word) for word in choice.reasons))
    yield from (f"--{name} {value}" for name, value in (*texts, *times, *only) if value is not None)


def stopped_line(replay_id: str) -> str:
    """Say that a replay has ended, and how it goes on."""
    return f"{replay_id} has ended. It goes on by: audience replay --resume {replay_id}"
