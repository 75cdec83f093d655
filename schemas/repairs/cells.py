"""Repairs of any cell of a list: placeholders, hashes of nothing, quotes and formulas around it, invisible marks."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from itertools import product

from msgspec import Struct

REPLACED = "\ufffd"
"""Stands where a character was lost: put there by whoever could not read it, by us for half a surrogate pair."""

HASHED = re.compile(r"[0-9a-fA-F]{64}")
_OTHER_HASH = re.compile(r"(?:0x|md5:|sha\d+:)?(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{96}|[0-9a-f]{128})", re.IGNORECASE)

_WORDS = ("null", "undefined", "none", "nan", "n/a", "nil")
_BRACKETED = (
    "(null)",
    "<null>",
    "[null]",
    "(none)",
    "<none>",
    "<nil>",
    "(nil)",
    "(blank)",
    "(empty)",
    "[object object]",
)
PLACEHOLDERS = frozenset({*_WORDS, *_BRACKETED, "\\n", "{}", "[]", "00000000-0000-0000-0000-000000000000"})
"""What programs write for a cell that is empty, in lower case."""

_SPREADSHEET_ERROR = re.compile(r"#[\w/]{2,10}[!?]|#n/[a-z]+|#nv", re.IGNORECASE)
"""`#VALUE!` and its like, in whatever language."""

_NUMBER = re.compile(r"([+-]?)(\d)(?:[.,](\d*))?[eE]\+?(\d{1,3})")

_FORMULA = re.compile(r'=\s*"(.*)"', re.DOTALL)
_QUOTED = re.compile(r"\"(.*)\"|'(.*)'|\u201c(.*)\u201d|\u201e(.*)\u201c|\u2018(.*)\u2019", re.DOTALL)
_APOSTROPHES = "'\u2019\u2018`\u00b4"


def _nothings() -> Iterator[str]:
    """Yield the texts that stood for nothing in lists before they were hashed: blanks, placeholders, a lone `+49`."""
    blanks = ("", " ", "\t", "\n", "\r\n", "\xa0", "\u3000", "\ufeff", "\u200b", "\0", '""', "''", "-", "+")
    yield from (*blanks, *(" " * count for count in range(2, 9)), "\t\t")
    for word in _WORDS:
        yield from map("".join, product(*({letter, letter.upper()} for letter in word)))
    yield from (cased for word in (*_BRACKETED, "#n/a", "#value!", "#ref!") for cased in (word, word.upper()))
    yield from ("[object Object]", "(Null)", "(None)")
    yield from (f"+{code}" for code in range(1, 1000))


_OF_NOTHING = frozenset(
    hashlib.sha256(padded.encode()).hexdigest()
    for text in _nothings()
    for padded in (text, f"{text}\n", f"{text} ", f" {text}")
)


class Cell(Struct, frozen=True, gc=False):
    """A cell after its repair: its text, None where it is dropped; which repairs were made; why it is dropped.

    `fault` is a word of the vocabulary with the scope `row`. A text without repairs is the one that was given.
    """

    text: str | None
    repairs: tuple[str, ...] = ()
    fault: str | None = None

    def mended(self, text: str, repair: str) -> "Cell":
        """Return the cell with another text, and the repair noted if it is one: blanks at the ends are none."""
        is_same = text.strip() == (self.text or "").strip()
        return Cell(text, self.repairs if is_same or repair in self.repairs else (*self.repairs, repair))

    def dropped(self, fault: str) -> "Cell":
        """Return the cell without its text, which is not repaired then."""
        return Cell(None, (), fault)


def emptiness(text: str) -> str | None:
    """Return why a cell is empty or unreadable, as a word of the vocabulary; None where it is neither."""
    if REPLACED in text:
        return "damaged_text"
    stripped = text.strip()
    if is_hash(stripped):
        return "hash_of_nothing" if stripped.lower() in _OF_NOTHING else None
    is_placeholder = stripped.lower() in PLACEHOLDERS or _SPREADSHEET_ERROR.fullmatch(stripped)
    return "placeholder" if is_placeholder else None


def is_hash(text: str) -> bool:
    """Tell whether a text is 64 hexadecimal digits."""
    return HASHED.fullmatch(text) is not None


def is_other_hash(text: str) -> bool:
    """Tell whether a text is a digest that is no SHA-256, which no platform here can use."""
    return _OTHER_HASH.fullmatch(text.strip()) is not None


def without_invisible(cell: Cell, *, keep: str = "") -> Cell:
    """Take invisible characters away but those in `keep`: marks of direction, joiners, byte order marks, NUL."""
    text = cell.text or ""
    if text.isprintable():
        return cell
    seen = "".join(letter for letter in text if letter in keep or not _is_invisible(letter))
    return cell.mended(seen, "invisible")


def _is_invisible(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category == "Cf" or (category == "Cc" and not letter.isspace())


def of_usual_width(cell: Cell) -> Cell:
    """Write letters, digits and blanks of full width, as Japanese keyboards have them, as ordinary ones."""
    composed = _spaced(unicodedata.normalize("NFC", cell.text or ""))
    usual = _spaced(unicodedata.normalize("NFKC", composed))
    return Cell(composed, cell.repairs).mended(usual, "width")


def _spaced(text: str) -> str:
    return " ".join(text.split())


def of_usual_digits(cell: Cell) -> Cell:
    """Write digits of any script as ours."""
    text = cell.text or ""
    if text.isascii():
        return cell
    digits = "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)
    return Cell(digits, cell.repairs)


def unwrapped(cell: Cell) -> Cell:
    """Take away what exports put around a cell: `="…"`, quotes at both ends, an apostrophe that forces text."""
    text = (cell.text or "").strip()
    if found := _FORMULA.fullmatch(text):
        return unwrapped(cell.mended(found[1], "formula"))
    if found := _QUOTED.fullmatch(text):
        return unwrapped(cell.mended(next(inner for inner in found.groups() if inner is not None), "quotes"))
    if text and text[0] in _APOSTROPHES:
        return unwrapped(cell.mended(text.lstrip(_APOSTROPHES), "apostrophe"))
    return cell


def without_exponent(cell: Cell) -> Cell:
    """Write out a number in scientific notation where it shows all of its digits, else drop it.

    A spreadsheet shows `4.47911E+11` of a longer number: the other digits are lost.
    """
    found = _NUMBER.fullmatch((cell.text or "").strip())
    if found is None:
        return cell
    sign, first, rest, exponent = found[1], found[2], found[3] or "", int(found[4])
    if sign == "-" or len(rest.rstrip("0")) > exponent:
        return cell.dropped("damaged_number")
    shown = (first + rest)[: exponent + 1]
    return cell.mended(sign + shown, "exponent") if len(shown) == exponent + 1 else cell.dropped("damaged_number")
