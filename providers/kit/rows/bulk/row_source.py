"""A template's shape as Python source: one loop that writes the cells of many users into rows of JSON.

The source is made of the declaration alone: of users it holds nothing but the names of variables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from providers.kit.rows.columns import PURCHASE, Cells, Column, Part, Together, column_paths, is_list
from providers.kit.rows.row_json import EMPTY, builder

NOTHING_JSON = '""'
"""What a row, or a cell by position, is where there is nothing."""


class Frame(NamedTuple):
    """What stands before and behind a cell that is not empty."""

    before: str = ""
    after: str = ""
    is_item: bool = False
    """Whether the cell stands in a list, and may be several items."""

    def around(self, content: str) -> str:
        """Return a cell in its frame; an empty one has none."""
        return f"{self.before}{content}{self.after}" if content else ""


class RowWriter(NamedTuple):
    """The frames that cells are to have, and what writes rows, given the cells of all users column by column."""

    frames: Mapping[Column, Frame]
    write: Callable[..., list[str]]


def is_quoted(column: Column) -> bool:
    """Tell whether a column's cells are texts, given as JSON without its quotes; those of others are any JSON."""
    return column.value is None and column.field not in (*PURCHASE, "purchase")


def row_writer(row: Part, position: Mapping[Column, int]) -> RowWriter:
    """Compile the function that writes rows; `position` has the columns that are switched on.

    An empty cell is an empty text. Of what stands whole or not at all, all cells are empty or none.
    """
    source = _Source(position)
    value = source.value(row) or "NOTHING"
    cells = "".join(f"c{index}," for index in position.values())
    each = f"for {cells} in zip({cells})"
    lines = [
        f"def write({cells}):",
        " rows = []",
        f" {each}:",
        *(f"  {line}" for line in source.lines),
        f"  rows.append({value} or NOTHING)",
        " return rows",
    ]
    if isinstance(row, Cells):
        lines = [f"def write({cells}):", f" return [{value} {each}]"]
    made: dict[str, Any] = {"NOTHING": NOTHING_JSON}
    exec(compile("\n".join(lines), "<rows>", "exec"), made)  # noqa: S102 -- it is made of our declarations alone
    return RowWriter(source.frames, made["write"])


class _Source:
    """The lines of a loop in the making, and the frames of the cells. Expressions are JSON, or an empty text."""

    def __init__(self, position: Mapping[Column, int]) -> None:
        self.position = position
        self.frames: dict[Column, Frame] = {}
        self.lines: list[str] = []

    def value(self, part: Part) -> str:
        """Return the expression of a part of a row; empty where it never holds anything."""
        if isinstance(part, Column):
            return self._cell(part, "")
        if isinstance(part, Cells):
            return self._cells([column for column in part.columns if column in self.position])
        if isinstance(part, Together):
            return self._together(part)
        if _is_fixed(part):
            return repr(_fixed(part)) if _fixed(part) else ""
        if isinstance(part, Mapping):
            return self._joined("{}", _keyed(part))
        return self._joined("[]", [("", inner) for inner in part]) if is_list(part) else ""

    def _cell(self, column: Column, before: str, *, is_item: bool = False) -> str:
        """Return the expression of a cell of which the frame holds all that is before it."""
        if column not in self.position:
            return ""
        quote = '"' if is_quoted(column) else ""
        self.frames[column] = Frame(before + quote, quote, is_item)
        return f"c{self.position[column]}"

    def _cells(self, columns: Sequence[Column]) -> str:
        """Return a row by position: its texts stand between quotes in any case."""
        for column in columns:
            self.frames[column] = Frame()
        return " ".join(["'['", *_between("','", map(self._by_position, columns)), "']'"])

    def _by_position(self, column: Column) -> str:
        name = f"c{self.position[column]}"
        return f"""'"' f'{{{name}}}' '"'""" if is_quoted(column) else f"f'{{{name} or NOTHING}}'"

    def _together(self, part: Together) -> str:
        columns = [column for _, column in column_paths(part)]
        if not all(column in self.position for column in columns):
            self._hide(columns)
            return ""
        inner = self.value(part.part)
        present = " and ".join(f"c{self.position[column]}" for column in columns)
        return self._named(f"({inner}) if {present or True} else ''") if inner else ""

    def _hide(self, columns: Sequence[Column]) -> None:
        self.frames |= {column: Frame() for column in columns if column in self.position}

    def _joined(self, brackets: str, parts: Sequence[tuple[str, Part]], before: str = "") -> str:
        """Return an object or a list, which is empty where none of what is not fixed is filled."""
        pieces, filled = [], []
        for key, part in parts:
            if _is_fixed(part):
                pieces += [repr(f",{key}{_fixed(part)}")] if _fixed(part) else []
            elif name := self._member(f",{key}", part, is_item=not key):
                pieces.append(f"f'{{{name}}}'")
                filled.append(name)
        if not filled:
            return ""
        start, end = repr(before + brackets[0]), repr(brackets[1])
        if len(pieces) > len(filled):
            return self._named(f"{start} + ({' '.join(pieces)})[1:] + {end} if {' or '.join(filled)} else ''")
        inner = self._named(" ".join(pieces))
        return self._named(f"{inner} and {start} f'{{{inner}[1:]}}' {end}")

    def _member(self, before: str, part: Part, *, is_item: bool) -> str:
        """Return the name of a member with its key, or of an item, and the comma before it."""
        while isinstance(part, Together) and isinstance(part.part, Column | Together):
            part = part.part  # a single value is whole
        if isinstance(part, Column):
            return self._cell(part, before, is_item=is_item)
        if isinstance(part, Mapping):
            return self._joined("{}", _keyed(part), before)
        value = self.value(part)
        if not value:
            return ""
        name = self._named(value)
        return self._named(f"{before!r} f'{{{name}}}' if {name} else ''")

    def _named(self, expression: str) -> str:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return name


def _keyed(part: Mapping[str, Part]) -> list[tuple[str, Part]]:
    return [(f"{_json(name)}:", inner) for name, inner in part.items()]


def _is_fixed(part: Part) -> bool:
    """Tell whether a part holds no column, so that it is the same for all."""
    return not any(True for _ in column_paths(part))


def _fixed(part: Part) -> str:
    """Return the JSON of a part without columns, empty where it counts as nothing."""
    value = builder(part, {})([])
    return "" if value == EMPTY else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _between(separator: str, pieces: Iterator[str]) -> Iterator[str]:
    for index, piece in enumerate(pieces):
        yield from (separator, piece) if index else (piece,)
