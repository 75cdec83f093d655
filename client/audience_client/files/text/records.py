"""Text with separators, as rows of cells: by the parser in C, and faster where a block has no quotes."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter, methodcaller
from typing import NamedTuple

from audience_client.errors import FileError

Cells = list[str]

_first: Callable[[str], str] = itemgetter(0)
_last: Callable[[str], str] = itemgetter(-1)

MANY_QUOTES = 2
"""A line in so many with a quote, or more, and the parser is faster for all of them."""

UNCLOSED = (
    f"a quote opens a cell and nothing closes it within {csv.field_size_limit():,} characters; close or remove it"
)
UNCLOSED_AT_END = "a quote opens a cell and nothing closes it before the file ends; close or remove it"
BEHIND_QUOTE = "text stands behind a quote that closes a cell; double quotes that are within a cell"


class Chunk(NamedTuple):
    """Whole records that follow each other: lines that only have to be split, and rows that had quotes."""

    first: int
    """Number of the first record."""

    lines: list[str]
    rows: list[Cells]
    positions: Sequence[int]
    """Where among the records each of the rows stands."""

    separator: str
    """What splits the lines, which lack their first and last quote where it holds quotes."""

    def cells(self) -> list[Cells]:
        """Return all records as rows; a blank line has no cell."""
        if not self.lines:
            return self.rows
        records = [line.split(self.separator) if line else [] for line in self.lines]
        for place, row in zip(self.positions, self.rows, strict=True):
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
    quotes = text.count('"')
    if quotes and quotes <= text.count("\n") // MANY_QUOTES:
        return _with_quotes(text, end, separator, number)
    lines = _lines(text, end)
    if not _are_whole(lines, end):
        return None
    return _all_quoted(lines, separator, number) if quotes else Chunk(number, lines, [], (), separator)


def _are_whole(lines: list[str], end: str) -> bool:
    """Tell whether no line holds the end of another kind."""
    if end == "\n":  # chosen where there is no other
        return True
    text = "".join(lines)
    return "\n" not in text and "\r" not in text


def _lines(text: str, end: str) -> list[str]:
    lines = text.split(end)
    if not lines[-1]:
        lines.pop()
    return lines


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


def _with_quotes(text: str, end: str, separator: str, number: int) -> Chunk | None:
    """Give only records with quotes to the parser; None where it finds something wrong or unfinished."""
    lines: list[str] = []
    quoted: list[str] = []
    positions: list[int] = []
    at = 0
    while (quote := text.find('"', at)) >= 0:
        before = text.rfind(end, at, quote)
        begin = at if before < 0 else before + len(end)
        stop = text.find(end, quote)
        while stop >= 0 and text.count('"', begin, stop) % 2:
            stop = text.find(end, stop + 1)
        if stop < 0:
            return None
        if begin > at:
            lines += text[at : begin - len(end)].split(end)
        positions.append(len(lines) + len(quoted))
        quoted.append(text[begin:stop])
        at = stop + len(end)
    lines += _lines(text[at:], end)
    try:
        rows = list(csv.reader(quoted, delimiter=separator, strict=True))
    except csv.Error:
        return None
    is_whole = _are_whole(lines, end) and len(rows) == len(quoted)
    return Chunk(number, lines, rows, positions, separator) if is_whole else None


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
            raise FileError(name, _problem(str(error)), row=number + len(rows)) from None
        rest = "".join(lines[done:])
    return Chunk(number, [], rows, range(len(rows)), separator), rest


def _problem(error: str) -> str:
    if "expected after" in error:
        return BEHIND_QUOTE
    return UNCLOSED_AT_END if "unexpected end" in error else UNCLOSED


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
