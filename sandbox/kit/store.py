"""What the stand-ins hold: audiences and their members, in memory."""

import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Member = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Audience:
    """One audience of an account. `options` is what the platform keeps of it besides."""

    id: str
    name: str
    account: str
    serial: int
    created_at: float
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    members: set[Member] = field(default_factory=set)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Store:
    """The audiences of one platform by id, in the order in which they were made."""

    audiences: dict[str, Audience] = field(default_factory=dict)
    _made: int = 0

    def create(self, audience_id: str, name: str, account: str, now: float) -> Audience:
        """Add an audience; names need not be unique."""
        self._made += 1
        made = Audience(id=audience_id, name=name, account=account, serial=self._made, created_at=now)
        self.audiences[audience_id] = made
        return made

    def listed(self, account: str, before: float) -> list[Audience]:
        """Return an account's audiences that were made before a time, or at it."""
        return [audience for audience in self.chosen(None, account) if audience.created_at <= before]

    def chosen(self, name: str | None, account: str | None) -> list[Audience]:
        """Return the audiences of a name and account; None is any."""
        return [
            audience
            for audience in self.audiences.values()
            if name in (None, audience.name) and account in (None, audience.account)
        ]


def union(audiences: Iterable[Audience]) -> list[Member]:
    """Return the members of all these audiences, each once, sorted."""
    return sorted(set().union(*(audience.members for audience in audiences)))


def digits(count: int) -> str:
    """Return a random number with this many digits, as text."""
    return str(secrets.choice(range(1, 10))) + "".join(secrets.choice(string.digits) for _ in range(count - 1))


def alphanumeric(count: int) -> str:
    """Return a random text of this many letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))
