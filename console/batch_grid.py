"""The batches of a run by their sequence, with the places of those that are missing; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.formats import moment, number
from console.rendering import STATE_WORDS
from ledger.resources import BatchOfRun, RunStatus

MISSING = "missing"
COUNTING = (None, "late")
"""Marks of batches that take a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One batch, or the place of one that has not come."""

    sequence: int
    state: str
    word: str
    mark: str | None = None
    users: str = ""
    at: str = ""
    batch_id: str = ""

    @property
    def title(self) -> str:
        """What a pointer over the cell is told."""
        rest = [f"{self.users} users"] if self.users else []
        return ", ".join([f"Batch {self.sequence}: {self.word.lower()}", *([self.mark] if self.mark else []), *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All cells in the order of their sequence, which states and marks there are, and how many batches are where."""

    cells: Sequence[Cell]
    states: Sequence[str]
    marks: frozenset[str]
    came: int
    missing: int
    unnamed: int
    """Batches that are missing and are not named."""


def batch_grid(run: RunStatus) -> Grid:
    """Return the cells of a run."""
    cells = [*map(_cell, run.batches), *map(_missing, run.missing)]
    cells.sort(key=lambda cell: cell.sequence)
    came = sum(batch.mark in COUNTING for batch in run.batches)
    missing = max(len(run.missing), (run.total_batches or 0) - came) if run.missing else 0
    return Grid(
        cells=cells,
        states=list(dict.fromkeys(cell.state for cell in cells)),
        marks=frozenset(cell.mark for cell in cells if cell.mark),
        came=came,
        missing=missing,
        unnamed=missing - len(run.missing),
    )


def _cell(batch: BatchOfRun) -> Cell:
    return Cell(
        sequence=batch.sequence,
        state=batch.state,
        word=STATE_WORDS[batch.state],
        mark=batch.mark,
        users=number(batch.users),
        at=moment(batch.at),
        batch_id=batch.batch_id,
    )


def _missing(sequence: int) -> Cell:
    return Cell(sequence=sequence, state=MISSING, word="Missing")
