"""Whether an e-mail address can be anybody's, and the repairs that are certain."""

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from schemas.repairs.cells import Cell, emptiness, is_hash, of_usual_width, unwrapped, without_invisible

# Ordinary addresses, nearly all of them, are told at sight; the library takes some thirty times as long.
_ATOM, _LABEL = "[A-Za-z0-9_+-]++", "[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
_RESERVED = "|".join(re.escape(name) for name in SPECIAL_USE_DOMAIN_NAMES)
_ORDINARY = re.compile(
    rf"\s*(?={_ATOM}.{{0,60}}$){_ATOM}(?:\.{_ATOM})*+@(?:{_LABEL}\.)++(?!(?i:{_RESERVED})\s*$)[A-Za-z]{{2,}}\s*"
)
_SHORT = 64
"""Characters up to which neither a local part (64), a label (63) nor the whole (254) can be too long."""

_LABELLED = re.compile(r"(?:mailto|smtp|e-?mail)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r"[^<>]*<([^<>]+)>[\s,;.]*", re.DOTALL)
_COMMENT = re.compile(r"\s*\([^()]*\)\s*$")
_BESIDE_SIGNS = re.compile(r"\s*(@)\s*")
_DOT = "\u3002"
"""How Chinese and Japanese keyboards end a sentence."""

_ENDS = " \t\r\n,;\"'<>()[]"
"""What neither begins nor ends an address."""

_CARRIERS = re.compile(r"(?:.+\.)?(?:docomo\.ne\.jp|ezweb\.ne\.jp|au\.com)", re.IGNORECASE)
"""Japanese carriers that gave out addresses with dots doubled or before the @, against the standard."""


def is_ordinary(text: str) -> bool:
    """Tell whether a text is an address that needs no second look, blanks around it aside."""
    return len(text) <= _SHORT and _ORDINARY.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def repaired_email(text: str) -> Cell:
    """Return an address, or a hash, without what surrounds it; dropped where it can't be anybody's.

    1. What nobody sees goes. 2. Quotes, labels, `Name <…>`, a comment behind it go. 3. Blanks beside the @ and
    punctuation at the ends go. 4. What is left is judged; nothing is guessed.
    """
    if fault := emptiness(text):
        return Cell(None, (), fault)
    cell = of_usual_width(without_invisible(Cell(text)))
    for step in (unwrapped, _unlabelled, unwrapped, _without_punctuation):
        cell = step(cell)
    address = cell.text or ""
    if fault := emptiness(address):
        return cell.dropped(fault)
    return cell if not address or is_hash(address) or is_address(address) else cell.dropped("not_an_email")


def _unlabelled(cell: Cell) -> Cell:
    """Take away `mailto:` with what it asks for, `Name <…>`, and a comment in brackets."""
    text = cell.text or ""
    if found := _NAMED.fullmatch(text):
        return _unlabelled(cell.mended(found[1], "wrapped"))
    if found := _LABELLED.fullmatch(text.strip()):
        return cell.mended(found[1].partition("?")[0], "wrapped")
    return cell.mended(_COMMENT.sub("", text), "wrapped")


def _without_punctuation(cell: Cell) -> Cell:
    bare = (cell.text or "").strip(_ENDS).rstrip(_ENDS + ".")
    beside = _BESIDE_SIGNS.sub(r"\1", bare)
    return cell.mended(bare, "punctuation").mended(beside, "spaces").mended(beside.replace(_DOT, "."), "width")


def is_address(text: str) -> bool:
    """Tell whether a text can be somebody's address, by its form; nobody is asked."""
    if is_ordinary(text):
        return True
    local, _, domain = text.rpartition("@")
    if _CARRIERS.fullmatch(domain):
        text = re.sub(r"\.+", ".", local).rstrip(".") + "@" + domain
    try:
        validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return False
    return True
