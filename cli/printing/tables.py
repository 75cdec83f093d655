"""What commands print: a table where it fits a terminal, else lines, and objects for programs."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.printing.escaping import printable

MOST_COLUMNS = 10_000
"""A terminal that is never too narrow."""

Facts = Mapping[str, object]


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table where it fits a terminal, else lines: nothing is cut off, and an origin can be copied."""
    if console.is_terminal and _width(table := _table(columns, rows), console) <= console.width:
        console.print(table)
    else:
        print_lines(plain([columns, *rows]), console.file)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update_width(MOST_COLUMNS)).maximum


def plain(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def print_lines(lines: Iterable[str], to: IO[str] | None = None) -> None:
    """Print lines, on standard output unless told otherwise."""
    for line in lines:
        (to or sys.stdout).write(printable(line) + "\n")
    (to or sys.stdout).flush()


def listed(facts: Facts) -> Iterator[str]:
    """Yield what is known, a line each."""
    for name, fact in facts.items():
        if fact is not None and fact != "":
            yield f"  {name:<11} {fact}"


def moment_text(moment: datetime | None) -> str | None:
    """Return a time as it is printed, None where there is none."""
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def print_objects(objects: Iterable[object]) -> None:
    """Print a JSON object a line."""
    for one in objects:
        sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
