"""Klaviyo's profiles: what they may have, and what an import could not take, one by one."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.kit.platform import Call
from sandbox.kit.store import Member

IDENTIFIERS = ("email", "phone_number", "external_id")
NOBODY: Member = ("",) * len(IDENTIFIERS)
TEXTS = frozenset({*IDENTIFIERS, "_kx", "first_name", "last_name", "organization", "locale", "title", "image"})
OBJECTS = frozenset({"location", "properties"})
LOCATION = frozenset(
    {"address1", "address2", "city", "country", "region", "zip", "latitude", "longitude", "timezone", "ip"}
)
MAX_PROFILES = 10_000
MAX_PROFILE = 100_000
MAX_EXTERNAL_ID = 255

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
PHONE = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)

Profile = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A profile that an import could not take: its index, the attribute at fault (none: all), what is wrong."""

    index: int
    attribute: str
    detail: str
    payload: Profile
    is_shown: bool = True
    """Whether it is listed, besides being counted."""

    def shown(self) -> dict[str, Any]:
        """Return the error as Klaviyo shows it; it quotes the profile."""
        pointer = f"/data/attributes/profiles/data/{self.index}/attributes"
        return {
            "type": "import-error",
            "id": str(uuid.uuid4()),
            "attributes": {
                "code": "invalid",
                "title": "Invalid input",
                "detail": self.detail,
                "source": {"pointer": f"{pointer}/{self.attribute}" if self.attribute else pointer},
                "original_payload": self.payload,
            },
        }


def failures(call: Call, profiles: Sequence[Profile]) -> list[Failure]:
    """Return what an import can't take, and what a fault leaves out: the first profile where it is to be partial."""
    checked = [_failure(index, profile) or _left_out(call, index, profile) for index, profile in enumerate(profiles)]
    return [failure for failure in checked if failure is not None]


def _left_out(call: Call, index: int, profile: Profile) -> Failure | None:
    given = [profile.get(name) for name in IDENTIFIERS]
    if not (call.is_partial and index == 0) and not any(map(call.leaves_out, given)):
        return None
    return Failure(index, "email", "The profile could not be imported.", profile, is_shown=call.names(*given))


def _failure(index: int, profile: Profile) -> Failure | None:
    email, phone, external_id = (profile.get(name) for name in IDENTIFIERS)
    if not (email or phone or external_id):
        return Failure(index, "", "One of email, phone_number and external_id is required.", profile)
    if email is not None and not EMAIL.fullmatch(email):
        return Failure(index, "email", f"Invalid email address: {email}", profile)
    if phone is not None and not PHONE.fullmatch(phone):
        return Failure(index, "phone_number", f"Invalid phone number, expected E.164: {phone}", profile)
    if external_id is not None and len(external_id) > MAX_EXTERNAL_ID:
        return Failure(index, "external_id", "The external id is too long.", profile)
    return None


def identifiers_of(profile: Profile) -> Member:
    """Return what identifies a profile, empty text for what does not."""
    return tuple(str(profile.get(name) or "") for name in IDENTIFIERS)


def is_profile(entry: object) -> bool:
    """Tell whether a profile has the documented form; unknown attributes are taken to be refused."""
    attributes = entry.get("attributes") if isinstance(entry, dict) and entry.get("type") == "profile" else None
    if not isinstance(attributes, dict) or len(msgspec.json.encode(entry)) > MAX_PROFILE:
        return False
    return all(
        (name in TEXTS and isinstance(value, str | None)) or (name in OBJECTS and _is_object(name, value))
        for name, value in attributes.items()
    )


def _is_object(name: str, value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and (name != "location" or LOCATION.issuperset(value))
