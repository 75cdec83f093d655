"""Texts as platforms want them before they are hashed. Each platform picks what its documentation asks for."""

import hashlib
import re
import unicodedata
from functools import lru_cache

import phonenumbers

_HASHED = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CLEAN_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_INTERNATIONAL = re.compile(r"\s*(?:\+\s*00|\+|00)(.*)", re.DOTALL)
_EXTENSION = re.compile(r"(?:;|,|x|ext)", re.IGNORECASE)

_SPELLINGS = {"uk": "gb"}
"""Two letters that people write for a country but ISO 3166-1 does not."""


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
    """Return an ISO 3166-1 alpha-2 code in lower case; None if the text is none."""
    code = text.strip().lower()
    code = _SPELLINGS.get(code, code)
    return code if len(code) == 2 and code.upper() in phonenumbers.SUPPORTED_REGIONS else None


def phone(text: str, region: str | None) -> str | None:
    """Return a number as `+` and 7 to 15 digits; None if it can't be read as one.

    International numbers keep their digits; national ones need the region, an alpha-2 code.
    """
    if _CLEAN_E164.fullmatch(text):
        return text
    return _slow_phone(text, region)


@lru_cache(maxsize=65536)
def _slow_phone(text: str, region: str | None) -> str | None:
    international = _INTERNATIONAL.fullmatch(text)
    if international:
        return _digits(international[1])
    for number, where in ((text, region), ("+" + text.strip(), None)):
        if where is None and number is text:
            continue
        try:
            parsed = phonenumbers.parse(number, where and where.upper())
        except phonenumbers.NumberParseException:
            continue
        if where is not None or phonenumbers.is_possible_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None


def _digits(text: str) -> str | None:
    number = "".join(letter for letter in _EXTENSION.split(text)[0] if letter.isascii() and letter.isdecimal())
    return "+" + number if 7 <= len(number) <= 15 and number.strip("0") else None


@lru_cache(maxsize=65536)
def is_valid_phone(number: str) -> bool:
    """Tell whether a number in E.164 form can be somebody's by the numbering plans."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def name(text: str) -> str:
    """Return a name in lower case without punctuation, its letters and inner spaces kept; may be empty."""
    lowered = unicodedata.normalize("NFC", text).strip().lower()
    if lowered.isascii() and lowered.isalpha():
        return lowered
    return "".join(letter for letter in lowered if unicodedata.category(letter)[0] not in "PSC").strip()


def postal_code(text: str, country_code: str | None) -> str:
    """Return a postal code in lower case without spaces; of an American one the first five digits."""
    code = "".join(unicodedata.normalize("NFC", text).lower().split())
    if country_code == "us" or (country_code is None and re.fullmatch(r"\d{5}-\d{4}", code)):
        return code[:5]
    return code.replace("-", "")
