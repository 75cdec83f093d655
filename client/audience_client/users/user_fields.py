"""Columns of cells as columns of fields, and the users made of those."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from typing import Any

import msgspec

from audience_client.columns.full_names import split_name
from audience_client.columns.header_names import Field
from audience_client.columns.mapping import ColumnMapping

User = Any
"""A struct that is made for the fields of one mapping; empty ones are left out of its JSON."""

Cells = Sequence[str]

PLAIN_NUMBER = re.compile(r"\s*-?\d{1,15}(\.\d{1,15})?\s*")
"""Amounts; anything with signs or separators may mean two things."""

AMOUNTS: tuple[Field, ...] = ("purchase.profit", "purchase.total7Days")
_PURCHASE = (*AMOUNTS, "purchase.currency")


class UserMaker:
    """Makes users of rows that hold the wanted columns."""

    def __init__(self, mapping: ColumnMapping, wanted: Sequence[int], country: str | None) -> None:
        self._positions: Mapping[Field, tuple[int, ...]] = {
            field: tuple(map(wanted.index, columns)) for field, columns in mapping.fields.items()
        }
        self._country = country
        simple = [field for field in self._positions if field not in (*_PURCHASE, "name")]
        split = ("firstName", "lastName") if "name" in self._positions else ()
        self._names = tuple(dict.fromkeys((*simple, *split, *(("country",) if country else ()))))
        self._has_purchases = any(field in self._positions for field in AMOUNTS)
        self._type = _user_type(self._names, has_purchases=self._has_purchases)
        straight = tuple((position,) for position in range(len(wanted)))
        self._is_straight = tuple(self._positions.get(field) for field in self._names) == straight and not country

    def make(self, rows: Sequence[Cells]) -> list[User]:
        """Return the user of each row."""
        if self._is_straight:
            return list(starmap(self._type, rows))
        cells = list(zip(*rows, strict=True))
        if not cells:
            return [self._type() for _ in rows]
        columns: list[Iterable[object]] = [self._column(name, cells) for name in self._names]
        if self._has_purchases:
            columns.append(self._purchases(cells))
        return list(map(self._type, *columns))

    def _column(self, name: Field, cells: Sequence[Cells]) -> Cells:
        given = [cells[position] for position in self._positions.get(name, ())]
        if "name" in self._positions and name in ("firstName", "lastName"):
            return self._with_names(name, given, cells)
        column = first_filled(given) if given else [""] * len(cells[0])
        if name == "country" and self._country:
            return [value if value and not value.isspace() else self._country for value in column]
        return column

    def _with_names(self, name: Field, given: Sequence[Cells], cells: Sequence[Cells]) -> Cells:
        """Return first or last names: of a full name where a user has neither in columns of their own."""
        full = first_filled([cells[position] for position in self._positions["name"]])
        others = [cells[position] for field in ("firstName", "lastName") for position in self._positions.get(field, ())]
        own = first_filled(given) if given else [""] * len(full)
        part = 0 if name == "firstName" else 1
        if not others:
            return [split_name(value)[part] for value in full]
        return [
            kept if has_own else split_name(value)[part]
            for kept, has_own, value in zip(own, first_filled(others), full, strict=True)
        ]

    def _purchases(self, cells: Sequence[Cells]) -> Iterator[object]:
        columns = [
            first_filled([cells[position] for position in self._positions.get(field, ())]) for field in _PURCHASE
        ]
        size = len(cells[0])
        for profit, last_days, currency in zip(*(column or [""] * size for column in columns), strict=True):
            yield _purchase(profit.strip(), last_days.strip(), currency)


def first_filled(columns: Sequence[Cells]) -> Cells:
    """Return of each row the first cell that holds more than blanks, and its last one where none does."""
    if not columns:
        return ()
    found = columns[-1]
    for column in columns[-2::-1]:
        found = [cell if cell and not cell.isspace() else other for cell, other in zip(column, found, strict=True)]
    return found


class Purchase(msgspec.Struct, omit_defaults=True, gc=False, rename={"last_days": "total7Days"}):
    """What a customer spent; the digits are those of the file."""

    currency: str = ""
    profit: msgspec.Raw | None = None
    last_days: msgspec.Raw | None = None


def _purchase(profit: str, last_days: str, currency: str) -> Purchase | None:
    if not profit and not last_days:
        return None
    return Purchase(currency, _number(profit), _number(last_days))


def _number(text: str) -> msgspec.Raw | None:
    """Return a plain number as JSON, which has no zeros before it."""
    if not text:
        return None
    sign = "-" if text.startswith("-") else ""
    whole, point, decimals = text.removeprefix("-").partition(".")
    return msgspec.Raw(f"{sign}{whole.lstrip('0') or '0'}{point}{decimals}".encode())


def _user_type(names: Sequence[Field], *, has_purchases: bool) -> Callable[..., User]:
    fields: list[tuple[str, Any, Any]] = [(name, str, "") for name in names]
    if has_purchases:
        fields.append(("purchase", Purchase | None, None))
    return msgspec.defstruct("User", fields, omit_defaults=True, gc=False)
