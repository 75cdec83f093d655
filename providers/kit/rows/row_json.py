"""Puts values into a row's JSON as its template says, and finds the identifiers that a row has."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from providers.kit.rows.columns import Cells, Column, Part, Together, column_paths, is_list

EMPTY = ""
"""What a column holds where there is nothing for it."""

NOTHING: Sequence[object] = (None, EMPTY, (), [], {})
"""What a provider's function returns where there is nothing for a column."""

Values = list[object]
"""The cells of all columns that are switched on, in the template's order."""

Build = Callable[[Values], object]
Read = Callable[[object], Iterator[tuple[str, object]]]
"""Yields the names of a row's identifiers, each with what stands there."""


def builder(part: Part, position: Mapping[Column, int]) -> Build:
    """Return the function that puts values into a row; `position` has the columns that are switched on."""
    return _builder(part, position) or (lambda _: EMPTY)


def _builder(part: Part, position: Mapping[Column, int]) -> Build | None:
    """Return the function that puts values into a part of a row; None where every column of it is switched off."""
    if isinstance(part, Column):
        return itemgetter(position[part]) if part in position else None
    if isinstance(part, Cells):
        return _cells_builder([position[column] for column in part.columns if column in position])
    if isinstance(part, Together):
        return _together_builder(part, position)
    if isinstance(part, Mapping):
        inner = {name: _builder(one, position) for name, one in part.items()}
        fixed = {name for name, one in part.items() if _is_fixed(one)}
        return _mapping_builder([(name, one, name in fixed) for name, one in inner.items() if one], _is_fixed(part))
    if is_list(part):
        return _list_builder([(one, _is_fixed(of)) for of in part if (one := _builder(of, position))], _is_fixed(part))
    return lambda _: part


def _is_fixed(part: Part) -> bool:
    """Tell whether a part holds no column, so that it is filled whatever a user has."""
    return not any(True for _ in column_paths(part))


def _cells_builder(positions: Sequence[int]) -> Build:
    if list(positions) == list(range(len(positions))):
        last = len(positions)
        return lambda values: values[:last]
    return lambda values: [values[one] for one in positions]


def _together_builder(part: Together, position: Mapping[Column, int]) -> Build | None:
    needed = [position.get(column) for _, column in column_paths(part)]
    build = _builder(part.part, position)

    def together(values: Values) -> object:
        return EMPTY if any(one is None or values[one] == EMPTY for one in needed) or build is None else build(values)

    return together


def _mapping_builder(parts: Sequence[tuple[str, Build, bool]], is_always: bool) -> Build:
    def mapping(values: Values) -> object:
        found, is_filled = {}, is_always
        for name, build, is_fixed in parts:
            value = build(values)
            if value != EMPTY:
                found[name] = value
                is_filled = is_filled or not is_fixed
        return found if is_filled else EMPTY

    return mapping


def _list_builder(parts: Sequence[tuple[Build, bool]], is_always: bool) -> Build:
    def items(values: Values) -> object:
        found: list[object] = []
        is_filled = is_always
        for build, is_fixed in parts:
            value = build(values)
            if value != EMPTY:
                found += value if isinstance(value, tuple) else [value]
                is_filled = is_filled or not is_fixed
        return found if is_filled else EMPTY

    return items


def reader(part: Part, columns: Sequence[Column]) -> Read:
    """Return the function that finds identifiers in a part of a row."""
    if isinstance(part, Column):
        return _column_reader(part)
    if isinstance(part, Together):
        return reader(part.part, columns)
    if isinstance(part, Cells):
        readers = [reader(column, columns) for column in part.columns if column in columns]
        return lambda row: _each(zip(readers, row if isinstance(row, Sequence) else (), strict=False))
    if isinstance(part, Mapping):
        inner = {name: reader(one, columns) for name, one in part.items()}
        return lambda row: _each((inner[name], row[name]) for name in inner if isinstance(row, Mapping) and name in row)
    if is_list(part):
        kinds = [(one, reader(one, columns)) for one in part]
        return lambda row: _each((_first(kinds, item), item) for item in (row if isinstance(row, Sequence) else ()))
    return lambda _: iter(())


def _column_reader(column: Column) -> Read:
    if not column.is_identifier:
        return lambda _: iter(())
    return lambda row: iter(((column.name, row),) if row not in (None, EMPTY) else ())


def _each(pairs: Iterable[tuple[Read, object]]) -> Iterator[tuple[str, object]]:
    for read, row in pairs:
        yield from read(row)


def _first(kinds: Sequence[tuple[Part, Read]], item: object) -> Read:
    """Return the reader of the first kind of item that this one may be."""
    fitting = (read for part, read in kinds if _fits(part, item))
    return next((read for read in fitting if any(True for _ in read(item))), lambda _: iter(()))


def _fits(part: Part, item: object) -> bool:
    """Tell whether an item may be of a kind: it has all of its fixed values, and no member that the kind has not."""
    if isinstance(part, Together):
        return _fits(part.part, item)
    if isinstance(part, Mapping):
        return (
            isinstance(item, Mapping)
            and item.keys() <= part.keys()
            and all(_fits(one, item[name]) if name in item else not _is_fixed(one) for name, one in part.items())
        )
    if isinstance(part, Column | Cells) or is_list(part):
        return True
    return bool(part == item)
