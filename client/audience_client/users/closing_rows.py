"""The last rows of a file that are no customers: totals, and notes such as who exported it."""

import re
from collections.abc import Iterator, Sequence

from audience_client.columns.folding import fold, name_set
from audience_client.columns.mapping import ColumnMapping
from audience_client.files.table import Block, Row

_BEGINS = name_set("""
    total totals totale totaal gesamt insgesamt summe sum somme suma subtotal grand
    exported generated created downloaded printed exportiert erstellt report
""")
"""First words of such rows, folded."""

_NOTE = 3
"""Words that a note has at least; fewer may be the name of somebody, or an address with blanks in it."""

_DIGITS_AT_LEAST = 5
_ALPHABETIC_AT_LEAST = 3
_TIMES = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,2}:\d{2}(:\d{2})?")
_HASH = re.compile(r"[0-9A-Fa-f]{32,128}")


def closing_rows(mapping: ColumnMapping, tail: Block) -> tuple[int, ...]:
    """Return the numbers of the last rows, of those of `tail`, in which nobody is: cells are of all columns.

    Only such rows are meant as nobody would repair: nothing of them is uploaded, they begin as a total or a note, or
    hold one text alone. What else lacks an address and a number is a user, whom the platforms reject by row.
    """
    return tuple(_closing(mapping, tail))[::-1]


def _closing(mapping: ColumnMapping, tail: Block) -> Iterator[int]:
    for number, row in zip(reversed(tail.numbers), reversed(tail.rows), strict=True):
        if _has_somebody(mapping, row) or not _is_closing(mapping, row):
            return
        yield number


def _has_somebody(mapping: ColumnMapping, row: Row) -> bool:
    fields = mapping.fields
    return (
        any(_is_address(row[column]) for column in fields.get("email", ()))
        or any(_is_number(row[column]) for column in fields.get("phone", ()))
        or any(row[column].strip() for column in fields.get("edgeTagId", ()))
    )


def _is_address(cell: str) -> bool:
    return "@" in cell or _HASH.fullmatch(cell.strip()) is not None


def _is_number(cell: str) -> bool:
    """Tell whether a cell may be a phone number or its hash; a day and a time within words are none."""
    if _HASH.fullmatch(cell.strip()):
        return True
    text = _TIMES.sub("", cell) if sum(map(str.isalpha, cell)) >= _ALPHABETIC_AT_LEAST else cell
    return sum(map(str.isdigit, text)) >= _DIGITS_AT_LEAST


def _is_closing(mapping: ColumnMapping, row: Row) -> bool:
    filled = [cell for cell in row if cell.strip()]
    mapped = [column for columns in mapping.fields.values() for column in columns]
    is_mapped = any(row[column].strip() for column in mapped)
    return not is_mapped or _begins_so(filled) or (len(filled) == 1 < len(row) and len(filled[0].split()) >= _NOTE)


def _begins_so(filled: Sequence[str]) -> bool:
    words = filled[0].split() if filled else []
    return bool(words) and fold(words[0]) in _BEGINS
