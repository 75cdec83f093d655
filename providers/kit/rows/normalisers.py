"""Texts as platforms want them before they are hashed. Each platform picks what its documentation asks for.

What exports and people did to a value is undone before (`schemas.repairs`); nothing of that is here again.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache

import phonenumbers

from providers.kit.phones.compiled_plans import COUNTRY_CODES
from providers.kit.phones.national_numbers import PUNCTUATION, national, plain_form
from providers.kit.phones.numbering_plans import (
    has_possible_length,
    has_trunk_zero,
    is_country_code,
    is_mobile,
    is_valid_in,
    is_valid_phone,
    without_trunk,
)
from schemas.countries import alpha_2
from schemas.repairs.cells import Cell, is_hash, of_usual_digits, of_usual_width, without_invisible

HASH_LENGTH = 64
REMEMBERED = 8192
"""Values of a field that repeats, such as a country, of which is remembered what they became."""

LONGEST_REMEMBERED = 64
"""Characters of a value of which is remembered what it became: longer ones are rare, and memory has a bound."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
GMAIL = ("@gmail.com", "@googlemail.com")
_CLEAN_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_INTERNATIONAL = re.compile(r"\s*\(?\s*(?:\+\s*00|\+|00)(.*)", re.DOTALL)
_EXIT_CODE = re.compile(r"\s*(?:00|01[01])")
"""What may be dialled before a country code; which of them is, the region tells."""

_first_piece = re.compile(r"[ ()./-]*([0-9]+)").match
_PIECES = re.compile(r"[0-9]+")
_OTHERS = re.compile(r"[^0-9]+")
_ONE_PIECE = 6
"""Digits from which on the first piece of a number is no area code."""

_TRUNK = re.compile(r"\(\s*0\s*\)")
"""The 0 that is dialled only within the country, as in +44 (0)20."""


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_hash(text: str) -> str | None:
    """Return a value that is a SHA-256 already, lower-case; None if it is none. Nothing but 64 digits is one."""
    if len(text) < HASH_LENGTH:
        return None
    stripped = text.strip()
    return stripped.lower() if is_hash(stripped) else None


def email(text: str) -> str | None:
    """Return an address trimmed and in lower case; None if it is no address.

    Dots and what follows a `+` stay: dropping them for Gmail is other platforms' rule.
    """
    cleaned = text.strip().lower()
    return cleaned if _EMAIL.fullmatch(cleaned) else None


def without_aliases(address: str) -> str:
    """Return an address without the dots and the `+suffix` of its local part, whatever its domain."""
    local, at, domain = address.rpartition("@")
    return local.partition("+")[0].replace(".", "") + at + domain


def gmail(address: str) -> str:
    """Return an address, of Gmail's without dots and `+suffix`, which its mailboxes do not tell apart."""
    return without_aliases(address) if address.endswith(GMAIL) else address


def country(text: str) -> str | None:
    """Return an ISO 3166-1 alpha-2 code in lower case, of a code or a name; None if the text is none."""
    return alpha_2(text)


def phone(text: str, *regions: str | None) -> str | None:
    """Return a number as `+` and 7 to 15 digits; None if it can't be read as one.

    1. What begins with `+`, `00` or both is international and keeps its digits, whether the number is anybody's
    or not, but for a trunk digit behind the country code that makes it nobody's. 2. Anything else must be somebody's:
    in the first region that is not None, an alpha-2 code, or with a `+` before it. Where it is both, and nothing tells
    which, it is None.
    """
    if text[:1] == "+" and _CLEAN_E164.fullmatch(text):
        return without_trunk(text)
    region = next(filter(None, regions), None)
    if region and (found := _plain_phone(text, region)):
        return found
    read = _slow_phone if len(text) <= LONGEST_REMEMBERED else _slow_phone.__wrapped__
    return read(f"{(region or '').upper()}:{text}")


def forget_phones() -> None:
    """Empty the cache of numbers that were read, as benchmarks need."""
    _slow_phone.cache_clear()


def _plain_phone(text: str, region: str) -> str | None:
    """Return a number as it is mostly dialled in a region, where it can be none of abroad; None for any other."""
    form, first = plain_form(region), _first_piece(text)
    if form is None or first is None:
        return None
    piece = first[1]
    if piece[0] != "0" and (len(piece) >= _ONE_PIECE or piece in COUNTRY_CODES) and _somebodys(_abroad(text)):
        return None
    number = form.number(text.encode(errors="replace").translate(None, PUNCTUATION))
    return number and form.plus_code + number


@lru_cache(maxsize=65536)
def _slow_phone(dialled_from: str) -> str | None:
    """Read a number behind a region, or none, and a colon: the collector of cycles would go through keys of several."""
    region, _, text = dialled_from.partition(":")
    visible = text if text.isascii() else _visible(text)
    if region and _EXIT_CODE.match(visible) and (dialled := _in_region(visible, region)):
        return dialled
    if international := _INTERNATIONAL.fullmatch(visible):
        return _international(international[1])
    return _read(visible, region or None)


def _international(text: str) -> str | None:
    """Read what comes behind a `+`. A 0 in brackets goes where the number is nobody's with it."""
    with_zero = _digits(text) if _TRUNK.search(text) else None
    if with_zero and is_valid_phone(with_zero):
        return with_zero
    number = _digits(_TRUNK.sub("", text))
    return number and without_trunk(number)


def _read(text: str, region: str | None) -> str | None:
    """Read a number without a `+`, which must be somebody's.

    In its country, else abroad. Where both are: who writes it without the 0 that is dialled within the country and with
    the country's own code means it so; that it should be a landline here and a mobile abroad is left open.
    """
    here = region and (_in_region(text, region) or _somebodys(_without_former_trunk(text, region)))
    abroad = _somebodys(_abroad(text))
    if not here or not abroad or not region:
        return here or abroad
    own = phonenumbers.country_code_for_region(region)
    if abroad.startswith(f"+{own}") and has_trunk_zero(region):
        return abroad
    return None if has_trunk_zero(region) and is_mobile(abroad) and not is_mobile(here) else here


def _somebodys(number: str | None) -> str | None:
    return number if number and _CLEAN_E164.fullmatch(number) and is_valid_phone(number) else None


def _in_region(text: str, region: str) -> str | None:
    """Read a number as it is dialled in a region; None where it is nobody's."""
    if found := national(text, region):
        return found
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return _digits(number) if is_valid_in(number, region) else None


def _without_former_trunk(text: str, region: str) -> str | None:
    """Read a number of a region with what was dialled there before the plans were changed."""
    digits = _digits(text)
    return without_trunk(f"+{phonenumbers.country_code_for_region(region)}{digits[1:]}") if digits else None


def _abroad(text: str) -> str | None:
    """Read a number as one whose `+` was left out: its digits in one piece, or with the country code as the first."""
    found = _PIECES.search(text)
    first = "" if found is None else found[0]
    if first[:1] in ("", "0") or not (len(first) >= _ONE_PIECE or is_country_code(first)):
        return None
    number = _digits(text)
    mended = number and without_trunk(number)
    return mended if mended and has_possible_length(mended) else None


def _visible(text: str) -> str:
    """Return what is seen of a text, for who calls this without the repairs before it."""
    return of_usual_digits(of_usual_width(without_invisible(Cell(text)))).text or ""


def _digits(text: str) -> str | None:
    """Return `+` and the digits, without leading zeros."""
    number = _OTHERS.sub("", text).lstrip("0")
    return "+" + number if 7 <= len(number) <= 15 else None


def name(text: str) -> str:
    """Return a name in lower case without punctuation, its letters and inner spaces kept; may be empty."""
    lowered = unicodedata.normalize("NFC", text.strip().lower())
    if lowered.isascii() and lowered.isalpha():
        return lowered
    return "".join(letter for letter in lowered if unicodedata.category(letter)[0] not in "PSC").strip()


def postal_code(text: str, country_code: str | None) -> str:
    """Return a postal code in lower case without spaces and hyphens; of an American one the first five digits."""
    code = "".join(text.lower().split())
    if country_code == "us" or (country_code is None and re.fullmatch(r"\d{5}-\d{4}", code)):
        return code[:5]
    return code.replace("-", "")
