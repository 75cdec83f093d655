"""Repairs of postal codes that a spreadsheet took for numbers."""

import re
from functools import lru_cache

from schemas.countries import alpha_2
from schemas.repairs.cells import (
    Cell,
    emptiness,
    is_hash,
    is_other_hash,
    of_usual_digits,
    of_usual_width,
    unwrapped,
    without_exponent,
    without_invisible,
)

_ORDINARY = re.compile(r"(?!(?:null|none|nan|nil|undefined)$)[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z0-9]{2}", re.IGNORECASE)
"""British and Canadian codes; whether a number is an ordinary code depends on the country."""

_FIVES = frozenset({"US", "USA", "United States", "DE", "Germany", "FR", "France", "IT", "ES", "us", "de"})
"""How countries whose codes have five digits are mostly written."""

_DECIMAL = re.compile(r"(\d{3,9})[.,]0{1,2}")
_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{2})*[.,]\d{3}")
_PREFIX = re.compile(r"(?:[A-Z]{1,3}[ -]*|\u3012 ?)(?=\d[\d -]*$)", re.IGNORECASE)
"""A country's letters or a state's, and Japan's sign of the post."""

# Digits of postal codes that may begin with a zero and have no other length (Universal Postal Union, addressing pages).
_WIDTHS = {
    code: width
    for width, codes in {
        4: "au dk no nz za",
        5: "de es fi fr it kr mx my pe pl pr tr ua us",
        6: "cn co kz ro sg",
        7: "jp",
        8: "br",
    }.items()
    for code in codes.split()
}
_TWO_ZEROS = frozenset({"fi", "it", "jp", "pl", "pr", "us"})
"""Where codes begin with two zeros: Helsinki, Rome, Sapporo, Warsaw, Puerto Rico, Holtsville."""

_NUMERIC = {
    *_WIDTHS,
    "at",
    "be",
    "ch",
    "cz",
    "gr",
    "hu",
    "id",
    "il",
    "in",
    "lu",
    "ph",
    "pt",
    "ru",
    "se",
    "sk",
    "th",
    "tw",
}
"""Countries whose codes have digits only; what is before them is the country's or a state's name."""

_ZIP_4 = 9
"""Digits of an American code with its four more."""


def is_ordinary(text: str, country: str | None) -> bool:
    """Tell whether a text is a code that needs no second look: no number that may have lost a zero, no decimals."""
    if len(text) == 5 and text.isdecimal():
        return country is None or country in _FIVES
    return _ORDINARY.fullmatch(text) is not None and country not in _FIVES


@lru_cache(maxsize=4096)
def repaired_postal_code(text: str, country: str | None) -> Cell:
    """Return a code, or a hash, as it was before a spreadsheet took it for a number; dropped where digits are lost.

    `country` is the user's, as uploaded. Leading zeros come back where its codes have one length only.
    """
    if fault := emptiness(text):
        return Cell(None, (), fault)
    cell = unwrapped(of_usual_digits(of_usual_width(without_invisible(Cell(text)))))
    if fault := emptiness(cell.text or "") or ("other_hash" if is_other_hash(cell.text or "") else None):
        return cell.dropped(fault)
    if is_hash(cell.text or ""):
        return cell
    cell = without_exponent(cell)
    if cell.text is None:
        return cell
    if found := _DECIMAL.fullmatch(cell.text.strip()):
        cell = cell.mended(found[1], "decimals")
    code = alpha_2(country) if country else None
    return _with_zeros(_bare(cell), code) if code in _NUMERIC else cell


def _bare(cell: Cell) -> Cell:
    """Take away what stands before the digits of a numeric code, brackets, and commas by thousands."""
    text = (cell.text or "").strip(" ()[]=-")
    found = _PREFIX.match(text)
    code = text[found.end() :] if found else text
    grouped = re.sub(r"[.,]", "", code) if _GROUPED.fullmatch(code) else code
    return cell.mended(code, "label").mended(grouped, "thousands")


def _with_zeros(cell: Cell, country: str | None) -> Cell:
    text = cell.text or ""
    digits = re.sub(r"[ -]", "", text)
    width = _WIDTHS.get(country or "")
    if width is None or not (digits.isascii() and digits.isdecimal()):
        return cell
    if country == "us" and len(digits) == _ZIP_4 - 1:
        return cell.mended("0" + text, "leading_zero")
    missing = width - len(digits)
    is_certain = missing == 1 or (missing == len("00") and country in _TWO_ZEROS)
    return cell.mended("0" * missing + text, "leading_zero") if is_certain else cell
