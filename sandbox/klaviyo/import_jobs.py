"""Klaviyo's bulk imports, and the profiles that they leave behind."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from sandbox.kit.store import Audience, Member, alphanumeric
from sandbox.klaviyo.profiles import IDENTIFIERS, NOBODY, Failure

EXPIRY = timedelta(days=7)

Status = Literal["queued", "processing", "complete"]


@dataclass(slots=True, kw_only=True, eq=False)
class Import:
    """One bulk import."""

    lists: Sequence[Audience]
    taken: Sequence[Member]
    """What identifies each profile that can be imported, empty text for what does not, until the import is complete."""
    total: int
    failures: Sequence[Failure]
    since: float
    seconds: float
    id: str = field(default_factory=lambda: alphanumeric(26).upper())
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


class Take(Protocol):
    """What puts members into a list."""

    def __call__(self, audience: Audience, members: Collection[Member], *, rows: int) -> None:
        """Add the members that so many profiles are, and count them."""


class Imports:
    """All imports, and the account's profiles. Profiles are in their lists once an import is complete."""

    def __init__(self, take: Take, *, in_bulk: bool) -> None:
        self._take = take
        self._in_bulk = in_bulk
        self._imports: dict[str, Import] = {}
        self._pending: list[Import] = []
        self._known: Sequence[dict[str, Member]] = [{} for _ in IDENTIFIERS]
        """By each identifier the profile that has it."""
        self._ids: dict[Member, str] = {}
        self._by_id: dict[str, Member] = {}
        """Ids of profiles that were asked for, and back."""

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
        self._ids.clear()
        self._by_id.clear()
        for known in self._known:
            known.clear()

    def id_of(self, profile: Member) -> str:
        """Return a profile's id, which stays its own whatever is imported."""
        if profile not in self._ids:
            self._ids[profile] = alphanumeric(26).upper()
            self._by_id[self._ids[profile]] = profile
        return self._ids[profile]

    def known_by(self, field: str, values: Iterable[str]) -> list[Member]:
        """Return the profiles that have one of these values, each once."""
        known = self._by_id if field == "id" else self._known[IDENTIFIERS.index(field)]
        return list(dict.fromkeys(known[value] for value in values if value in known))

    def profiles(self) -> list[Member]:
        """Return all profiles, in the order of their identifiers."""
        return sorted({profile for known in self._known for profile in known.values()})

    def settle(self, now: float, lists: Sequence[Audience]) -> None:
        """Put the profiles of imports that are complete by now into their lists, in the order in which they came."""
        complete = [pending for pending in self._pending if pending.status(now) == "complete"]
        self._pending = [pending for pending in self._pending if pending not in complete]
        for done in complete:
            if not (self._in_bulk and self._put(done)):
                for given in done.taken:
                    self._upsert(given, done.lists, lists)
            done.taken = ()

    def _put(self, done: Import) -> bool:
        """Put all profiles of an import into its lists at once; tell whether that could be done.

        It can where those that are not held already, just as they are, are new and share no identifier.
        """
        new = done.taken
        if not self._are_new(new):
            new = [given for given in new if not self._holds(given)]
            if not self._are_new(new):
                return False
        for known, (values, whose) in zip(self._known, _by_identifier(new), strict=True):
            known.update(zip(values, whose, strict=True))
        members = [given if all(given) else member_of(given) for given in done.taken]
        for audience in done.lists:
            self._take(audience, members, rows=len(members))
        return True

    def _are_new(self, profiles: Sequence[Member]) -> bool:
        return all(
            len(set(values)) == len(values) and known.keys().isdisjoint(values)
            for known, (values, _) in zip(self._known, _by_identifier(profiles), strict=True)
        )

    def _holds(self, given: Member) -> bool:
        return all(known.get(value) == given for value, known in zip(given, self._known, strict=True) if value)

    def _upsert(self, given: Member, into: Sequence[Audience], lists: Sequence[Audience]) -> None:
        """Update the profile that has one of these identifiers, or add one.

        What happens where identifiers are those of several profiles is not documented: taken to be that the first
        one found is updated, and that the others keep theirs.
        """
        keys = list(zip(given, self._known, strict=True))
        old = next((known[value] for value, known in keys if value in known), NOBODY)
        merged = tuple(
            value if value and known.get(value, old) == old else before
            for (value, known), before in zip(keys, old, strict=True)
        )
        if merged != old:
            self._replace(old, merged, lists)
        for audience in into:
            self._take(audience, [member_of(merged)], rows=1)

    def _replace(self, old: Member, merged: Member, lists: Sequence[Audience]) -> None:
        if old in self._ids:
            self._ids[merged] = self._ids.pop(old)
            self._by_id[self._ids[merged]] = merged
        for value, known in zip(old, self._known, strict=True):
            known.pop(value, None)
        for value, known in zip(merged, self._known, strict=True):
            if value:
                known[value] = merged
        for audience in lists if any(old) else ():
            if member_of(old) in audience.members:
                audience.members.remove(member_of(old))
                audience.members.add(member_of(merged))


def _by_identifier(profiles: Sequence[Member]) -> Iterator[tuple[Sequence[str], Sequence[Member]]]:
    """Yield for each identifier its values and the profiles that have them."""
    for place in range(len(IDENTIFIERS)):
        values = [profile[place] for profile in profiles]
        whose = profiles if all(values) else [profile for profile in profiles if profile[place]]
        yield list(filter(None, values)), whose


def member_of(identifiers: Member) -> Member:
    """Return how a list holds a profile: by what it has."""
    return tuple(value for value in identifiers if value)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
