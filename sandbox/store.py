"""What the stand-ins hold: audiences and their members, in memory."""

import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass, field

Member = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Audience:
    """One audience of an account. `options` is what the platform keeps of it besides."""

    id: str
    name: str
    account: str
    created_at: float
    members: set[Member] = field(default_factory=set)
    options: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Store:
    """The audiences of one platform by id."""

    audiences: dict[str, Audience] = field(default_factory=dict)

    def create(self, audience_id: str, name: str, account: str, now: float) -> Audience:
        """Add an audience; names need not be unique."""
        made = Audience(id=audience_id, name=name, account=account, created_at=now)
        self.audiences[audience_id] = made
        return made

    def listed(self, account: str, before: float) -> list[Audience]:
        """Return an account's audiences that were made before a time."""
        return [a for a in self.audiences.values() if a.account == account and a.created_at <= before]

    def chosen(self, name: str | None, account: str | None) -> Iterator[Audience]:
        """Yield the audiences of a name and account; None is any."""
        for audience in self.audiences.values():
            if name in (None, audience.name) and account in (None, audience.account):
                yield audience


def digits(count: int) -> str:
    """Return a random number with this many digits, as text."""
    return str(secrets.choice(range(1, 10))) + "".join(secrets.choice(string.digits) for _ in range(count - 1))


def letters(count: int) -> str:
    """Return random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))
