"""What is shown before anything is sent: the file, its columns with masked values, and what is not used."""

from collections.abc import Iterator, Sequence

from audience_client.columns.mapping import ColumnMapping, ShownColumn
from audience_client.command.text_table import table
from audience_client.errors import quoted
from audience_client.files.table import Notice, Table

NAMED = 12
"""Names of columns on a line."""


def table_lines(read: Table, *, with_examples: bool) -> Iterator[str]:
    """Yield what a file was read as, and what to look at in it; examples are words of the file, for its owner only."""
    yield f"{read.name}: {read.kind}, {counted(read.row_count, read.unit)}, {counted(len(read.columns), 'column')}"
    yield from (f"  {line}" for notice in read.notices for line in _notice_lines(notice, with_examples=with_examples))


def mapping_lines(mapping: ColumnMapping) -> Iterator[str]:
    """Yield which column becomes which field, and what is not uploaded."""
    yield from table([["field", "column", "such as"], *map(_cells, mapping.shown())], indent="  ")
    yield from (f"  {notice}" for notice in mapping.notices)
    if mapping.unmapped_personal:
        yield f"  looks like personal data and is not uploaded: {_listed(mapping.unmapped_personal)}"


def counted(count: int, unit: str) -> str:
    """Return a number of things in words."""
    many = unit.removesuffix("y") + "ies" if unit.endswith("y") else f"{unit}{'es' if unit.endswith('ch') else 's'}"
    return f"{count:,} {unit if count == 1 else many}"


def _notice_lines(notice: Notice, *, with_examples: bool) -> Iterator[str]:
    yield notice.text
    if notice.examples and with_examples:
        yield f"  such as {_listed(notice.examples)}"


def _cells(shown: ShownColumn) -> list[str]:
    return [shown.field, quoted(shown.column), "  ".join(shown.values) or "(empty so far)"]


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(map(quoted, names[:NAMED]))
    return f"{listed} and {len(names) - NAMED} more" if len(names) > NAMED else listed
