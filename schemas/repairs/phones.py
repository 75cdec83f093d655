"""What people and spreadsheets write into a phone number that is not part of it."""

import re
from functools import lru_cache

from schemas.repairs.cells import (
    Cell,
    emptiness,
    is_hash,
    of_usual_width,
    unwrapped,
    without_exponent,
    without_invisible,
)

_ORDINARY = re.compile(r"\s*\+?[0-9 ()-]{7,24}\s*")

_PLACES = "telephone|tel|phone|ph|mobile|mobil|mob|cell|handy|fon|home|work|office|private|privat|fax"
_LABEL = re.compile(rf"(?:[^\W\d]{{1,12}}\.?\s*:|(?:{_PLACES})\b\.?)\s*(?=[+(\d])", re.IGNORECASE)
_BEHIND = re.compile(rf"\s*(?:\([^\d()]*\)|[(\[-]?\s*\b(?:{_PLACES})\b\.?[)\]]?)\s*$", re.IGNORECASE)
_SUBADDRESS = re.compile(r";isub=[^;]*", re.IGNORECASE)
_DECIMAL = re.compile(r"(\+?\d+)[.,]0+")
_GROUPED = re.compile(r"\+?\d{1,3}(?:,\d{3}){2,}(?:\.0+)?")
_DIGEST = re.compile(r"[0-9a-f]{32,}", re.IGNORECASE)

# In the languages of our phone numbers: English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish,
# Finnish, Polish, Czech, Turkish, Russian, Japanese, Chinese, Korean. Longer ones come first.
_WORDS = (
    "extensión", "extension", "extensao", "extensão", "extn", "ext", "xtn", "xt", "x", "durchwahl", "nebenstelle",
    "apparat", "klappe", "app", "nst", "dw", "kl", "poste", "anexo", "interno", "interne", "int", "ramal", "toestel",
    "tst", "anknytning", "ankn", "lokal", "alanumero", "wewnętrzny", "wewn", "wew", "linka", "dahili",
    "добавочный", "доб", "вн", "内線", "分机", "分機", "转", "轉", "내선",
)  # fmt: skip
_EXTENSION = re.compile(
    rf"(?P<number>.*?)\s*[,;(\[-]?\s*(?:(?P<word>{'|'.join(_WORDS)})[.:]?|(?P<sign>#|~|,+|;+|[pw]))\s*"
    r"(?:(?:no|nr|num)\b\.?|[#:=.-])?\s*\d{1,7}\s*[)\]#]?",
    re.IGNORECASE | re.DOTALL,
)
_LEAST = {"word": 6, "sign": 9}
"""Digits that must come before an extension: else its sign is one more separator of a number."""

_BETWEEN = re.compile(r"[/|,;&\n]|\b(?:or|and|oder|und|ou|et|y|e|o)\b", re.IGNORECASE)
_WHOLE = 7
"""Digits from which on a piece is a number of its own."""

_LONGEST = 100
"""Characters that a number may have with all that is around it."""


def is_ordinary(text: str) -> bool:
    """Tell whether a text is a number that needs no second look: digits, blanks, brackets and hyphens behind a `+`."""
    return _ORDINARY.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def repaired_phone(text: str) -> Cell:
    """Return a number, or a hash, without what surrounds it; dropped where digits are lost or it is two numbers.

    1. What nobody sees, quotes and labels go. 2. What a spreadsheet made of it is undone where that is certain.
    3. An extension is cut: a person is known by the number before it. The digits are not judged.
    """
    if fault := emptiness(text) or ("not_a_phone" if len(text) > _LONGEST else None):
        return Cell(None, (), fault)
    cell = of_usual_width(without_invisible(Cell(text)))
    for step in (unwrapped, _unlabelled, without_exponent, _without_decimals, _without_extension):
        if cell.text is None or is_hash(cell.text.strip()):
            break
        cell = step(cell)
    if cell.text is None:
        return cell
    if fault := emptiness(cell.text):
        return cell.dropped(fault)
    return cell.dropped("not_a_phone") if _is_no_number(cell.text) else cell


def _unlabelled(cell: Cell) -> Cell:
    """Take away `tel:` and words such as `Mobile:`; a number that counts in its context (RFC 3966) only is none."""
    text = (cell.text or "").strip()
    if ";phone-context=" in text.lower():
        return cell.dropped("not_a_phone")
    return cell.mended(_BEHIND.sub("", _SUBADDRESS.sub("", _LABEL.sub("", text, count=1))), "label")


def _without_decimals(cell: Cell) -> Cell:
    """Take away what makes a number column of it: `.0` where that is the only dot, commas by thousands."""
    text = (cell.text or "").strip()
    if found := _DECIMAL.fullmatch(text):
        return cell.mended(found[1], "decimals")
    return cell.mended(text.partition(".")[0].replace(",", ""), "thousands") if _GROUPED.fullmatch(text) else cell


def _without_extension(cell: Cell) -> Cell:
    found = _EXTENSION.fullmatch(" ".join((cell.text or "").split()))
    if found is None:
        return cell
    kind = "word" if found["word"] else "sign"
    number = found["number"]
    is_separator = found["sign"] is not None and found["sign"][:1] in number
    return cell if is_separator or _digits(number) < _LEAST[kind] else cell.mended(number, "extension")


def _is_no_number(text: str) -> bool:
    """Tell whether a text holds two numbers, or the digest of something."""
    if is_hash(text.strip()):
        return False
    wholes = sum(_digits(piece) >= _WHOLE for piece in _BETWEEN.split(text))
    return wholes > 1 or text.strip().rfind("+") > _first_digit(text) or _DIGEST.search(text) is not None


def _first_digit(text: str) -> int:
    return next((place for place, letter in enumerate(text.strip()) if letter.isdecimal()), len(text))


def _digits(text: str) -> int:
    return sum(map(str.isdecimal, text))
