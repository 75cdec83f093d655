"""What an account has yet to do, as the view has it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records that an account is not through with, the oldest first: when each came, and how many users up to it."""

    read_at: datetime
    came: Sequence[datetime]
    users: Sequence[int]

    @classmethod
    def of(cls, records: Iterable[tuple[int, int]], read_at: datetime) -> "Backlog":
        """Return that of records, each by its time in milliseconds and its users."""
        times, users = [], []
        for time, count in records:
            times.append(datetime.fromtimestamp(time / 1000, UTC))
            users.append(count)
        return cls(read_at, times, list(accumulate(users)))

    def until(self, time: datetime) -> int:
        """Return how many users are in records that came up to a time."""
        position = bisect_right(self.came, time)
        return self.users[position - 1] if position else 0
