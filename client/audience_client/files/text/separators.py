"""Which separator a table has: the one of four that cuts all rows alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audience_client.columns.header_names import is_known
from audience_client.errors import FileError, InputError
from audience_client.files.table import SAMPLE_ROWS
from audience_client.files.text.records import Cells, sample_rows

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
FEW = 5
_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a separator cuts the first rows."""

    separator: str
    rows: Sequence[Cells]
    width: int
    alike: float

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """Prefer who cuts all rows alike, then whose header names are known."""
        known = max((sum(map(is_known, row)) for row in self.rows[:5]), default=0)
        return self.alike == 1, known, self.alike, self.width


def stated_separator(text: str) -> str:
    """Return the separator that a caller means. Raises InputError where it is none."""
    separator = _WORDS.get(text.lower(), text)
    if len(separator) != 1 or separator.isalnum() or separator in '"\r\n @':
        raise InputError("--separator: takes one character, such as , or ; or |, or the word tab")
    return separator


def separator_of(name: str, text: str) -> str:
    """Return what separates the cells of a text, by its first rows; a comma where it has one column.

    Raises FileError where the header has another than the rows.
    """
    cuts = [cut for separator in SEPARATORS if (cut := _cut(text, separator)).width > 1]
    if not cuts:
        _check_header(name, text, ",", 1)
        return ","
    best = max(cuts, key=lambda cut: cut.rank)
    _check_header(name, text, best.separator, best.width)
    return best.separator


def other_separator(line: str, separator: str, width: int) -> str | None:
    """Return the separator, if any, that cuts a line into as many cells as the header has."""
    for other in SEPARATORS:
        if other != separator and (rows := sample_rows(line, other, 1)) and len(rows[0]) == width:
            return other
    return None


def shown(separator: str) -> str:
    """Return a separator's name."""
    return SEPARATORS.get(separator, "character of --separator")


def mixed(row_has: str, others_have: str) -> str:
    """Say that a row is separated otherwise than the others."""
    return f"cells are separated by a {row_has}, in other rows by a {others_have}; write all with one separator"


def _cut(text: str, separator: str) -> _Cut:
    rows = [row for row in sample_rows(text, separator, SAMPLE_ROWS) if row]
    if len(rows) > FEW:  # the text may be cut within the last one
        rows.pop()
    widths = Counter(map(len, rows))
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    return _Cut(separator, rows, width, count / max(1, len(rows)))


def _check_header(name: str, text: str, separator: str, width: int) -> None:
    rows = [row for row in sample_rows(text, separator, 2) if row]
    if rows and len(rows[0]) == 1 and width > 1 and (other := other_separator(text, separator, width)):
        raise FileError(name, mixed(shown(other), shown(separator)), row=1)
    if rows and width == 1 and (other := _header_alone(text)):
        problem = f"cells are separated by a {shown(other)}, and no other row has one; write all with one separator"
        raise FileError(name, problem, row=1)


def _header_alone(text: str) -> str | None:
    """Return the separator by which a header has several known names, where no row has it."""
    for separator in SEPARATORS:
        rows = sample_rows(text, separator, SAMPLE_ROWS)
        if rows and sum(map(is_known, rows[0])) > 1 and all(len(row) <= 1 for row in rows[1:]):
            return separator
    return None
