"""CSV and its likes: cells with a separator between them, quoted where need be."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter, methodcaller

from audience_client.errors import FileError
from audience_client.files.bounds import MAX_TEXT
from audience_client.files.headers import LOOKED_AT, check_header
from audience_client.files.options import ReadOptions
from audience_client.files.source import Source, SourceBacked
from audience_client.files.table import SAMPLE_ROWS, TAIL_ROWS, Block, Notice, Row
from audience_client.files.text.encodings import (
    GUESS,
    Encoding,
    NotUtf8Error,
    first_encoding,
    stated_encoding,
    text_blocks,
)
from audience_client.files.text.records import Cells, Chunk, chunks
from audience_client.files.text.separators import mixed, other_separator, separator_of, shown, stated_separator

_EXCELS_HINT = re.compile(r'"?sep=(?P<separator>[^\r\n"])"?\r?\n', re.IGNORECASE)
_HEAD = 1 << 16
_MARK = "\ufeff"


def read_delimited(source: Source, options: ReadOptions) -> "DelimitedTable":
    """Read a whole file once and tell its shape. Raises FileError where it is no table."""
    stated = stated_encoding(options.encoding) if options.encoding else None
    encoding = stated or first_encoding(source.head())
    try:
        return _scan(source, encoding, options)
    except NotUtf8Error:
        return _scan(source, Encoding(GUESS, is_guess=True), options)


def _scan(source: Source, encoding: Encoding, options: ReadOptions) -> "DelimitedTable":
    texts = text_blocks(source, encoding)
    begins = next(texts, "")
    hint = _EXCELS_HINT.match(begins)
    head = begins[hint.end() if hint else 0 :][:_HEAD]
    head = head[: head.rfind("\n") + 1 or len(head)]
    stated = options.separator and stated_separator(options.separator)
    separator = stated or (hint["separator"] if hint else None) or separator_of(source.name, head)
    shape = _Shape(source.name, separator, has_hint=hint is not None)
    for chunk in chunks(source.name, chain((begins,), texts), separator):
        shape.add(chunk)
    shape.finish()
    source.check_unchanged()
    return DelimitedTable(source, encoding, separator, shape)


@dataclass(slots=True)
class _Short:
    """Rows with fewer cells than the header."""

    count: int = 0
    first: int = 0


class _Shape:
    """What the rows of a file look like, put together chunk by chunk."""

    def __init__(self, name: str, separator: str, *, has_hint: bool) -> None:
        self.name = name
        self.separator = separator
        self.header: Cells = []
        self.header_row = 0
        self.row_count = 0
        self.samples: list[Row] = []
        self._sample_numbers: list[int] = []
        self.short = _Short()
        self.is_regular = True
        self.has_long_cells = False
        self._last = deque[Chunk](maxlen=TAIL_ROWS)
        self._rows_before = 1 if has_hint else 0
        self._first_rows: list[Row] | None = []

    def add(self, chunk: Chunk) -> None:
        """Take records in. Raises FileError where they can't be of a table."""
        self._last.append(chunk)
        if len(self.samples) < SAMPLE_ROWS or not self._is_alike(chunk):
            self._add_rows(chunk.cells(), chunk.first)
        else:
            self.row_count += len(chunk)

    def tail(self) -> Block:
        """Return the last rows that hold something."""
        rows = [
            numbered
            for chunk in self._last
            for numbered in enumerate(chunk.cells()[-TAIL_ROWS:], _first_of_last(chunk))
        ]
        width = len(self.header)
        found = [(number, _fitted(row, width)) for number, row in rows if number > self.header_row and any(row)][
            -TAIL_ROWS:
        ]
        return Block([number for number, _ in found], [row for _, row in found])

    def finish(self) -> None:
        """Raise FileError where there is no header, or nothing below it."""
        if not self.header:
            raise FileError(self.name, "is empty; export it again, or name another file")
        numbers = [self.header_row, *self._sample_numbers]
        check_header(self.name, [self.header, *self.samples[: LOOKED_AT - 1]], numbers)
        if not self.row_count:
            problem = "is a header and no customer stands below it; export the file again, or name another one"
            raise FileError(self.name, problem, row=self.header_row)

    def _is_alike(self, chunk: Chunk) -> bool:
        """Tell whether all records have a cell for each column, and hold something, and none is the header."""
        width, separator, lines, rows = len(self.header), chunk.separator, chunk.lines, chunk.rows
        if lines:
            self.has_long_cells = self.has_long_cells or max(map(len, lines)) > MAX_TEXT
            if set(map(methodcaller("count", separator), lines)) != {width - 1}:
                return False
            header = separator.join(self.header)
            if separator * (width - 1) in lines or header in lines or f"{_MARK}{header}" in lines:
                return False
        if rows:
            self.has_long_cells = self.has_long_cells or max(map(len, map("".join, rows))) > MAX_TEXT
            return set(map(len, rows)) == {width} and all(map(any, rows)) and self._repeated(rows) is None
        return True

    def _add_rows(self, rows: list[Cells], first: int) -> None:
        skipped = 0 if self.header else self._find_header(rows, first)
        rows, first = rows[skipped:], first + skipped
        if (place := self._repeated(rows)) is not None:
            problem = "repeats the header, as where files were joined; delete it"
            raise FileError(self.name, problem, row=first + place)
        self.has_long_cells = self.has_long_cells or max(map(len, map("".join, rows)), default=0) > MAX_TEXT
        for number, row in enumerate(rows, first):
            if not any(row):
                self.is_regular = False
                continue
            self.row_count += 1
            if len(row) != len(self.header):
                self.is_regular = False
                self._add_ragged(row, number)
            if len(self.samples) < SAMPLE_ROWS:
                self.samples.append(_fitted(row, len(self.header)))
                self._sample_numbers.append(number)

    def _repeated(self, rows: list[Cells]) -> int | None:
        """Return where among rows the header is, also behind the mark of a file that was joined to another."""
        marked = [f"{_MARK}{self.header[0]}", *self.header[1:]] if self.header else []
        return next((rows.index(header) for header in (self.header, marked) if header in rows), None)

    def _find_header(self, rows: list[Cells], first: int) -> int:
        """Take the first row that holds something as the header; return how many records that used up."""
        for place, row in enumerate(rows):
            if first + place > self._rows_before and any(row):
                self.header, self.header_row = row, first + place
                found = [(number, row) for number, row in enumerate(rows[place:], self.header_row) if any(row)][
                    :LOOKED_AT
                ]
                check_header(self.name, [row for _, row in found], [number for number, _ in found])
                return place + 1
        return len(rows)

    def _add_ragged(self, row: Cells, number: int) -> None:
        width = len(self.header)
        if len(row) == 1 and (other := other_separator(row[0], self.separator, width)):
            raise FileError(self.name, mixed(shown(other), shown(self.separator)), row=number)
        if len(row) > width and "".join(row[width:]).strip():
            problem = (
                f"has {len(row):,} cells and the header {width:,}; put quotes around cells that hold a "
                f"{shown(self.separator)}, or remove what is too much"
            )
            raise FileError(self.name, problem, row=number)
        if len(row) < width:
            self.short.count += 1
            self.short.first = self.short.first or number


class DelimitedTable(SourceBacked):
    """A file of cells with a separator between them."""

    def __init__(self, source: Source, encoding: Encoding, separator: str, shape: _Shape) -> None:
        self.name = source.name
        self.unit = "row"
        self.kind = "TSV" if separator == "\t" else "CSV"
        self.encoding = encoding
        self.separator = separator
        self.columns = tuple(cell.strip() for cell in shape.header)
        self.row_count = shape.row_count
        self.samples = tuple(shape.samples)
        self.notices = (*encoding.notices(), *_notices(shape))
        self.tail = shape.tail()
        self.is_checked = not shape.has_long_cells and not shape.short.count
        self._source = source
        self._header_row = shape.header_row
        self._is_regular = shape.is_regular

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read the file again, only these columns. Raises FileError where a row ends before one of them."""
        texts = text_blocks(self._source, self.encoding)
        wanted = _Wanted(columns, is_strict=is_strict)
        for chunk in chunks(self.name, texts, self.separator):
            skipped = max(0, self._header_row + 1 - chunk.first)
            if skipped < len(chunk):
                yield self._block(chunk, skipped, wanted)
        self._source.check_unchanged()

    def _block(self, chunk: Chunk, skipped: int, wanted: "_Wanted") -> Block:
        first = chunk.first + skipped
        if self._is_regular:
            split = methodcaller("split", chunk.separator, wanted.last + 1)
            rows = list(map(wanted.take, map(split, chunk.lines)))
            for place, row in zip(chunk.positions, map(wanted.take, chunk.rows), strict=True):
                rows.insert(place, row)
            return Block(range(first, chunk.first + len(chunk)), rows[skipped:] if skipped else rows)
        numbered = [(number, row) for number, row in enumerate(chunk.cells()[skipped:], first) if any(row)]
        rows = [wanted.take(self._fitted(row, number, wanted)) for number, row in numbered]
        return Block([number for number, _ in numbered], rows)

    def _fitted(self, row: Cells, number: int, wanted: "_Wanted") -> Row:
        width = len(self.columns)
        if wanted.is_strict and wanted.last >= len(row):
            problem = (
                f"has cells for {len(row):,} of {width:,} columns, so one that is uploaded is missing; "
                "correct or delete the row"
            )
            raise FileError(self.name, problem, row=number)
        return _fitted(row, width)


class _Wanted:
    """The columns that somebody asked for, and what takes them of a row."""

    def __init__(self, columns: Sequence[int], *, is_strict: bool) -> None:
        self.take = _taker(columns)
        self.last = max(columns, default=-1)
        self.is_strict = is_strict


def _first_of_last(chunk: Chunk) -> int:
    return chunk.first + max(0, len(chunk) - TAIL_ROWS)


def _notices(shape: _Shape) -> Iterator[Notice]:
    if count := shape.short.count:
        yield Notice(
            text=f"rows have fewer cells than the header ({count:,}, the first is row {shape.short.first:,}); "
            "none of those missing is uploaded"
        )


def _fitted(row: Row, width: int) -> Row:
    return row if len(row) == width else [*row[:width], *[""] * (width - len(row))]


def _taker(columns: Sequence[int]) -> Callable[[Row], Row]:
    """Return what takes these cells of a row, as fast as Python can."""
    if len(columns) > 1:
        return itemgetter(*columns)
    if not columns:
        return lambda row: ()
    (column,) = columns
    return lambda row: (row[column],)
