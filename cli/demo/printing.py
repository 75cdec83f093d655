"""The demo on a terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.demo.outcome import Outcome
from schemas.target import Target


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
