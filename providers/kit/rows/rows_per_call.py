"""The rows of one call: a batch's rows cut to what a call may hold, and into halves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    start, size = 0, 0
    for position, row in enumerate(made.rows):
        cost = len(row) + 1
        if position > start and (size + cost > limits.body or position - start == limits.rows):
            yield RowGroup(made.rows[start:position], made.indexes[start:position])
            start, size = position, 0
        size += cost
    if made.rows:
        yield RowGroup(made.rows[start:], made.indexes[start:])
