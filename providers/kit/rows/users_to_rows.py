"""From users to a platform's rows: in bulk where no value needs a second look, else one by one, in slices of time."""

import time
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import structlog

from providers.kit.phones.plan_preparation import prepared
from providers.kit.provider import AnyProvider, Provider
from providers.kit.rows.bulk.row_maker import BulkRows, MakeMany, no_rows
from providers.kit.rows.bulk.time_slice import TimeSlice
from providers.kit.rows.rejection_reasons import IDENTIFIERS, Rejection, reason_of, rejection_of
from providers.kit.rows.template_interpreter import Made
from schemas.records import AudienceUser
from schemas.repairs.users import Repaired, repair
from schemas.tracebacks import place_of

log = structlog.get_logger()

_encoder = msgspec.json.Encoder()

NOBODY = AudienceUser(
    edge_tag_id="edge-0",
    email="nobody@example.com",
    phone="+0",
    first_name="No",
    last_name="Body",
    country="us",
    postal_code="0",
)
FEW, MANY = 25, 250
"""Users whose rows are made in bulk: few at first, then as many as a slice of time has room for, within these."""

FILLED = 0.7
"""How much of a slice rows in bulk are to take: what is behind its end is made one by one, at many times the cost."""


@dataclass(slots=True)
class Rows:
    """The rows of a batch as JSON, the index of the user that each came from, and who made none.

    `repaired` counts values of rows by `field: kind`, `dropped` those that rows lack by `field: reason`. Indexes are in
    an array, which the collector of cycles never goes through.
    """

    rows: list[msgspec.Raw] = field(default_factory=list)
    indexes: MutableSequence[int] = field(default_factory=partial(array, "q"))
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def make_rows(
    provider: AnyProvider,
    users: Iterable[tuple[int, AudienceUser]],
    *,
    with_attributes: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Rows]:
    """Turn users into rows. Yields the same growing Rows after each slice of time, for other tasks to run.

    Each user comes with its index in the request, and is repaired before the platform's rules. One that makes the
    row function raise is rejected as `bug`, which does not touch the others. Without attributes rows are bare.
    """
    making = _Making(
        make=row_function(provider, with_attributes=with_attributes),
        make_many=bulk_function(provider, with_attributes=with_attributes),
        most=provider.limits.row,
        lost=None if with_attributes else IDENTIFIERS,
    )
    return _in_slices(provider, making, users, clock)


def make_removal_rows(
    provider: AnyProvider,
    users: Iterable[tuple[int, AudienceUser]],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Rows]:
    """Turn users into rows of a removal, as `make_rows` does into those of an addition.

    Only values that such rows are made of are counted as repaired or dropped. Raises RejectError(`cannot_remove`) where
    the platform takes nobody out.
    """
    most = provider.removal_limits.row
    if provider.has_own_removal_rows():
        making = _Making(make=_own_rows(provider.removal_row), make_many=no_rows, most=most, seen=IDENTIFIERS)
        return _in_slices(provider, making, users, clock)
    maker = provider.removal_maker
    seen = {field for column in maker.columns for field in column.fields}
    making = _Making(make=maker.make, make_many=maker.make_many, most=most, seen=seen)
    return _in_slices(provider, making, users, clock)


def _in_slices(
    provider: AnyProvider, making: "_Making", users: Iterable[tuple[int, AudienceUser]], clock: Callable[[], float]
) -> Iterator[Rows]:
    """Yield growing rows.

    1. Compile the numbering plans that users' numbers need. 2. Make rows in bulk, of fewer users where that takes long.
    3. Make the rows of the others, whose values need a second look, one by one.
    """
    time_slice, numbered, count = TimeSlice(clock), iter(users), FEW
    while some := list(islice(numbered, count)):
        alone = [user for _, user in some]
        for _ in prepared(alone, provider.settings.default_region):
            yield making.made
            time_slice.begin()
        ordinary = making.make_many(alone, time_slice.is_over)
        count = next_count(count, time_slice.part_gone())
        for _ in making.add_all(some, ordinary, time_slice):
            yield making.made
        yield making.made
        time_slice.begin()
    for place, count in making.bugs.items():
        log.error("The row function failed.", provider=provider.name, at=place, users=count, action="reject")


def next_count(count: int, part_gone: float) -> int:
    """Return of how many users rows are made next, after those of so many took a part of a slice.

    Half as many at least, twice as many at most: what once took longer may have waited for the processor.
    """
    fitting = min(2 * count, max(count / 2, count * FILLED / part_gone)) if part_gone else 2 * count
    return max(FEW, min(MANY, round(fitting)))


def warm_up(provider: AnyProvider, *, with_attributes: bool) -> None:
    """Make beforehand what all rows need and what is made only once: tables, patterns, the template's code."""
    for _ in prepared([NOBODY], provider.settings.default_region):
        pass
    for user in (NOBODY, msgspec.structs.replace(NOBODY, email="nobody@bücher.example.com")):
        repair(user)
        bulk_function(provider, with_attributes=with_attributes)([user])


def row_function(provider: AnyProvider, *, with_attributes: bool) -> Callable[[AudienceUser], Made]:
    """Return what makes a provider's rows: its template, unless the class has row methods of its own."""
    if _is_template_alone(provider):
        return provider.maker.make if with_attributes else provider.bare_maker.make
    return _own_rows(provider.row if with_attributes else provider.bare_row, provider.left_out)


def _nothing_lost(user: AudienceUser, row: object) -> Iterable[Rejection]:
    del user, row
    return ()


def _own_rows(
    row_of: Callable[[AudienceUser], object],
    left_out: Callable[[AudienceUser, Any], Iterable[Rejection]] = _nothing_lost,
) -> Callable[[AudienceUser], Made]:
    def make(user: AudienceUser) -> Made:
        row = row_of(user)
        return row, () if isinstance(row, Rejection) else list(left_out(user, row))

    return make


def bulk_function(provider: AnyProvider, *, with_attributes: bool) -> MakeMany:
    """Return what makes rows in bulk, None for users to be looked at one by one: all, if the class has row methods."""
    if _is_template_alone(provider):
        return provider.maker.make_many if with_attributes else provider.bare_maker.make_many
    return no_rows


def _is_template_alone(provider: AnyProvider) -> bool:
    """Tell whether the template alone makes a provider's rows and says what they lack."""
    own, common = type(provider), Provider
    return own.is_declared() and own.bare_row is common.bare_row and own.left_out is common.left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """Rows in the making, and where row functions raised."""

    make: Callable[[AudienceUser], Made]
    make_many: MakeMany
    most: int | None
    """Bytes of one row."""

    lost: Container[str] | None = None
    """Fields that count as dropped where rows lack them; None: all. Bare rows lack others on purpose."""

    seen: Container[str] | None = None
    """Fields that rows are made of, whose repairs are counted; None: all."""

    made: Rows = field(default_factory=Rows)
    bugs: Counter[str] = field(default_factory=Counter)

    def add_all(
        self, users: Sequence[tuple[int, AudienceUser]], ordinary: BulkRows, time_slice: TimeSlice
    ) -> Iterator[None]:
        """Add users' rows, those that are made already and those that are not; yields when a slice of time is over."""
        for (index, user), row in zip(users, ordinary, strict=True):
            if row is None or (self.most is not None and len(row) > self.most):
                if time_slice.is_over():
                    yield
                    time_slice.begin()
                self.add(index, user)
            else:
                self.made.rows.append(row)
                self.made.indexes.append(index)

    def add(self, index: int, user: AudienceUser) -> None:
        """Add a user's row, or why there is none."""
        made, repaired = self.made, repair(user)
        try:
            row, left_out = self.make(repaired.user)
            if isinstance(row, Rejection):
                made.rejected.append((index, rejection_of(row, repaired.dropped)))
                return
            raw = _encoder.encode(row)
        except Exception as error:
            self.bugs[place_of(error)] += 1
            made.rejected.append((index, Rejection(None, "bug")))
            return
        if self.most is not None and len(raw) > self.most:
            made.rejected.append((index, Rejection(None, "too_large")))
            return
        made.rows.append(msgspec.Raw(raw))
        made.indexes.append(index)
        if left_out or repaired.repaired or repaired.dropped:
            self._count(repaired, left_out)

    def _count(self, repaired: Repaired, left_out: Iterable[Rejection]) -> None:
        """Count what was repaired and what a row lacks, except what a bare one lacks on purpose."""
        lacking = [one for one in left_out if self.lost is None or one.field in self.lost]
        lost = tuple(f"{one.field}: " for one in lacking)
        kinds = (kind for kind in repaired.repaired if self._is_seen(kind.partition(":")[0]))
        self.made.repaired.update(kind for kind in kinds if not kind.startswith(lost))
        dropped = (Rejection(*fault) for fault in repaired.dropped if self._is_seen(fault[0]))
        self.made.dropped.update(map(reason_of, (*lacking, *dropped)))

    def _is_seen(self, field: str) -> bool:
        return self.seen is None or field in self.seen
