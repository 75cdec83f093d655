"""How an upload is cut into batches, known before the first of them is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from audience_client.errors import FileError, InputError

BATCH = 5_000
"""Users of a batch, unless that makes too many batches."""

MAX_BATCHES = 500
"""Batches of a session; larger files get larger batches."""

MAX_USERS = 250_000
"""Users that a server takes in a request, unless it is set to take fewer (AUDIENCE_MAX_USERS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Batches of `batch_size` users, the last one aside; sequences are 1 to `total_batches`."""

    batch_size: int
    total_batches: int
    total_users: int

    def users_of(self, sequence: int) -> int:
        """Return how many users a batch has."""
        if sequence < self.total_batches:
            return self.batch_size
        return self.total_users - (self.total_batches - 1) * self.batch_size

    @property
    def sequences(self) -> Sequence[int]:
        """All sequences, in order."""
        return range(1, self.total_batches + 1)


def make_plan(file: str, users: int, batch_size: int | None = None) -> Plan:
    """Return the plan for so many users. Raises FileError where there is nobody to send, or more than a session takes.

    A stated size stands; it is refused where it makes more batches than a session may have.
    """
    if users < 1:
        raise FileError(file, "has nobody to upload; look at the mapping, and at what was left out")
    if users > MAX_USERS * MAX_BATCHES:
        problem = f"has {users:,} users, and an upload has at most {MAX_USERS * MAX_BATCHES:,}; cut it into several"
        raise FileError(file, problem)
    least = -(-users // MAX_BATCHES)
    if batch_size is None:
        batch_size = max(BATCH, least)
    elif batch_size > MAX_USERS:
        raise InputError(f"--batch-size: a server takes at most {MAX_USERS:,} users at once")
    elif batch_size < least:
        raise InputError(f"--batch-size: {users:,} users would be more than {MAX_BATCHES} batches; say at least {least}")
    return Plan(batch_size=batch_size, total_batches=-(-users // batch_size), total_users=users)
