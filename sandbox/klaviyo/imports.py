"""Klaviyo's bulk imports, and the profiles that they leave behind."""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sandbox.kit.store import Audience, Member, letters

IDENTIFIERS = ("email", "phone_number", "external_id")
MAX_EXTERNAL_ID = 255
EXPIRY = timedelta(days=7)

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)

Status = Literal["queued", "processing", "complete"]
Profile = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A profile that an import could not take: its place, the attribute at fault (none: all), what is wrong."""

    place: int
    attribute: str
    detail: str
    payload: Profile

    def shown(self) -> dict[str, Any]:
        """Return the error as Klaviyo shows it; it quotes the profile."""
        pointer = f"/data/attributes/profiles/data/{self.place}/attributes"
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


@dataclass(slots=True, kw_only=True, eq=False)
class Import:
    """One bulk import."""

    lists: Sequence[Audience]
    profiles: Sequence[Profile]
    total: int
    failures: Sequence[Failure]
    since: float
    seconds: float
    id: str = field(default_factory=lambda: letters(26).upper())
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    def status(self, now: float) -> Status:
        """Return how far the import is."""
        age = now - self.since
        if age >= self.seconds:
            return "complete"
        return "processing" if age >= self.seconds / 2 else "queued"

    def shown(self, now: float) -> dict[str, Any]:
        """Return the import as Klaviyo shows it."""
        status = self.status(now)
        is_complete, failed = status == "complete", len(self.failures)
        attributes = {
            "status": status,
            "created_at": _text(self.made),
            "total_count": self.total,
            "completed_count": self.total - failed if is_complete else 0,
            "failed_count": failed if is_complete else 0,
            "completed_at": _text(self.made + timedelta(seconds=self.seconds)) if is_complete else None,
            "expires_at": _text(self.made + EXPIRY),
            "started_at": _text(self.made + timedelta(seconds=self.seconds / 2)) if status != "queued" else None,
        }
        return {"type": "profile-bulk-import-job", "id": self.id, "attributes": attributes}


class Imports:
    """All imports, and the account's profiles. Profiles are in their lists once an import is complete."""

    def __init__(self, take: Callable[[Audience, Iterable[Member]], None]) -> None:
        self._take = take
        self._imports: dict[str, Import] = {}
        self._pending: list[Import] = []
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def add(self, begun: Import) -> None:
        """Take an import on."""
        self._imports[begun.id] = begun
        self._pending.append(begun)

    def get(self, import_id: str) -> Import | None:
        """Return an import."""
        return self._imports.get(import_id)

    def forget(self) -> None:
        """Drop imports and profiles."""
        self._imports.clear()
        self._pending.clear()
        self._known.clear()

    def settle(self, now: float, lists: Sequence[Audience]) -> None:
        """Put the profiles of imports that are complete by now into their lists, in the order in which they came."""
        complete = [pending for pending in self._pending if pending.status(now) == "complete"]
        self._pending = [pending for pending in self._pending if pending not in complete]
        for done in complete:
            failed = {failure.place for failure in done.failures}
            for place, profile in enumerate(done.profiles):
                if place not in failed:
                    self._upsert(profile, done.lists, lists)
            done.profiles = ()

    def _upsert(self, profile: Profile, into: Sequence[Audience], lists: Sequence[Audience]) -> None:
        """Update the profile that has one of these identifiers, or add one.

        What happens where identifiers are those of several profiles is not documented: taken to be that the first
        one found is updated, and that the others keep theirs.
        """
        given = tuple(str(profile.get(name) or "") for name in IDENTIFIERS)
        keys = list(zip(IDENTIFIERS, given, strict=True))
        empty = ("",) * len(IDENTIFIERS)
        old = next((self._known[key] for key in keys if key in self._known), empty)
        merged = tuple(
            value if value and self._known.get((name, value), old) == old else before
            for (name, value), before in zip(keys, old, strict=True)
        )
        if merged != old:
            self._replace(old, merged, lists)
        for audience in into:
            self._take(audience, [_member(merged)])

    def _replace(self, old: tuple[str, ...], merged: tuple[str, ...], lists: Sequence[Audience]) -> None:
        for key in zip(IDENTIFIERS, old, strict=True):
            self._known.pop(key, None)
        self._known.update({(name, value): merged for name, value in zip(IDENTIFIERS, merged, strict=True) if value})
        for audience in lists if any(old) else ():
            if _member(old) in audience.members:
                audience.members.remove(_member(old))
                audience.members.add(_member(merged))


def failures(profiles: Sequence[Profile], *, is_partial: bool) -> list[Failure]:
    """Return what an import can't take; the first profile where it is to be partial."""
    checked = [_failure(place, profile) for place, profile in enumerate(profiles)]
    if is_partial and checked[0] is None:
        checked[0] = Failure(0, "email", "The profile could not be imported.", profiles[0])
    return [failure for failure in checked if failure is not None]


def _failure(place: int, profile: Profile) -> Failure | None:
    email, phone, external_id = (profile.get(name) for name in IDENTIFIERS)
    if not (email or phone or external_id):
        return Failure(place, "", "One of email, phone_number and external_id is required.", profile)
    if email is not None and not _EMAIL.fullmatch(email):
        return Failure(place, "email", f"Invalid email address: {email}", profile)
    if phone is not None and not _PHONE.fullmatch(phone):
        return Failure(place, "phone_number", f"Invalid phone number, expected E.164: {phone}", profile)
    if external_id is not None and len(external_id) > MAX_EXTERNAL_ID:
        return Failure(place, "external_id", "The external id is too long.", profile)
    return None


def _member(identifiers: tuple[str, ...]) -> Member:
    return tuple(value for value in identifiers if value)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
