"""Which part of an account's pace a process may use: that of the partitions that it holds."""

from collections.abc import Set as AbstractSet


def share_of(held: AbstractSet[int], count: int) -> float:
    """Return the share of a process that holds these of so many partitions, from above 0 to 1.

    All processes together have 1. A partition beyond the count was added since that was asked for. Who holds none
    has a share as of one, for what was in hand before.
    """
    there_are = max(count, max(held, default=0) + 1)
    return max(1, len(held)) / there_are
