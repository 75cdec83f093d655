"""What came of a run, and its table."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from rich.table import Table

from schemas.records import TERMINAL, BatchCompletion, Origin


@dataclass(slots=True)
class Report:
    """What came of a run."""

    injected: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """Uploads that added people to a few audiences, and that took them out again."""
    replays: Counter[str] = field(default_factory=Counter)
    users: int = 0
    records: int = 0
    small: Counter[str] = field(default_factory=Counter)
    """Records of few people, their ends by status, and how many of those were of calls that records shared."""
    strays: int = 0
    """Records that no publisher should write."""
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Rows that a platform took, and how many of them it had."""
    audiences: Counter[str] = field(default_factory=Counter)
    extra_audiences: Counter[str] = field(default_factory=Counter)
    stall: float = 0.0
    settled: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def take_small(self, standing: Collection[Origin], completions: Iterable[BatchCompletion]) -> None:
        """Note the ends of records of few people, of which those in the log are given."""
        self.small["in the log"] = len(standing)
        calls: set[str] = set()
        for end in completions:
            if end.origin in standing and end.status in TERMINAL:
                self.small[end.status] += 1
                self.small["by shared calls"] += bool(end.shared_calls)
                self.small["with rows that nobody could place"] += bool(end.shared_unplaced)
                calls.update(end.shared_calls)
        self.small["shared calls that were told"] = len(calls)


def as_table(report: Report) -> Table:
    """Return the report as one table."""
    table = Table("what", "how much", show_header=False)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(report.injected.items()))
    table.add_row("faults injected", f"{report.injected.total()}: {faults}")
    answers = ", ".join(f"{answer} {count}" for answer, count in sorted(report.answers.items()))
    table.add_row("uploads, and answers to them", f"{report.uploads}: {answers}")
    table.add_row("users uploaded, records of the log", f"{report.users:,}, {report.records:,}")
    changes = ", ".join(f"{mode} {count}" for mode, count in sorted(report.changes.items()))
    table.add_row("of audiences where people come and go", changes)
    table.add_row("replays", ", ".join(f"{end}: {n}" for end, n in sorted(report.replays.items())) or "none")
    table.add_row("records of few people", ", ".join(f"{what} {n:,}" for what, n in report.small.items()))
    if report.strays:
        table.add_row("records that nobody should write", f"{report.strays:,}")
    for provider, (rows, repeated) in report.sent.items():
        share = 100 * repeated / rows if rows else 0
        table.add_row(f"{provider}: rows taken, of which it had", f"{rows:,}, {repeated:,} ({share:.1f} %)")
    made = ", ".join(f"{name} {n} (+{report.extra_audiences[name]})" for name, n in report.audiences.items())
    table.add_row("audiences (of them made twice)", made)
    table.add_row("longest stall", f"{report.stall:.1f} s")
    table.add_row("at rest after", f"{report.settled:.1f} s")
    peaks = ", ".join(f"{kind} {peak / 1e6:.0f} MB" for kind, peak in sorted(report.peaks.items()))
    table.add_row("peak memory of a process", peaks)
    table.add_row("ended by themselves", ", ".join(f"{k} {n}" for k, n in sorted(report.alone.items())) or "none")
    return table
