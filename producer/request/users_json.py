"""Users from JSON straight into typed records."""

import re
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from producer.request.hints import of_content
from producer.request.name_likeness import PURCHASE_LIKENESSES, USER_LIKENESSES, meant_member
from producer.request.numbers import Number, number, number_text
from producer.request.surrogates import without_halves
from producer.request.unknown_names import Ignored, NameCounter
from schemas.bounds import MAX_TEXT, MAX_USERS
from schemas.records import AudienceUser, Purchase, Text

_PLACE = re.compile(r"`\$((?:\[\d+\]|\.\w+)*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")

TextOrNumber = Annotated[Any, Meta(extra_json_schema={"type": ["string", "number", "null"], "maxLength": MAX_TEXT})]
"""A text of at most MAX_TEXT characters, a number, or None; typed loosely, as a float would lose digits."""


class PayloadError(Exception):
    """A part is no JSON of the expected shape; the message says where, and repeats no value."""


class _StrictPurchase(Purchase, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _StrictUser(AudienceUser, frozen=True, forbid_unknown_fields=True, rename="camel", gc=False):
    purchase: _StrictPurchase | None = None


class UserForm(Struct, frozen=True, rename="camel", gc=False):
    """A customer as it was sent: what may be text or a number is either. Other members are passed over, and told."""

    edge_tag_id: TextOrNumber = None
    email: Text | None = None
    phone: TextOrNumber = None
    first_name: Text | None = None
    last_name: Text | None = None
    country: Text | None = None
    postal_code: TextOrNumber = None
    purchase: Purchase | None = None


_strict = msgspec.json.Decoder(list[_StrictUser])
_loose = msgspec.json.Decoder(list[UserForm], float_hook=number)
_each = msgspec.json.Decoder(list[Raw])
_members = msgspec.json.Decoder(dict[str, Any], float_hook=number)

_USER_MEMBERS = frozenset(AudienceUser.__struct_encode_fields__)
_PURCHASE_MEMBERS = frozenset(Purchase.__struct_encode_fields__)
_EXPECTED = {"purchase": "object", "profit": "finite number", "total7Days": "finite number"}


class Users(Struct, frozen=True):
    """Users of a request, and the members of theirs that we know nothing of."""

    users: list[AudienceUser]
    unknown: tuple[Ignored, ...] = ()


def parse_users(data: bytes) -> Users:
    """Parse the part `users`. Raises PayloadError, also where all that users have only resembles what we know."""
    parser = UsersParser()
    try:
        users = parser.take(data)
        return Users(users, parser.unknown())
    except UNREADABLE as error:
        raise PayloadError(explain("users", data, error, _EXPECTED)) from None


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What parsing raises where the JSON is none or not of the expected shape."""


class UsersParser:
    """Parses users from one JSON array or several.

    Most uploads fit the types as they are; only an array that does not pays for numbers where text is expected, for
    halves of surrogate pairs and for members that we do not know.
    """

    def __init__(self) -> None:
        self.count = 0
        self._unknown = _UnknownMembers()

    def take(self, data: bytes) -> list[AudienceUser]:
        """Return the users of one array. Raises one of UNREADABLE, PayloadError."""
        try:
            users: list[AudienceUser] = [*_strict.decode(data)]
            self._unknown.is_any_known |= b'"' in data  # the name of a member
        except UNREADABLE:
            users = self._loose(without_halves(data))
        self.count += len(users)
        return users

    def _loose(self, data: bytes) -> list[AudienceUser]:
        loose = _loose.decode(data)
        users = [_user(user, index) for index, user in enumerate(loose, start=self.count)]
        if self.count + len(users) <= MAX_USERS:
            self._unknown.add(data, self.count)
        return users

    def unknown(self) -> tuple[Ignored, ...]:
        """Return the members that we know nothing of; none of more users than there may be. Raises PayloadError."""
        return self._unknown.found() if self.count <= MAX_USERS else ()


def _user(user: UserForm, index: int) -> AudienceUser:
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


class _UnknownMembers:
    """Finds the members that we know nothing of, in memory for one user at a time."""

    def __init__(self) -> None:
        self.is_any_known = False
        self._of_users = NameCounter("users", partial(meant_member, likenesses=USER_LIKENESSES))
        self._of_purchases = NameCounter("users.purchase", partial(meant_member, likenesses=PURCHASE_LIKENESSES))

    def add(self, data: bytes, first: int) -> None:
        """Look at the users of one array; `first` is the index of its first one. Raises PayloadError."""
        for index, raw in enumerate(_each.decode(data), start=first):
            user = _decoded(raw, index)
            unknown = [name for name in user if name not in _USER_MEMBERS]
            self.is_any_known = self.is_any_known or len(unknown) < len(user)
            self._of_users.add(unknown)
            self._of_purchases.add(name for name in user.get("purchase") or () if name not in _PURCHASE_MEMBERS)

    def found(self) -> tuple[Ignored, ...]:
        """Return what was found. Raises PayloadError where nothing is known, and something resembles what is."""
        found = self._of_users.found()
        if not self.is_any_known:
            _check_unlike(found)
        return found + self._of_purchases.found()


def _decoded(raw: Raw, index: int) -> dict[str, Any]:
    try:
        return _members.decode(raw)
    except msgspec.ValidationError:  # of what is ignored only a number can be wrong that has thousands of digits
        raise PayloadError(f"users[{index}]: expected numbers of fewer digits") from None


def _check_unlike(unknown: tuple[Ignored, ...]) -> None:
    """Raise PayloadError where a member resembles one of ours: such an upload would reach nobody."""
    alike = {one.did_you_mean: one for one in reversed(unknown) if one.did_you_mean}
    if alike:
        suggestions = " ".join(
            f"{one.name or 'A name that is not shown'}{one.suggestion}" for one in reversed(alike.values())
        )
        raise PayloadError(f"users: no user has a member that is known. {suggestions}")


def explain(part: str, data: bytes, error: Exception, expected: dict[str, str]) -> str:
    """Return where a part is wrong and what is expected there, in our words and without a value of it."""
    text = str(error)
    if isinstance(error, RecursionError):
        return f"{part}: nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"{part}: not UTF-8{_bad_byte(data)}{of_content(part, data)}"
    if not isinstance(error, msgspec.ValidationError):
        found = _BYTE.search(text)
        return f"{part}: not JSON{f' at byte {found[1]}' if found else ''}{of_content(part, data)}"
    place = _PLACE.search(text)
    path = place[1] if place else ""
    kind = "array" if not path else "object" if path.endswith("]") else expected.get(path.rpartition(".")[2], "string")
    length = f" of at most {MAX_TEXT} characters" if "length" in text else ""
    is_whole = "." not in path  # else it is one field that is wrong
    return f"{part}{path}: expected {kind}{length}{of_content(part, data) if is_whole else ''}"


def _bad_byte(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f" at byte {error.start}"
    return ""
