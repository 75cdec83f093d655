"""Bars that show how far a replay is, one for each account; only a terminal shows them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.printing.logs import configure_logs
from cli.replay.printing import Outcome, duration
from providers.kit.errors import PlatformError
from schemas.records import BatchCompletion, Origin


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show bars on standard error while the block is entered, and above them what goes wrong."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        configure_logs(least=logging.WARNING)
        try:
            yield progress
        finally:
            configure_logs(least=logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The bar of one account; counts what it is told in the account's outcome."""

    outcome: Outcome
    progress: Progress
    bar: TaskID

    def begun(self, before: Sequence[Origin]) -> None:
        """Begin behind what was finished before."""
        self.outcome.before = len(before)
        self.progress.update(self.bar, completed=len(before))

    def ended(self, completion: BatchCompletion) -> None:
        """Count one more record."""
        self.outcome.add(completion)
        self.progress.advance(self.bar)

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        """Say what is waited for."""
        self.outcome.parked_by = error.code if error else None
        waits = f", blocked: {error.code}" if error else f", throttled: {duration(seconds)}" if seconds else ""
        self.progress.update(self.bar, description=f"{self.outcome.target}{waits}")


def line_for(outcome: Outcome, progress: Progress) -> Line:
    """Return a new bar."""
    bar = progress.add_task(str(outcome.target), total=outcome.records)
    return Line(outcome=outcome, progress=progress, bar=bar)
