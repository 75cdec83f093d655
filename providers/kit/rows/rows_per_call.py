"""The rows of one call: a batch's rows cut to what a call may hold, and into halves."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from providers.kit.call_limits import Limits
from providers.kit.rows.users_to_rows import Rows


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows for one call."""

    rows: Sequence[msgspec.Raw]
    indexes: Sequence[int]

    def chosen(self, positions: Iterable[int]) -> "RowGroup":
        """Return the rows at these positions; those of a range are not copied where they are all there are."""
        if isinstance(positions, range):
            part = slice(positions.start, positions.stop)
            return RowGroup(self.rows[part], self.indexes[part])
        chosen = list(positions)
        return RowGroup([self.rows[one] for one in chosen], [self.indexes[one] for one in chosen])

    def halves(self) -> "tuple[RowGroup, RowGroup]":
        """Return the first and the second half of two rows or more."""
        middle = len(self.rows) // 2
        return (
            RowGroup(self.rows[:middle], self.indexes[:middle]),
            RowGroup(self.rows[middle:], self.indexes[middle:]),
        )


def group_rows(made: Rows, limits: Limits) -> Iterator[RowGroup]:
    """Cut rows into groups, in order, none empty, each within the limits of one call."""
    lengths = list(accumulate(map(len, made.rows), initial=0))
    start, end = 0, len(made.rows)
    while start < end:
        room = lengths[start] + start + limits.body
        fitting = bisect_right(range(end), room, start, key=lambda at: lengths[at + 1] + at + 1)
        stop = max(start + 1, min(start + limits.rows, fitting))
        yield RowGroup(made.rows[start:stop], made.indexes[start:stop])
        start = stop
