"""What spreadsheets make of postal codes."""

import re
from functools import lru_cache

from schemas.countries import alpha_2
from schemas.repairs.cells import (
    Cell,
    emptiness,
    is_hash,
    of_usual_width,
    unwrapped,
    without_exponent,
    without_invisible,
)

_ORDINARY = re.compile(
    r"\d{5}|(?!(?:null|none|nan|nil|undefined)$|\d+$)[A-Z0-9][A-Z0-9 -]{0,15}", re.IGNORECASE | re.ASCII
)
_DECIMAL = re.compile(r"(\d{3,9})[.,]0+")

# Digits of postal codes that may begin with a zero and have no other length (Universal Postal Union, addressing pages).
_WIDTHS = {
    code: width
    for width, codes in {
        4: "au dk no nz za",
        5: "de es fi fr it kr mx my pe pr tr ua us",
        6: "cn kz ro sg",
        7: "jp",
        8: "br",
    }.items()
    for code in codes.split()
}
_TWO_ZEROS = frozenset({"fi", "pr", "us"})
"""Where codes begin with two zeros: Helsinki, Puerto Rico, Holtsville."""

_ZIP_4 = 9
"""Digits of an American code with its four more."""


def is_ordinary(text: str) -> bool:
    """Tell whether a text is a code that needs no second look: no number that may have lost a zero, no decimals."""
    return _ORDINARY.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def repaired_postal_code(text: str, country: str | None) -> Cell:
    """Return a code, or a hash, as it was before a spreadsheet took it for a number; dropped where digits are lost.

    `country` is the user's, as uploaded. Leading zeros come back where its codes have one length only.
    """
    if fault := emptiness(text):
        return Cell(None, (), fault)
    cell = unwrapped(of_usual_width(without_invisible(Cell(text))))
    if cell.text is None or is_hash(cell.text.strip()):
        return cell
    cell = without_exponent(cell)
    if cell.text is None:
        return cell
    if found := _DECIMAL.fullmatch(cell.text.strip()):
        cell = cell.mended(found[1], "decimals")
    if fault := emptiness(cell.text or ""):
        return cell.dropped(fault)
    return _with_zeros(cell, alpha_2(country) if country else None)


def _with_zeros(cell: Cell, country: str | None) -> Cell:
    digits = (cell.text or "").strip()
    width = _WIDTHS.get(country or "")
    if width is None or not (digits.isascii() and digits.isdecimal()):
        return cell
    if country == "us" and len(digits) == _ZIP_4 - 1:
        return cell.mended("0" + digits, "leading_zero")
    missing = width - len(digits)
    is_certain = missing == 1 or (missing == 2 and country in _TWO_ZEROS)
    return cell.mended(digits.zfill(width), "leading_zero") if is_certain else cell
