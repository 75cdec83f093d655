"""Users from JSON straight into typed records."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from producer.numbers import Number, number, number_text
from producer.surrogates import without_halves
from schemas.records import MAX_TEXT, AudienceUser, Purchase, Text

_PLACE = re.compile(r"`\$((?:\[\d+\]|\.\w+)*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")

TextOrNumber = Any
"""A text of at most MAX_TEXT characters, a number, or None; typed loosely, as a float would lose digits."""


class PayloadError(Exception):
    """A part is no JSON of the expected shape; the message says where, and repeats no value."""


class _StrictPurchase(Purchase, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _StrictUser(AudienceUser, frozen=True, forbid_unknown_fields=True, rename="camel", gc=False):
    purchase: _StrictPurchase | None = None


class _LooseUser(Struct, frozen=True, rename="camel", gc=False):
    edge_tag_id: TextOrNumber = None
    email: Text | None = None
    phone: TextOrNumber = None
    first_name: Text | None = None
    last_name: Text | None = None
    country: Text | None = None
    postal_code: TextOrNumber = None
    purchase: Purchase | None = None


_strict = msgspec.json.Decoder(list[_StrictUser])
_loose = msgspec.json.Decoder(list[_LooseUser], float_hook=number)

_USER_MEMBERS = frozenset(AudienceUser.__struct_encode_fields__)
_PURCHASE_MEMBERS = frozenset(Purchase.__struct_encode_fields__)
_EXPECTED = {"purchase": "object", "profit": "finite number", "total7Days": "finite number"}


class Users(Struct, frozen=True):
    """Users of a request, and how many members of theirs we know nothing of."""

    users: list[AudienceUser]
    ignored: int = 0


def parse_users(data: bytes) -> Users:
    """Parse the part `users`. Raises PayloadError.

    Most uploads fit the types as they are; only one that does not pays for numbers where text is expected, for
    halves of surrogate pairs and for members that we do not know.
    """
    try:
        strict: list[AudienceUser] = [*_strict.decode(data)]
        return Users(strict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _parse_loose(data)


def _parse_loose(data: bytes) -> Users:
    data = without_halves(data)
    try:
        loose = _loose.decode(data)
        users = [_user(user, index) for index, user in enumerate(loose)]
        return Users(users, _count_unknown(msgspec.json.decode(data)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(explain("users", data, error, _EXPECTED)) from None


def _user(user: _LooseUser, index: int) -> AudienceUser:
    return AudienceUser(
        edge_tag_id=_text(user.edge_tag_id, index, "edgeTagId"),
        email=user.email,
        phone=_text(user.phone, index, "phone"),
        first_name=user.first_name,
        last_name=user.last_name,
        country=user.country,
        postal_code=_text(user.postal_code, index, "postalCode"),
        purchase=user.purchase,
    )


def _text(value: object, index: int, field: str) -> str | None:
    """Return a text or a number as text. Raises PayloadError."""
    expected = f"users[{index}].{field}: expected string"
    if isinstance(value, Number) and not isinstance(value, bool):
        try:
            value = number_text(value)
        except ValueError:
            raise PayloadError(expected) from None
    if value is not None and not isinstance(value, str):
        raise PayloadError(expected)
    if value is not None and len(value) > MAX_TEXT:
        raise PayloadError(f"{expected} of at most {MAX_TEXT} characters")
    return value


def _count_unknown(users: list[dict[str, Any]]) -> int:
    return sum(
        len(user.keys() - _USER_MEMBERS) + len((user.get("purchase") or {}).keys() - _PURCHASE_MEMBERS)
        for user in users
    )


def explain(part: str, data: bytes, error: Exception, expected: dict[str, str]) -> str:
    """Return where a part is wrong and what is expected there, in our words and without a value of it."""
    text = str(error)
    if isinstance(error, RecursionError):
        return f"{part}: nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"{part}: not UTF-8{_bad_byte(data)}"
    if not isinstance(error, msgspec.ValidationError):
        found = _BYTE.search(text)
        return f"{part}: not JSON" + (f" at byte {found[1]}" if found else "")
    place = _PLACE.search(text)
    path = place[1] if place else ""
    kind = "array" if not path else "object" if path.endswith("]") else expected.get(path.rpartition(".")[2], "string")
    length = f" of at most {MAX_TEXT} characters" if "length" in text else ""
    return f"{part}{path}: expected {kind}{length}"


def _bad_byte(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f" at byte {error.start}"
    return ""
