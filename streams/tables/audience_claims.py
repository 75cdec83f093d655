"""Who may create an audience: what the records of a directory's key amount to, a pure fold in their order."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.records import AudienceType, DirectoryEntry

LONGEST = timedelta(days=30)
"""How long a claim lasts at most; ours last minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How a name stands: it has an audience, or somebody's claim to create one, which ends by Kafka's clock."""

    type: AudienceType
    audience_id: str | None
    nonce: str
    until: datetime

    def is_live(self, now: datetime) -> bool:
        """Tell whether the name is taken: by an audience, or by a claim that has not ended."""
        return self.audience_id is not None or now < self.until


def fold(held: Holding | None, entry: DirectoryEntry | None, written_at: datetime) -> Holding | None:
    """Return how a name stands after one more record, which Kafka took at `written_at`; None is a deletion.

    The first live claim wins, an id ends it, and the first id stands until a claim says that it is gone. Whatever
    else comes is as if it had not been written.
    """
    if entry is None:
        return None
    return _taken(entry, written_at) if _is_taken(held, entry, written_at) else held


def _is_taken(held: Holding | None, entry: DirectoryEntry, written_at: datetime) -> bool:
    if held is None:
        return True
    if held.audience_id is not None:
        return entry.claim is not None and entry.audience_id == held.audience_id
    if entry.claim is None:
        return True
    return entry.claim.nonce == held.nonce or written_at >= held.until


def _taken(entry: DirectoryEntry, written_at: datetime) -> Holding:
    claim = entry.claim
    return Holding(
        type=entry.type,
        audience_id=entry.audience_id if claim is None else None,
        nonce=claim.nonce if claim else "",
        until=written_at + _span(claim.expires_at - entry.written_at if claim else timedelta()),
    )


def _span(said: timedelta) -> timedelta:
    """Return how long a claim lasts, with a bound: whatever a record says, there is a time when it ends."""
    return max(timedelta(), min(said, LONGEST))
