"""Repairs of phone numbers: what people and spreadsheets write around and into them goes."""

import re
from functools import lru_cache

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

_ORDINARY = re.compile(r"\s*\+?[0-9 ()-]{7,24}\s*")
_DOTTED = re.compile(r"\+?[0-9(](?=[^.]*\.[^.]*\.)[0-9 ().-]{6,23}")
"""The same with dots, two or more: one may be a decimal point."""

_TAILED = re.compile(r".*[(]\d{1,3}[)]\s*")

_LABEL = re.compile(r"[^\d+(]*[^\W\d][^\d+(]*(?:\d{1,2}\s*:\s*)?(?=[+(\d])")
"""Words before a number: `Tel.`, `Mobile 2:`, `tel:`, a name."""

_BEHIND = re.compile(r"(?:[\s(\[,/-]+[^\W\d][^\d]*|\s*\([^()]*[^\W\d][^()]*\))$")
"""Words behind a number, and a bracket that holds any."""

_SUBADDRESS = re.compile(r";isub=[^;]*", re.IGNORECASE)

_DECIMAL = re.compile(r"(\+?\d+)[.,]0+")
_FRACTION = re.compile(r"\+?\d{7,}[.,]\d{1,2}")
_GROUPED = re.compile(r"\+?\d{1,3}(?:,\d{3}){2,}(?:\.0+)?")

# In the languages of our phone numbers: English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish,
# Finnish, Polish, Czech, Turkish, Russian, Japanese, Chinese, Korean. Longer ones come first.
_WORDS = (
    "extensión", "extension", "extention", "exten", "extn", "ext", "xtn", "xt", "x", "option", "opt", "press",
    "durchwahl", "durchw", "nebenstelle", "nebenst", "nst", "anschluss", "zimmer", "apparat", "app", "klappe", "kl",
    "dw", "poste", "interne", "anexo", "interno", "int", "extensao", "extensão", "ramal", "toestel", "tst",
    "anknytning", "ankn", "lokal", "alanumero", "wewnętrzny", "wewn", "wew", "linka", "dahili",
    "добавочный", "доб", "вн", "内線", "分机", "分機", "转", "轉", "내선",
)  # fmt: skip
_EXTENSION = re.compile(
    rf"(?P<number>.*?)\s*[,;(\[-]?\s*(?:(?P<word>{'|'.join(_WORDS)})[.:\s]*|(?P<sign>#|~|\*|,+|;+|[pw]))\s*"
    r"(?:(?:no|nr|num)\b\.?|[#:=.-])?\s*\d{1,7}\s*[)\]#]?",
    re.IGNORECASE,
)
_TAIL = re.compile(r"(?P<number>.*?)\s*(?:/\s*\d{1,4}|\(\d{1,3}\)|\[\d{1,3}\])\s*")
"""A second line, or an extension without a word: `/68`, `(2)`."""

_LEAST = {"word": 6, "sign": 9}
"""Digits that must come before an extension; with fewer, its sign only separates digits of the number."""

_COMPLETE = 10
"""Digits from which on a number is whole, so that a tail does not belong to it."""

_BETWEEN = re.compile(r"[/|,;&]|\b(?:or|and|oder|und|ou|et|y|e|o)\b", re.IGNORECASE)
_WHOLE = 7
"""Digits from which on a piece is a number of its own."""

_SEPARATORS = str.maketrans(",;|", "   ")

_LONGEST = 100
"""Characters that a number may have with all that is around it."""


def is_ordinary(text: str) -> bool:
    """Tell whether a text is a number that needs no second look: digits in plain punctuation behind a `+`."""
    is_plain = _ORDINARY.fullmatch(text) or _DOTTED.fullmatch(text)
    return is_plain is not None and not (text[-1:] == ")" and _TAILED.fullmatch(text))


@lru_cache(maxsize=4096)
def repaired_phone(text: str) -> Cell:
    """Return a number, or a hash, without what surrounds it; dropped where digits are lost or it is two numbers.

    1. What nobody sees and quotes go, then words before the number. 2. What a spreadsheet made of it is undone where
    that is certain. 3. Extensions and words behind it are cut: a person is known by the number before them. 4. What is
    left must be one number, without letters. Its digits are not judged.
    """
    if fault := emptiness(text) or ("not_a_phone" if len(text) > _LONGEST else None):
        return Cell(None, (), fault)
    cell = of_usual_digits(of_usual_width(without_invisible(Cell(text))))
    for step in (unwrapped, _unlabelled, without_exponent, _without_decimals, _without_extension, _without_rest):
        if cell.text is None or is_hash(cell.text.strip()):
            break
        cell = step(cell)
    if cell.text is None:
        return cell
    return cell.dropped(fault) if (fault := emptiness(cell.text) or _fault(cell.text.strip())) else _spaced(cell)


def _unlabelled(cell: Cell) -> Cell:
    """Take away words before a number; drop one that is valid only in a `phone-context` (RFC 3966)."""
    text = (cell.text or "").strip()
    if ";phone-context=" in text.lower():
        return cell.dropped("not_a_phone")
    if text.endswith("+") and text.count("+") == 1:  # as exports from right to left have it
        return cell.mended("+" + text[:-1], "label")
    found = None if is_other_hash(text) else _LABEL.match(text)
    return cell.mended(_SUBADDRESS.sub("", text[found.end() :] if found else text), "label")


def _without_decimals(cell: Cell) -> Cell:
    """Take away what makes a number column of it: `.0` where that is the only dot, commas by thousands."""
    text = (cell.text or "").strip()
    if found := _DECIMAL.fullmatch(text):
        return cell.mended(found[1], "decimals")
    if _FRACTION.fullmatch(text):
        return cell.dropped("not_a_phone")
    return cell.mended(text.partition(".")[0].replace(",", ""), "thousands") if _GROUPED.fullmatch(text) else cell


def _without_extension(cell: Cell) -> Cell:
    text = (cell.text or "").strip()
    found = _EXTENSION.fullmatch(text)
    if found is not None:
        number, sign = found["number"], (found["sign"] or "")[:1]
        least = _LEAST["sign" if sign else "word"]
        is_separator = (sign and sign in number) or any(map(str.isalpha, number))
        return cell if is_separator or _digits(number) < least else cell.mended(number, "extension")
    tail = _TAIL.fullmatch(text)
    is_whole = tail is not None and "/" not in tail["number"] and _digits(tail["number"]) >= _COMPLETE
    return cell.mended(tail["number"], "extension") if tail is not None and is_whole else cell


def _without_rest(cell: Cell) -> Cell:
    return cell.mended(_BEHIND.sub("", (cell.text or "").strip()), "label")


def _fault(text: str) -> str | None:
    """Return why a text is no number: it holds two, letters, or the digest of something."""
    if is_hash(text):
        return None
    if is_other_hash(text):
        return "other_hash"
    wholes = sum(_digits(piece) >= _WHOLE for piece in _BETWEEN.split(text))
    first = next((place for place, letter in enumerate(text) if letter.isdecimal()), len(text))
    return "not_a_phone" if wholes > 1 or text.rfind("+") > first or any(map(str.isalpha, text)) else None


def _spaced(cell: Cell) -> Cell:
    """Write blanks for what else separates the digits of one number."""
    text = (cell.text or "").strip()
    return cell if is_hash(text) else Cell(text.translate(_SEPARATORS).strip(), cell.repairs)


def _digits(text: str) -> int:
    return sum(map(str.isdecimal, text))
