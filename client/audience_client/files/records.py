"""Text with separators, as rows of cells: by the parser in C, and faster where a block has no quotes."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter, methodcaller
from typing import NamedTuple

from audience_client.errors import FileError

Cells = list[str]

_first: Callable[[str], str] = itemgetter(0)
_last: Callable[[str], str] = itemgetter(-1)

MANY_QUOTES = 2
"""A line in so many with a quote, or more, and the parser is faster for all of them."""

UNCLOSED = "a quote opens a cell and nothing closes it; close it, or remove it"
BEHIND_QUOTE = "text stands behind a quote that closes a cell; double quotes that are within a cell"


class Chunk(NamedTuple):
    """Whole records that follow each other: lines that only have to be split, and rows that had quotes."""

    first: int
    """Number of the first record."""

    lines: list[str]
    rows: list[Cells]
    places: Sequence[int]
    """Where among the records each of the rows stands."""

    separator: str
    """What splits the lines, which lack their first and last quote where it holds quotes."""

    def cells(self) -> list[Cells]:
        """Return all records as rows; a blank line has no cell."""
        if not self.lines:
            return self.rows
        records = [line.split(self.separator) if line else [] for line in self.lines]
        for place, row in zip(self.places, self.rows, strict=True):
            records.insert(place, row)
        return records

    def __len__(self) -> int:
        """Return how many records these are."""
        return len(self.lines) + len(self.rows)


def chunks(name: str, texts: Iterable[str], separator: str) -> Iterator[Chunk]:
    """Yield all records of a text, numbered from 1. Raises FileError where quotes are wrong."""
    number, rest = 1, ""
    for text in texts:
        whole = rest + text
        chunk, rest = _split(whole, separator, number), ""
        if chunk is None:
            chunk, rest = _parse(name, whole, separator, number, is_last=False)
        number += len(chunk)
        yield chunk
    if rest:
        yield _parse(name, rest, separator, number, is_last=True)[0]


def _split(text: str, separator: str, number: int) -> Chunk | None:
    """Return the records of a text whose lines can mostly just be split, None where the parser has to see all."""
    end = "\n" if "\r" not in text else "\r\n"
    quotes, ends = text.count('"'), text.count(end)
    is_plain = text.count("\n") == ends
    if (end == "\r\n" and text.count("\r") != ends) or (not is_plain and not quotes):
        return None
    lines = text.split(end)
    if not lines[-1]:
        lines.pop()
    if not quotes:
        return Chunk(number, lines, [], (), separator)
    if quotes > len(lines) // MANY_QUOTES:
        return _all_quoted(lines, separator, number) if is_plain else None
    return _with_quotes(lines, end, separator, number, is_plain=is_plain)


def _all_quoted(lines: list[str], separator: str, number: int) -> Chunk | None:
    """Return lines that have quotes around each cell and nowhere else, None where one is otherwise.

    Where a line begins and ends with a quote, and those between stand in pairs around separators, no cell has one.
    """
    if min(map(len, lines)) < 2 or {*map(_first, lines), *map(_last, lines)} != {'"'}:
        return None
    between = f'"{separator}"'
    within = [line[1:-1] for line in lines]
    count = within[0].count(between)
    if {*map(methodcaller("count", between), within)} != {count}:
        return None
    if {*map(methodcaller("count", '"'), within)} != {2 * count}:
        return None
    return Chunk(number, within, [], (), between)


def _with_quotes(lines: list[str], end: str, separator: str, number: int, *, is_plain: bool) -> Chunk | None:
    """Give only lines with quotes to the parser; None where it finds something wrong or unfinished."""
    plain: list[str] = []
    rows: list[Cells] = []
    places: list[int] = []
    following = iter(lines)
    for line in following:
        if '"' not in line and (is_plain or "\n" not in line):
            plain.append(line)
            continue
        record = chain((line + end,), (more + end for more in following))
        places.append(len(plain) + len(rows))
        try:
            rows.append(next(csv.reader(record, delimiter=separator, strict=True)))
        except csv.Error:
            return None
    return Chunk(number, plain, rows, places, separator)


def _parse(name: str, text: str, separator: str, number: int, *, is_last: bool) -> tuple[Chunk, str]:
    """Return the records of a text, and what is left of one that goes on behind it."""
    with contextlib.suppress(csv.Error):
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        return Chunk(number, [], rows, range(len(rows)), separator), ""
    rows = []
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    done, rest = 0, ""
    try:
        for row in reader:
            rows.append(row)
            done = reader.line_num
    except csv.Error as error:
        if "unexpected end" not in str(error) or is_last:
            problem = BEHIND_QUOTE if "expected after" in str(error) else UNCLOSED
            raise FileError(name, problem, row=number + len(rows)) from None
        rest = "".join(lines[done:])
    return Chunk(number, [], rows, range(len(rows)), separator), rest


def sample_rows(text: str, separator: str, most: int) -> list[Cells]:
    """Return the first rows of a text as well as they can be read; the last may be cut."""
    rows: list[Cells] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            rows.append(row)
            if len(rows) >= most:
                break
    except csv.Error:
        pass
    return rows
