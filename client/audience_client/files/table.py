"""What every kind of file becomes: columns of text, in blocks of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

MAX_COLUMNS = 256
"""Columns of a file: more is a report or a broken header, and a mapping that nobody can look over."""

TAIL_ROWS = 5
"""Rows at the end that may be no customers; a report closes with fewer."""

SAMPLE_ROWS = 200
"""Rows at the beginning from which columns are judged and shown."""

Row = Sequence[str]


class Block(NamedTuple):
    """Some rows, each with the cells of the columns that were asked for, and their numbers in the file."""

    numbers: Sequence[int]
    rows: Sequence[Row]


NO_TAIL = Block((), ())
"""Of files of programs, which write no totals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to look at before anything is sent; `examples` are words of the file, for its owner's eyes only."""

    text: str
    examples: tuple[str, ...] = ()


class Table(Protocol):
    """A file that was read whole once; of what has columns of its own, only the shape."""

    name: str
    """The file as messages name it."""

    kind: str
    """What it is, such as `CSV`."""

    unit: str
    """What its numbers count: `row`, `line` or `entry`."""

    columns: tuple[str, ...]
    row_count: int
    """Rows that hold something."""

    notices: tuple[Notice, ...]
    samples: tuple[Row, ...]
    """Up to `SAMPLE_ROWS` rows with a cell for each column."""

    tail: Block
    """Up to `TAIL_ROWS` rows from the end with a cell for each column; of what programs write, none."""

    is_checked: bool
    """Every cell was read and none is longer than a field may be, so no look at the cells of a mapping is needed."""

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read the file again, only these columns.

        Raises FileError where a cell of theirs can't be read as text; it is empty where `is_strict` is false.
        """

    def check_unchanged(self) -> None:
        """Raise FileError where what is read again is not what was read first."""

    def fingerprint(self) -> str:
        """Return what is the same only for the same bytes. Raises FileError where the file has changed."""

    def close(self) -> None:
        """Let go of the file, and of what was kept of it."""
