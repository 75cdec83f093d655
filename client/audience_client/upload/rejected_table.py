"""The form of files of rejected rows: what stands before a file's own columns, and how they are read again."""

import re
from collections.abc import Iterator, Sequence

from audience_client.files.table import Block, Notice, Row, Table

ADDED = ("audience:row", "audience:platform", "audience:field", "audience:reason", "audience:remedy")
"""Columns that stand before those of the file."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet would take for a formula, also where it is guarded already."""

_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(cell: str) -> str:
    """Return a cell as no spreadsheet runs it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell


def as_it_was(table: Table) -> Table:
    """Return a file of rejected rows without what was added to it, and any other file as it is."""
    return table if set(ADDED).isdisjoint(table.columns) else _RejectedTable(table)


class _RejectedTable:
    """A file of rejected rows, which may have been corrected, and whose columns may have been moved."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.name = table.name
        self.kind = table.kind
        self.unit = table.unit
        self._kept = [place for place, name in enumerate(table.columns) if name not in ADDED]
        self.columns = tuple(unguarded(table.columns[place]) for place in self._kept)
        self.row_count = table.row_count
        self.notices = (*table.notices, Notice(text="rejected rows of an upload: what was added to them is left out"))
        self.samples = tuple(_unguarded([row[place] for place in self._kept]) for row in table.samples)
        self.tail = Block(
            table.tail.numbers, [_unguarded([row[place] for place in self._kept]) for row in table.tail.rows]
        )
        self.is_checked = table.is_checked

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read the file again, only these columns, without guards."""
        for block in self._table.blocks([self._kept[column] for column in columns], is_strict=is_strict):
            yield Block(block.numbers, list(map(_unguarded, block.rows)))

    def check_unchanged(self) -> None:
        """Raise FileError where what is read again is not what was read first."""
        self._table.check_unchanged()

    def fingerprint(self) -> str:
        """Return what is the same only for the same bytes. Raises FileError where the file has changed."""
        return self._table.fingerprint()

    def close(self) -> None:
        """Let go of the file, and of what was kept of it."""
        self._table.close()


def _unguarded(row: Row) -> Row:
    return list(map(unguarded, row))
