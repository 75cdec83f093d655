"""Texts as platforms want them before they are hashed. Each platform picks what its documentation asks for."""

import hashlib
import re
import unicodedata
from functools import lru_cache

import phonenumbers

from providers.numbering import has_possible_length, is_valid_phone, without_trunk
from schemas.countries import alpha_2

_HASHED = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CLEAN_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_INTERNATIONAL = re.compile(r"\s*(?:\+\s*00|\+|00)(.*)", re.DOTALL)
_EXTENSION = re.compile(r"(?:;|,|x|ext)", re.IGNORECASE)
_TRUNK = re.compile(r"\(\s*0\s*\)")
"""The 0 that is dialled only within the country, as in +44 (0)20."""


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_hash(text: str) -> str | None:
    """Return a value that is a SHA-256 already, lower-case; None if it is none. Nothing but 64 digits is one."""
    stripped = text.strip()
    return stripped.lower() if _HASHED.fullmatch(stripped) else None


def email(text: str) -> str | None:
    """Return an address trimmed and in lower case; None if it is no address.

    Dots and what follows a `+` stay: dropping them for Gmail is other platforms' rule.
    """
    cleaned = unicodedata.normalize("NFC", text).strip().lower()
    return cleaned if _EMAIL.fullmatch(cleaned) else None


def country(text: str) -> str | None:
    """Return an ISO 3166-1 alpha-2 code in lower case, of a code or a name; None if the text is none."""
    return alpha_2(text)


def phone(text: str, *regions: str | None) -> str | None:
    """Return a number as `+` and 7 to 15 digits; None if it can't be read as one.

    1. What begins with `+`, `00` or both is international and keeps its digits, whether the number is anybody's
    or not, but for a trunk digit behind the country code that makes it nobody's. 2. Anything else is read as a
    number of the first region that is not None, an alpha-2 code; where that is nobody's, but with a `+` before it is
    somebody's, the `+` was left out. 3. Without a region it must be somebody's with a `+` before it.
    """
    if _CLEAN_E164.fullmatch(text):
        return without_trunk(text)
    return _slow_phone(text, next((region.upper() for region in regions if region), None))


def forget_phones() -> None:
    """Empty the cache of numbers that were read, as benchmarks need."""
    _slow_phone.cache_clear()
    is_valid_phone.cache_clear()


@lru_cache(maxsize=65536)
def _slow_phone(text: str, region: str | None) -> str | None:
    visible = text if text.isascii() else _visible(text)
    if international := _INTERNATIONAL.fullmatch(visible):
        number = _digits(_TRUNK.sub("", international[1]))
        return number and without_trunk(number)
    national = _possible(visible, region)
    abroad = None if _begins_with_zero(visible) else _digits(visible)
    if abroad is None or not has_possible_length(abroad) or (national is not None and is_valid_phone(national)):
        return national
    return abroad if is_valid_phone(abroad) else national


def _begins_with_zero(text: str) -> bool:
    """Tell whether the first digit is a 0, with which no country code begins."""
    first = next(filter(str.isdecimal, text), "0")
    return unicodedata.decimal(first) == 0


def _visible(text: str) -> str:
    """Return what is seen of a text: digits of any width as digits, marks of direction left out."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")


def _possible(text: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return _digits(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _digits(text: str) -> str | None:
    """Return `+` and the digits before any extension, without leading zeros."""
    letters = _EXTENSION.split(text)[0]
    number = "".join(str(unicodedata.decimal(letter)) for letter in letters if letter.isdecimal()).lstrip("0")
    return "+" + number if 7 <= len(number) <= 15 else None


def name(text: str) -> str:
    """Return a name in lower case without punctuation, its letters and inner spaces kept; may be empty."""
    lowered = unicodedata.normalize("NFC", text.strip().lower())
    if lowered.isascii() and lowered.isalpha():
        return lowered
    return "".join(letter for letter in lowered if unicodedata.category(letter)[0] not in "PSC").strip()


def postal_code(text: str, country_code: str | None) -> str:
    """Return a postal code in lower case without spaces and hyphens; of an American one the first five digits."""
    code = "".join(unicodedata.normalize("NFC", text).lower().split())
    if country_code == "us" or (country_code is None and re.fullmatch(r"\d{5}-\d{4}", code)):
        return code[:5]
    return code.replace("-", "")
