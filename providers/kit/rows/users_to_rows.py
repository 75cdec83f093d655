"""From users to a platform's rows: repaired, made at once where that is possible, in slices of time."""

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
from providers.kit.rows.bulk.time_slice import Turn
from providers.kit.rows.interpreter import Made
from providers.kit.rows.rejection_reasons import IDENTIFIERS, Rejection, reason_of, rejection_of
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
"""Users whose rows are made at once: few at first and where that takes longer than a turn, many otherwise."""


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
    """Turn users into rows; yields the same growing Rows after each turn, for others to have theirs.

    Each user comes with its index in the request, and is repaired before the platform's rules. One that makes the
    row function raise is rejected as `bug`, the others are not touched by it. Without attributes rows are bare.
    """
    making = _Making(
        make=row_function(provider, with_attributes=with_attributes),
        make_many=bulk_function(provider, with_attributes=with_attributes),
        most=provider.limits.row,
        lost=None if with_attributes else IDENTIFIERS,
    )
    return _in_turns(provider, making, users, clock)


def make_removal_rows(
    provider: AnyProvider,
    users: Iterable[tuple[int, AudienceUser]],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Rows]:
    """Turn users into rows of a removal, as `make_rows` does into those of an addition; only what they have is told of.

    Raises RejectError(`cannot_remove`) where the platform takes nobody out.
    """
    most = provider.removal_limits.row
    if provider.has_own_removal_rows():
        making = _Making(make=_by_hand(provider.removal_row), make_many=no_rows, most=most, seen=IDENTIFIERS)
        return _in_turns(provider, making, users, clock)
    maker = provider.removal_maker
    seen = {field for column in maker.columns for field in column.fields}
    making = _Making(make=maker.make, make_many=maker.make_many, most=most, seen=seen)
    return _in_turns(provider, making, users, clock)


def _in_turns(
    provider: AnyProvider, making: "_Making", users: Iterable[tuple[int, AudienceUser]], clock: Callable[[], float]
) -> Iterator[Rows]:
    """Yield growing rows.

    1. What users' numbers need is compiled. 2. Rows are made at once, of fewer users where that takes long. 3. Those
    that need a second look are made one by one.
    """
    turn, numbered, count = Turn(clock), iter(users), FEW
    while some := list(islice(numbered, count)):
        alone = [user for _, user in some]
        for _ in prepared(alone, provider.settings.default_region):
            yield making.made
            turn.begin()
        ordinary = making.make_many(alone, turn.is_over)
        count = max(FEW, count // 2) if turn.is_over() else min(MANY, 2 * count)
        for _ in making.add_all(some, ordinary, turn):
            yield making.made
        yield making.made
        turn.begin()
    for place, count in making.bugs.items():
        log.error("The row function failed.", provider=provider.name, at=place, users=count, action="reject")


def warm_up(provider: AnyProvider, *, with_attributes: bool) -> None:
    """Make what all rows need and what is made but once: tables, patterns, the template's code."""
    for _ in prepared([NOBODY], provider.settings.default_region):
        pass
    for user in (NOBODY, msgspec.structs.replace(NOBODY, email="nobody@bücher.example.com")):
        repair(user)
        bulk_function(provider, with_attributes=with_attributes)([user])


def row_function(provider: AnyProvider, *, with_attributes: bool) -> Callable[[AudienceUser], Made]:
    """Return what makes a provider's rows: its template, unless it has none or any of its row functions is by hand."""
    if _is_by_template(provider):
        return provider.maker.make if with_attributes else provider.bare_maker.make
    return _by_hand(provider.row if with_attributes else provider.bare_row, provider.left_out)


def _nothing_lost(user: AudienceUser, row: object) -> Iterable[Rejection]:
    del user, row
    return ()


def _by_hand(
    row_of: Callable[[AudienceUser], object],
    left_out: Callable[[AudienceUser, Any], Iterable[Rejection]] = _nothing_lost,
) -> Callable[[AudienceUser], Made]:
    def make(user: AudienceUser) -> Made:
        row = row_of(user)
        return row, () if isinstance(row, Rejection) else list(left_out(user, row))

    return make


def bulk_function(provider: AnyProvider, *, with_attributes: bool) -> MakeMany:
    """Return what makes the ordinary ones of many rows at once, with None for each other; none where any is by hand."""
    if _is_by_template(provider):
        return provider.maker.make_many if with_attributes else provider.bare_maker.make_many
    return no_rows


def _is_by_template(provider: AnyProvider) -> bool:
    """Tell whether a template says all of a provider's rows."""
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
    """Fields that are told of where rows lack them; None: all, as what is left out on purpose is not lost."""

    seen: Container[str] | None = None
    """Fields that rows are made of, whose repairs are told; None: all."""

    made: Rows = field(default_factory=Rows)
    bugs: Counter[str] = field(default_factory=Counter)

    def add_all(self, users: Sequence[tuple[int, AudienceUser]], ordinary: BulkRows, turn: Turn) -> Iterator[None]:
        """Add users' rows, those that are made already and those that are not; yields when a turn is over."""
        for (index, user), row in zip(users, ordinary, strict=True):
            if row is None or (self.most is not None and len(row) > self.most):
                if turn.is_over():
                    yield
                    turn.begin()
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
        """Count what was repaired and what a row lacks; a bare one lacks attributes on purpose."""
        lacking = [one for one in left_out if self.lost is None or one.field in self.lost]
        lost = tuple(f"{one.field}: " for one in lacking)
        kinds = (kind for kind in repaired.repaired if self._is_seen(kind.partition(":")[0]))
        self.made.repaired.update(kind for kind in kinds if not kind.startswith(lost))
        dropped = (Rejection(*fault) for fault in repaired.dropped if self._is_seen(fault[0]))
        self.made.dropped.update(map(reason_of, (*lacking, *dropped)))

    def _is_seen(self, field: str) -> bool:
        return self.seen is None or field in self.seen
