"""Klaviyo's imports checked by whole columns. Where any profile is wrong, each is checked by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from sandbox.kit.bulk_checks import decode_as
from sandbox.kit.store import Member
from sandbox.klaviyo.profiles import (
    EMAIL,
    MAX_EXTERNAL_ID,
    MAX_PROFILE,
    MAX_PROFILES,
    NOBODY,
    PHONE,
)


class _Location(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    address1: Any = None
    address2: Any = None
    city: Any = None
    country: Any = None
    region: Any = None
    zip: Any = None
    latitude: Any = None
    longitude: Any = None
    timezone: Any = None
    ip: Any = None


class _Attributes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    email: str | None = None
    phone_number: str | None = None
    external_id: str | None = None
    kx: str | None = msgspec.field(name="_kx", default=None)
    first_name: str | None = None
    last_name: str | None = None
    organization: str | None = None
    locale: str | None = None
    title: str | None = None
    image: str | None = None
    location: _Location | None = None
    properties: dict[str, Any] | None = None


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["profile"]
    attributes: _Attributes


class _Entries(msgspec.Struct, forbid_unknown_fields=True):
    data: list[_Entry]


class _Profiles(msgspec.Struct, forbid_unknown_fields=True):
    profiles: _Entries


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["profile-bulk-import-job"]
    attributes: _Profiles
    relationships: dict[str, Any] = {}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    data: _Job


_BODY = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundImport:
    """Profiles which all can be imported, by what identifies them, and the lists that are named."""

    identifiers: Sequence[Member]
    relationships: Mapping[str, Any]


def sound_import(body: bytes) -> SoundImport | None:
    """Return the import that a body is; None unless each of its profiles is known to be right."""
    decoded = decode_as(_BODY, body)
    entries = decoded.data.attributes.profiles.data if decoded else []
    if decoded is None or not 1 <= len(entries) <= MAX_PROFILES or not _are_small(entries):
        return None
    given = [(one.attributes.email, one.attributes.phone_number, one.attributes.external_id) for one in entries]
    identifiers = _identifiers(given)
    return SoundImport(identifiers=identifiers, relationships=decoded.data.relationships) if identifiers else None


def _are_small(entries: Sequence[_Entry]) -> bool:
    """Tell whether no profile is too large: what none of a hundred is together, no single one is.

    As they are here, with all attributes, profiles are no smaller than they came.
    """
    hundreds = (entries[start : start + 100] for start in range(0, len(entries), 100))
    return all(len(msgspec.json.encode(some)) <= MAX_PROFILE for some in hundreds)


def _identifiers(given: Sequence[tuple[str | None, ...]]) -> Sequence[Member] | None:
    """Return what identifies each profile, empty text for what does not; None unless all of it is right."""
    emails, phones, external_ids = (
        [value for value in column if value is not None] for column in zip(*given, strict=True)
    )
    if not all(map(EMAIL.fullmatch, emails)) or not all(map(PHONE.fullmatch, phones)):
        return None
    if max(map(len, external_ids), default=0) > MAX_EXTERNAL_ID:
        return None
    identifiers = [tuple(value or "" for value in one) if None in one else one for one in given]
    return None if NOBODY in identifiers else cast("Sequence[Member]", identifiers)
