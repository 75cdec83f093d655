"""From users to groups of rows that keep a platform's limits."""

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import msgspec
import structlog

from providers.base import AnyProvider, Limits, Rejection
from schemas.records import AudienceUser

log = structlog.get_logger()

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Rows:
    """The rows of a batch as JSON, the index of the user that each came from, and who made none."""

    rows: list[msgspec.Raw] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows for one call."""

    rows: Sequence[msgspec.Raw]
    indexes: Sequence[int]

    def chosen(self, positions: Iterable[int]) -> "RowGroup":
        """Return the rows at these positions."""
        places = list(positions)
        return RowGroup([self.rows[place] for place in places], [self.indexes[place] for place in places])

    def halves(self) -> "tuple[RowGroup, RowGroup]":
        """Return the first and the second half of two rows or more."""
        middle = len(self.rows) // 2
        return (
            RowGroup(self.rows[:middle], self.indexes[:middle]),
            RowGroup(self.rows[middle:], self.indexes[middle:]),
        )


def make_rows(
    provider: AnyProvider, users: Iterable[tuple[int, AudienceUser]], *, with_attributes: bool = True, step: int = 250
) -> Iterator[Rows]:
    """Turn users into rows; yields the same growing Rows after each `step` users, for others to have a turn.

    Each user comes with its index in the request. One that makes the row function raise is rejected as `bug`, the
    others are not touched by it. Without attributes rows are bare.
    """
    made = Rows()
    bugs: Counter[str] = Counter()
    row_of = provider.row if with_attributes else provider.bare_row
    numbered = iter(users)
    while some := list(islice(numbered, step)):
        for index, user in some:
            _add(made, bugs, provider.limits, index, partial(row_of, user))
        yield made
    for place, count in bugs.items():
        log.error("The row function failed.", provider=provider.name, at=place, users=count, action="reject")


def _add(made: Rows, bugs: Counter[str], limits: Limits, index: int, make: Callable[[], object]) -> None:
    try:
        row = make()
        raw = row if isinstance(row, Rejection) else msgspec.Raw(_encoder.encode(row))
    except Exception as error:
        bugs[place_of(error)] += 1
        raw = Rejection(None, "bug")
    if not isinstance(raw, Rejection) and limits.row is not None and len(raw) > limits.row:
        raw = Rejection(None, "too_large")
    if isinstance(raw, Rejection):
        made.rejected.append((index, raw))
    else:
        made.rows.append(raw)
        made.indexes.append(index)


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised; never its message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))])


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
