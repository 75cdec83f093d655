"""The demo on a terminal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.demo.comparison import Comparison
from cli.demo.outcome import Outcome
from schemas.target import Target

USERS_BAR = "Users uploaded"
BATCHES_BAR = "Batches handled"
EXACT = "Every platform holds exactly the users it can use."


def start_line(logs: Path) -> str:
    """Say what is started, and where its logs are."""
    return f"Starting Kafka, ingestion, three consumers and the sandbox; their logs are in {logs}"


def progress_bars(console: Console) -> Progress:
    """Return bars for what is counted."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def outcome_table(outcome: Outcome, targets: Sequence[Target]) -> Table:
    """Return what came of all uploads, a line for each account."""
    table = Table("platform", "received", "accepted", "rejected", "why rejected", "seconds")
    for target in targets:
        done = outcome.of(target.provider)
        reasons = sum((Counter(completion.rejected_reasons) for completion in done), Counter[str]())
        errors = Counter(completion.error_code for completion in done if completion.error_code)
        table.add_row(
            str(target),
            f"{sum(completion.counts.received for completion in done):,}",
            f"{sum(completion.counts.accepted for completion in done):,}",
            f"{reasons.total():,}",
            "\n".join(f"{reason} {count:,}" for reason, count in (reasons + errors).most_common()),
            f"{outcome.ended.get(target.provider, 0):.1f}",
        )
    return table


def comparison_line(comparison: Comparison) -> str:
    """Say how many members an account holds, and how many users it can use."""
    return f"{comparison.target}: holds {len(comparison.held):,} members, {len(comparison.usable):,} users are usable"


def difference(comparison: Comparison) -> str:
    """Say how many members are missing or strange."""
    lacks, others = len(comparison.usable - comparison.held), len(comparison.held - comparison.usable)
    return f"{comparison.target} lacks {lacks:,} and holds {others:,} others"
