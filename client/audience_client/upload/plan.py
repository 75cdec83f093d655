"""How an upload is cut into batches, known before the first of them is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from audience_client.columns.mapping import ColumnMapping
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


MAX_BYTES = 48 << 20
"""Bytes of a batch's users; a server takes requests of 64 MiB, unless it is set otherwise (AUDIENCE_MAX_BODY)."""

_AROUND = 8
"""Bytes around a member of a user besides its name and value, and a few."""


def bytes_of_user(mapping: ColumnMapping) -> int:
    """Return about how many bytes of JSON a user has, by the first rows; at least one."""
    fields = {field: columns[0] for field, columns in mapping.fields.items()}
    names = sum(len(field) + _AROUND for field in fields)
    values = sum(len(row[column].encode(errors="replace")) for row in mapping.samples for column in fields.values())
    return 1 + names + values // max(1, len(mapping.samples))


def make_plan(file: str, users: int, batch_size: int | None = None, user_bytes: int = 1) -> Plan:
    """Return the plan for so many users of about so many bytes each.

    A stated size stands. Raises FileError where there is nobody to send or more than a session takes, InputError where
    a stated size is too small or too large for that.
    """
    least = -(-users // MAX_BATCHES)
    most = min(MAX_USERS, MAX_BYTES // user_bytes)
    if users < 1:
        raise FileError(file, "has nobody to upload; look at the mapping, and at what was left out")
    if least > most:
        problem = f"has {users:,} users, and of such ones an upload takes {most * MAX_BATCHES:,} at most"
        raise FileError(file, f"{problem}; cut it into several files")
    if batch_size is None:
        batch_size = max(least, min(BATCH, most))
    elif batch_size > most:
        raise InputError(f"--batch-size: a server takes about {most:,} of such users at once; say fewer")
    elif batch_size < least:
        raise InputError(f"--batch-size: an upload has at most {MAX_BATCHES} batches; say {least:,} or more")
    return Plan(batch_size=batch_size, total_batches=-(-users // batch_size), total_users=users)
