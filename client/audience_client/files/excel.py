"""Excel workbooks (.xlsx): one sheet, its numbers as people saw them."""

import contextlib
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from audience_client.errors import FileError, InputError, MissingExtraError, quoted
from audience_client.files.bounds import MAX_TEXT
from audience_client.files.headers import LOOKED_AT, check_header
from audience_client.files.number_formats import shown_number
from audience_client.files.options import ReadOptions
from audience_client.files.private_file import not_kept
from audience_client.files.source import Source, SourceBacked
from audience_client.files.table import SAMPLE_ROWS, TAIL_ROWS, Block, Notice, Row
from audience_client.files.values import LostDigitsError, text_of

_DAMAGES = (
    AttributeError,
    LookupError,
    OSError,
    EOFError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What openpyxl raises where a part of a workbook is not as it must be."""

MAX_SHARED = 64 << 20
"""Bytes of a workbook's texts, which are held in memory; the rows of a sheet are not."""

MAX_SHEET = 4 << 30
"""Bytes of a sheet when unpacked; Excel's own 1,048,576 rows of forty filled cells need fewer."""

MAX_DIGITS = 10**15
"""Excel keeps 15 digits of a number."""

KEPT_AT_ONCE = 1 << 16

EMPTY_TEXT = "str"
"""What openpyxl leaves as the type of a cell whose formula was calculated, and results in an empty text."""

NOT_CALCULATED = "has a formula that was never calculated; open the file in Excel and save it"
LOST_DIGITS = "has a number of more than 15 digits, of which Excel keeps no more; enter the column as text"

_Cell = tuple[Any, Any]
"""A cell, and the same one with its formula where the sheet has any."""


_encoder = msgspec.json.Encoder()
_kept_rows = msgspec.json.Decoder(tuple[int, list[str]])


class ExcelTable(SourceBacked):
    """A sheet of a workbook, which is gone through once: its texts are kept until it is closed."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.name = source.name
        self.kind = "Excel"
        self.unit = "row"
        self._source = source
        self._read = 0
        self.notices: tuple[Notice, ...] = ()
        self._has_formulas = self._check_parts()
        self._sheet = self._chosen_sheet(options.sheet)
        self._kept = source.keep()
        self._problems: dict[int, tuple[int, str]] = {}
        self._last = deque[tuple[int, Row]](maxlen=TAIL_ROWS)
        self.row_count = 0
        try:
            self.columns, self.samples, longest = self._scan()
        except BaseException:
            self._kept.close()
            raise
        self.tail = Block([number for number, _ in self._last], [row for _, row in self._last])
        self.is_checked = longest <= MAX_TEXT and not self._problems

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read these columns. Raises FileError where a number lost digits, or a formula has no result."""
        problems = sorted((*self._problems[column], column) for column in columns if column in self._problems)
        if problems and is_strict:
            row, problem, column = problems[0]
            raise FileError(self.name, f"the cell in {quoted(self.columns[column])} {problem}", row=row)
        at = 0
        while True:
            self._kept.seek(at)
            lines = self._kept.read(KEPT_AT_ONCE)
            if not lines:
                break
            lines += self._kept.readline()
            at += len(lines)
            kept = _kept_rows.decode_lines(lines)
            yield Block([number for number, _ in kept], [[cells[column] for column in columns] for _, cells in kept])

    def check_unchanged(self) -> None:
        """Say nothing: what is read again is what was kept."""

    def close(self) -> None:
        """Let go of the file, and delete what was kept of it."""
        self._kept.close()
        self._source.close()

    def _scan(self) -> tuple[tuple[str, ...], tuple[Row, ...], int]:
        """Keep all rows as text, and return header, samples and the length of the longest cell."""
        rows = self._texts()
        begins = list(islice(rows, LOOKED_AT))
        if not begins:
            raise FileError(self.name, "is a workbook without a filled cell; save it again, or name another one")
        header_row, header = begins[0][0], _without_empty_end([text.strip() for text in begins[0][1]])
        check_header(self.name, [header, *(texts for _, texts in begins[1:])], [number for number, _ in begins])
        longest, samples = 0, list[Row]()
        for number, texts in chain(begins[1:], rows):
            row = self._fitted(texts, len(header), number)
            self._keep(number, row)
            self._last.append((number, row))
            longest = max(longest, *map(len, row))
            self.row_count += 1
            if len(samples) < SAMPLE_ROWS:
                samples.append(row)
        if not self.row_count:
            problem = "is a header and no customer stands below it; export the file again, or name another one"
            raise FileError(self.name, problem, row=header_row)
        self._source.check_unchanged()
        return tuple(header), tuple(samples), longest

    def _texts(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows as text, the first also where nothing of it can be."""
        is_header = True
        for number, cells in self._rows():
            texts = [self._text(cell, place, number, is_header=is_header) for place, cell in enumerate(cells)]
            if is_header or any(texts):
                yield number, texts
            is_header = False

    def _keep(self, number: int, row: Row) -> None:
        try:
            self._kept.write(_encoder.encode((number, row)) + b"\n")
        except OSError as error:
            raise not_kept(self.name, error) from error

    def _fitted(self, texts: list[str], width: int, number: int) -> list[str]:
        if any(texts[width:]):
            problem = f"has a cell beyond the {width:,} of the header; give its column a name, or remove it"
            raise FileError(self.name, problem, row=number)
        return [*texts[:width], *[""] * (width - len(texts))]

    def _rows(self) -> Iterator[tuple[int, Sequence[_Cell]]]:
        """Yield the rows that hold something, with their numbers."""
        with self._opened(data_only=True) as values, contextlib.ExitStack() as stack:
            formulas = stack.enter_context(self._opened(data_only=False)) if self._has_formulas else None
            sheet = values[self._sheet]
            sheet.reset_dimensions()
            others = iter(())
            if formulas is not None:
                formulas[self._sheet].reset_dimensions()
                others = formulas[self._sheet].iter_rows()
            for number, row in enumerate(sheet.iter_rows(), 1):
                self._read = number
                other = next(others, ())
                if any(cell.value is not None for cell in other or row):
                    yield number, [(cell, other[place] if other else cell) for place, cell in enumerate(row)]

    def _text(self, cells: _Cell, column: int, row: int, *, is_header: bool) -> str:
        """Return a cell as text; of what can't be, note the first of each column."""
        cell, with_formula = cells
        value = cell.value
        if value is None and with_formula.value is not None and cell.data_type != EMPTY_TEXT:
            problem = NOT_CALCULATED
        elif isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return _number_text(value, str(cell.number_format))
            except LostDigitsError:
                problem = LOST_DIGITS
        else:
            return text_of(value)
        if not is_header:
            self._problems.setdefault(column, (row, problem))
        return ""

    def _chosen_sheet(self, stated: str | None) -> str:
        with self._opened(data_only=False) as workbook:
            names = [sheet.title for sheet in workbook.worksheets]
            if stated is not None:
                if stated not in names:
                    raise InputError(
                        f"{self.name}: --sheet: there is no sheet {quoted(stated)}; there are {_listed(names)}"
                    )
                return stated
            visible = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
            filled = [sheet.title for sheet in visible if _is_filled(sheet)]
        if len(filled) > 1:
            raise InputError(
                f"{self.name}: several sheets are filled: {_listed(filled)}; say which: --sheet {quoted(filled[0])}"
            )
        if not filled:
            raise FileError(self.name, "is a workbook without a filled cell; save it again, or name another one")
        return str(filled[0])

    @contextlib.contextmanager
    def _opened(self, *, data_only: bool) -> Iterator[Any]:
        try:
            import openpyxl  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise MissingExtraError(self.name, "Excel (.xlsx)") from error
        with self._source.open_seekable() as content, self._translated():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                workbook = openpyxl.load_workbook(content, read_only=True, data_only=data_only)
            try:
                yield workbook
            finally:
                workbook.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGES as error:
            where = f" behind row {self._read:,}" if self._read else ""
            problem = f"is a workbook that is cut off or damaged{where}; open it in Excel and save it again"
            raise FileError(self.name, problem) from error

    def _check_parts(self) -> bool:
        """Tell whether a sheet has formulas. Raises FileError where a part is too large."""
        with self._source.open_seekable() as content, self._translated(), zipfile.ZipFile(content) as parts:
            for part in parts.infolist():
                is_sheet = part.filename.startswith("xl/worksheets/")
                most = min(MAX_SHEET if is_sheet else MAX_SHARED, self._source.held or MAX_SHEET)
                if part.filename.endswith(".xml") and part.file_size > most:
                    raise FileError(
                        self.name, f"has more than {most >> 20:,} MiB of texts in a workbook; save it as CSV (UTF-8)"
                    )
            sheets = [part for part in parts.namelist() if part.startswith("xl/worksheets/") and part.endswith(".xml")]
            return any(_contains(parts, sheet, b"<f") for sheet in sheets)


def _contains(parts: zipfile.ZipFile, part: str, wanted: bytes) -> bool:
    rest = b""
    with parts.open(part) as content:
        while data := content.read(1 << 20):
            if wanted in rest + data:
                return True
            rest = data[1 - len(wanted) :]
    return False


def _without_empty_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _is_filled(sheet: Any) -> bool:
    sheet.reset_dimensions()
    return any(cell.value is not None for row in sheet.iter_rows() for cell in row)


def _number_text(value: float, number_format: str) -> str:
    """Return a number as text. Raises LostDigitsError."""
    if abs(value) >= MAX_DIGITS:
        raise LostDigitsError
    if value == int(value):
        return shown_number(int(value), number_format)
    return text_of(float(value))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))
