"""Rows in bulk: a template compiled to code that goes by column, for all users who need no second look."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from providers.kit.rows.bulk.column_cells import CellsOf, column_cells, currency_guard, guard, hidden_cells
from providers.kit.rows.bulk.row_source import Frame, row_writer
from providers.kit.rows.bulk.time_slice import never_over
from providers.kit.rows.bulk.user_columns import Cells, UserColumns, by_column
from providers.kit.rows.columns import REPEATED, Column, RowTemplate
from providers.kit.settings import AccountSettings
from schemas.records import AudienceUser

BulkRows = Sequence[msgspec.Raw | None]


class MakeMany(Protocol):
    """Makes rows in bulk, None for users who are deferred, as those are whose values come up when the slice is over."""

    def __call__(self, users: Sequence[AudienceUser], is_over: Callable[[], bool] = never_over) -> BulkRows:
        """Return a row or None for each user."""


def bulk_maker(
    template: RowTemplate, columns: Sequence[Column], settings: AccountSettings, *, with_attributes: bool
) -> MakeMany:
    """Return the function that makes rows of those users of whom nothing is to be counted but the row.

    Such a row is to the byte the one that `RowMaker.make` leads to. None stands for a user who is deferred: whose row
    is to be made by itself, as values of it are to be repaired or dropped, or the user rejected.

    1. Make the cells of every column, and look at the fields that go to none; a provider's own functions come last, and
    see no user who is to be repaired. 2. Defer users who have only a part of what goes whole, and users who have no
    group of columns that makes a row. 3. Write the cells into rows.
    """
    if not columns:
        return no_rows
    position = {column: index for index, column in enumerate(columns)}
    writer = row_writer(template.row, position)
    as_they_are = any(column.value is not None for column in columns)
    guards = list(_guards(columns, with_attributes=with_attributes, as_they_are=as_they_are))
    cells_of = [
        hidden_cells(one, settings)
        if one.is_attribute and not with_attributes
        else column_cells(one, settings, writer.frames.get(one, Frame()), as_they_are=as_they_are)
        for one in columns
    ]
    order = sorted(range(len(columns)), key=lambda index: columns[index].value is not None)
    wholes = [[position[one] for one in whole] for whole in template.wholes if position.keys() >= set(whole)]
    groups = [[position[one] for one in group] for group in template.usable if position.keys() >= set(group)]

    def make(users: Sequence[AudienceUser], is_over: Callable[[], bool] = never_over) -> BulkRows:
        if not users:
            return ()
        by_field = by_column(users, is_over, as_they_are=as_they_are)
        for look in guards:
            by_field.defer(look(by_field))
        cells: list[Cells] = [()] * len(cells_of)
        for index in order:
            cells[index] = cells_of[index](by_field)
            by_field.defer(cells[index])
        for whole in wholes:
            _defer_halves([cells[index] for index in whole], by_field)
        _defer_useless([[cells[index] for index in group] for group in groups], by_field)
        return _raw(writer.write(*cells), by_field.deferred)

    return make


def no_rows(users: Sequence[AudienceUser], is_over: Callable[[], bool] = never_over) -> BulkRows:
    """Make no row in bulk."""
    del is_over
    return [None] * len(users)


def _guards(columns: Sequence[Column], *, with_attributes: bool, as_they_are: bool) -> Iterator[CellsOf]:
    shown = {
        column.field for column in columns if column.value is None and (with_attributes or not column.is_attribute)
    }
    yield from (guard(field, as_they_are=as_they_are) for field in sorted(REPEATED - shown))
    yield currency_guard()


def _defer_halves(cells: Sequence[Cells], users: UserColumns) -> None:
    """Defer users who have only a part of what goes together or not at all."""
    if not all(map(all, cells)):
        users.deferred.update(
            index for index, whole in enumerate(zip(*cells, strict=True)) if any(whole) and not all(whole)
        )


def _defer_useless(groups: Sequence[Sequence[Cells]], users: UserColumns) -> None:
    """Defer users who have no group of columns that makes a row."""
    if any(all(group[0]) for group in groups if len(group) == 1):
        return
    whole = [map(all, zip(*group, strict=True)) for group in groups]
    is_usable = map(any, zip(*whole, strict=True)) if whole else [False] * len(users.users)
    users.deferred.update(index for index, usable in enumerate(is_usable) if not usable)


def _raw(rows: Sequence[str], deferred: set[int]) -> BulkRows:
    raw: list[msgspec.Raw | None] = [msgspec.Raw(row if row.isascii() else row.encode()) for row in rows]
    for index in deferred:
        raw[index] = None
    return raw
