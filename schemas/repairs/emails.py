"""Whether an e-mail address can be anybody's, and the repairs that are certain."""

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from schemas.repairs.cells import Cell, emptiness, is_hash, is_other_hash, of_usual_width, unwrapped, without_invisible

# Ordinary addresses, nearly all of them, are told at sight; the library takes some thirty times as long.
_ATOM, _LABEL = "[A-Za-z0-9_+-]++", "[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
RESERVED = "|".join(re.escape(name) for name in SPECIAL_USE_DOMAIN_NAMES)
_ORDINARY = re.compile(
    rf"\s*(?={_ATOM}.{{0,60}}$){_ATOM}(?:\.{_ATOM})*+@(?:{_LABEL}\.)++(?!(?i:{RESERVED})\s*$)[A-Za-z]{{2,}}\s*"
)
_SHORT = 64
"""Characters up to which neither a local part (64), a label (63) nor the whole (254) can be too long."""

_LABELLED = re.compile(r"(?:mailto|smtp|e-?mail|mail|e-?mail[ -]ad+res+e?)\s*:(?://)?\s*(.*)", re.IGNORECASE)
_NAMED = re.compile(r"[^<>]*<([^<>]+)>[\s,;.]*|[^@\[\]]*\[(mailto:[^\[\]]+)\]", re.IGNORECASE)
_COMMENT = re.compile(r"(?<=[^\s(])\s*\([^()]*\)\s*$")
_ESCAPED_BLANK = re.compile(r"^(?:%20|%09|%0[ad]|&nbsp;)+|(?:%20|%09|%0[ad]|&nbsp;|<br ?/?>)+$", re.IGNORECASE)
_TYPOGRAPHY = str.maketrans(
    {"\u3002": ".", "\u2019": "'", **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")}
)
"""Full stops of Chinese and Japanese keyboards; apostrophes and dashes that word processors make."""

_LONGEST = 400
"""Characters that an address may have with all that is around it."""

_ENDS = " ,;:|!\"'<>()[]"
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
    punctuation at the ends go, until nothing more does. 4. What is left is judged; nothing is guessed.
    """
    if fault := emptiness(text) or ("not_an_email" if len(text) > _LONGEST else None):
        return Cell(None, (), fault)
    cell = of_usual_width(without_invisible(Cell(text)))
    before = None
    while cell.text != before:
        before = cell.text
        for step in (unwrapped, _unlabelled, _without_punctuation):
            cell = step(cell)
    address = cell.text or ""
    if fault := emptiness(address):
        return cell.dropped(fault)
    if not address or is_hash(address) or is_address(address):
        return cell
    return cell.dropped("other_hash" if is_other_hash(address) else "not_an_email")


def _unlabelled(cell: Cell) -> Cell:
    """Take away `mailto:` with what it asks for, `Name <…>`, and a comment in brackets."""
    text = cell.text or ""
    if found := _NAMED.fullmatch(text):
        return cell.mended(found[1] or found[2], "wrapped")
    if found := _LABELLED.fullmatch(text.strip()):
        return cell.mended(found[1].partition("?")[0], "wrapped")
    return cell.mended(_COMMENT.sub("", text), "wrapped")


def _without_punctuation(cell: Cell) -> Cell:
    bare = _ESCAPED_BLANK.sub("", (cell.text or "").strip()).strip(_ENDS).rstrip(_ENDS + ".")
    beside = "@".join(piece.strip() for piece in bare.split("@"))
    return cell.mended(bare, "punctuation").mended(beside, "spaces").mended(beside.translate(_TYPOGRAPHY), "width")


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
