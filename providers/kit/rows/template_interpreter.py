"""The interpreter of templates: it compiles one for an account, makes rows and says what they lack."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from providers.kit.rows.bulk.row_maker import bulk_maker
from providers.kit.rows.columns import FIELDS, PURCHASE, REPEATED, TEXTS, Column, RowTemplate
from providers.kit.rows.normalisers import LONGEST_REMEMBERED, REMEMBERED
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.row_json import EMPTY, NOTHING, Values, builder, reader
from providers.kit.rows.rule_chain import Finish, fault_of, finisher
from providers.kit.settings import AccountSettings
from schemas.countries import alpha_2
from schemas.records import AudienceUser

_Cell = Callable[[AudienceUser, str | None], object]

Made = tuple[object, Sequence[Rejection]]
"""A user's row, or why there is none, and which values the row lacks, each with the reason."""


class _TextColumn(NamedTuple):
    """A column whose text may be left out: its position, and what says why a text is left out."""

    position: int
    field: str
    text: Callable[[AudienceUser], str | None]
    fault: Callable[[str, str | None], str | None]


class RowMaker:
    """A template, compiled for one account's settings; of bare rows where attributes are left out.

    `make` is pure. `make_many` makes at once those rows that need no second look, as JSON, and leaves the others to it.
    `columns` are those that are switched on, in the row's order, `names` what the platform calls them.
    """

    def __init__(self, template: RowTemplate, settings: AccountSettings, *, with_attributes: bool = True) -> None:
        self.template = template
        self.columns = columns = _switched_on(template, settings)
        self.names = tuple(column.name for column in columns)
        self.make = _maker(template, columns, settings, with_attributes=with_attributes)
        self.make_many = bulk_maker(template, columns, settings, with_attributes=with_attributes)
        self._read = reader(template.row, columns)

    def identifiers(self, row: object) -> list[str]:
        """Return the names of the identifiers that a row has, as it was made or as it was read from JSON."""
        return list(dict.fromkeys(name for name, _ in self._read(row)))

    def identifying(self, row: object) -> list[tuple[str, object]]:
        """Return the identifiers that a row has, each by its name and as the platform knows it."""
        return list(self._read(row))


def _switched_on(template: RowTemplate, settings: AccountSettings) -> list[Column]:
    columns = dict.fromkeys(column for _, column in template.column_paths)
    return [column for column in columns if column.when is None or column.when.holds(settings)]


def _maker(
    template: RowTemplate, columns: Sequence[Column], settings: AccountSettings, *, with_attributes: bool
) -> Callable[[AudienceUser], Made]:
    """Return the function that makes a row.

    1. Make every column's cell, also of a bare row's attributes where their function may reject. 2. Empty what goes
    whole or not at all where a part is missing. 3. Reject users who have no group of columns that makes a row, then
    those whom a column's function rejects. 4. Put the cells into the row. 5. Return the texts that came to nothing.
    """
    position = {column: index for index, column in enumerate(columns)}
    hidden = [column for column in columns if column.is_attribute and not with_attributes]
    cells = [_no_cell if one in hidden and one.value is None else _cell(one, settings) for one in columns]
    groups = [[position[one] for one in group] for group in template.usable if position.keys() >= set(group)]
    is_usable = _usable(groups)
    wholes = [[position[one] for one in whole] for whole in template.wholes if position.keys() >= set(whole)]
    texts = [_text_column(position[column], column, settings) for column in columns if column.is_text]
    rejects = [one for column in template.rejects for one in texts if one.position == position.get(column)]
    computed = [position[column] for column in columns if column.value is not None]
    emptied = [position[column] for column in hidden if column.value is not None]
    left_out = _left_out([one for one in texts if columns[one.position] not in hidden], _shared(columns))
    build = builder(template.row, position)

    def make(user: AudienceUser) -> Made:
        country = alpha_2(user.country) if user.country else None
        values = [cell(user, country) for cell in cells]
        has_gaps = EMPTY in values
        if has_gaps and wholes:
            _empty_halves(values, wholes)
        if (has_gaps or not groups) and not is_usable(values):
            return _rejection(user, country, rejects), ()
        for index in computed:
            if isinstance(value := values[index], Rejection):
                return value, ()
        for index in emptied:
            values[index] = EMPTY
        return build(values), left_out(user, country, values) if has_gaps else ()

    return make


def _empty_halves(values: Values, wholes: Sequence[Sequence[int]]) -> None:
    """Empty what is not there whole, but keep the rejections of users."""
    for whole in wholes:
        if any(values[one] == EMPTY for one in whole):
            for one in whole:
                values[one] = values[one] if isinstance(values[one], Rejection) else EMPTY


def _usable(groups: Sequence[Sequence[int]]) -> Callable[[Values], bool]:
    singles = [group[0] for group in groups if len(group) == 1]
    several = [group for group in groups if len(group) > 1]

    def is_usable(values: Values) -> bool:
        for single in singles:
            if values[single] != EMPTY:
                return True
        return any(all(values[one] != EMPTY for one in group) for group in several)

    return is_usable


def _rejection(user: AudienceUser, country: str | None, rejects: Iterable[_TextColumn]) -> Rejection:
    for one in rejects:
        if (text := one.text(user)) and (fault := one.fault(text, country)):
            return Rejection(one.field, fault)
    return Rejection(None, "no_identifier")


def _shared(columns: Sequence[Column]) -> Mapping[str, Sequence[int]]:
    """Return the indexes of the columns of each text that goes to several."""
    positions = {field: [index for index, one in enumerate(columns) if one.field == field] for field in TEXTS}
    return {field: indexes for field, indexes in positions.items() if len(indexes) > 1}


def _left_out(
    texts: Sequence[_TextColumn], shared: Mapping[str, Sequence[int]]
) -> Callable[[AudienceUser, str | None, Values], Sequence[Rejection]]:
    """Return the function that says, once for each text that reached no column, why its first column is empty."""

    def left_out(user: AudienceUser, country: str | None, values: Values) -> Sequence[Rejection]:
        lacking = [one for one in texts if values[one.position] == EMPTY]
        if lacking and shared:
            lacking = [one for one in lacking if all(values[index] == EMPTY for index in shared.get(one.field, ()))]
        return _losses(user, country, lacking) if lacking else ()

    return left_out


def _losses(user: AudienceUser, country: str | None, lacking: Iterable[_TextColumn]) -> Sequence[Rejection]:
    found: dict[str, Rejection] = {}
    for one in lacking:
        text = one.text(user)
        if text and text.strip() and one.field not in found and (fault := one.fault(text, country)):
            found[one.field] = Rejection(one.field, fault)
    return list(found.values())


def _text_column(position: int, column: Column, settings: AccountSettings) -> _TextColumn:
    return _TextColumn(position, column.field or "", attrgetter(FIELDS[column.field or ""]), fault_of(column, settings))


def _no_cell(user: AudienceUser, country: str | None) -> object:
    del user, country
    return EMPTY


def _cell(column: Column, settings: AccountSettings) -> _Cell:
    if column.value is not None:
        return _computed_cell(column.value, settings)
    if column.is_text:
        return _text_cell(column, settings)
    is_id = column.is_identifier and column.field in TEXTS
    return _plain_id_cell(column.field or "") if is_id else _plain_cell(column.field or "")


def _computed_cell(value: Callable[[AudienceUser, AccountSettings], object], settings: AccountSettings) -> _Cell:
    def cell(user: AudienceUser, country: str | None) -> object:
        del country
        made = value(user, settings)
        return EMPTY if made in NOTHING else made

    return cell


def _plain_id_cell(field: str) -> _Cell:
    """Return a cell that holds an identifier as it was uploaded; nobody is known by a blank one."""
    text_of = attrgetter(FIELDS[field])

    def cell(user: AudienceUser, country: str | None) -> object:
        del country
        text = text_of(user)
        return text if text and not text.isspace() else EMPTY

    return cell


def _plain_cell(field: str) -> _Cell:
    """Return a cell that holds a value as it was uploaded."""
    attribute = attrgetter(FIELDS["purchase"] if field in PURCHASE else FIELDS[field])
    inner = attrgetter(PURCHASE[field]) if field in PURCHASE else None

    def cell(user: AudienceUser, country: str | None) -> object:
        del country
        value = attribute(user)
        if inner is not None and value is not None:
            value = inner(value)
        elif isinstance(value, msgspec.Struct):
            value = msgspec.to_builtins(value)
        return EMPTY if value is None or value == {} else value

    return cell


def _text_cell(column: Column, settings: AccountSettings) -> _Cell:
    text_of = attrgetter(FIELDS[column.field or ""])
    finish = finisher(column, settings)
    if column.field in REPEATED and column.form != "plain":
        return _remembering_cell(text_of, finish, by_country=any(rule.by_country for rule in column.rules))

    def cell(user: AudienceUser, country: str | None) -> object:
        text = text_of(user)
        return finish(text, country) if text else EMPTY

    return cell


def _remembering_cell(text_of: Callable[[AudienceUser], str | None], finish: Finish, *, by_country: bool) -> _Cell:
    """Return a cell that remembers what it made of texts; when it is full it forgets all, which costs least."""
    known: dict[object, str] = {}

    def cell(user: AudienceUser, country: str | None) -> object:
        text = text_of(user)
        if not text:
            return EMPTY
        key = (text, country) if by_country else text
        found = known.get(key)
        if found is None:
            found = finish(text, country)
            if len(text) <= LONGEST_REMEMBERED:
                if len(known) >= REMEMBERED:
                    known.clear()
                known[key] = found
        return found

    return cell
