"""How the body of a call looks around its rows, as data: JSON with holes for what is known only at the call."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from providers.kit.rows.columns import DeclarationError
from providers.kit.streamed_body import StreamedBody


@dataclass(frozen=True, slots=True)
class Known:
    """A hole: what the call knows by this name, such as the audience's id or a session.

    With `as_number` an id of digits goes as a JSON number, to the last digit also beyond 2^53.
    """

    name: str
    as_number: bool = False


ROWS = Known("rows")
NAMES = Known("names")
"""The names of a row's columns, for platforms that want them once for all rows."""

AUDIENCE_ID = Known("audience_id")
CELL = Known("cell")
"""A filled cell of a row, within `Body.cell`."""

MANY = 250
"""Rows whose cells are wrapped before other tasks run."""

_EMPTY = b'""'
_MARK = msgspec.Raw(b"\0")
"""Stands for a cell or rows where none of JSON can: it has this sign in texts only, and escaped there."""

_decode_cells = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of an upload.

    `shape` is JSON with holes. Where `cell` is given, each filled cell of a row by position becomes this, with holes
    too, and each empty one `empty`: what is known only at the call can stand in every cell.
    """

    shape: object
    cell: object = None
    empty: object = None

    def __post_init__(self) -> None:
        holes = list(_holes(self.shape))
        if ROWS not in holes:
            raise DeclarationError("shape: it has no place for ROWS")
        if CELL in holes:
            raise DeclarationError("shape: CELL stands in `cell` only")

    def filled(self, rows: Sequence[msgspec.Raw], **known: object) -> object:
        """Return the body of a call with these rows, for msgspec to encode.

        Raises KeyError for a hole that nothing is known of, ValueError where what goes as a number is none.
        """
        data = rows if self.cell is None else self._wrapped(rows, known)
        return _filled(self.shape, {**known, "rows": data})

    async def around(self, rows: Sequence[msgspec.Raw], **known: object) -> StreamedBody:
        """Return the same body for a request to take as it is, which is encoded as it goes. Raises as `filled` does."""
        data = rows if self.cell is None else await self._wrapped_in_parts(rows, known)
        filled = msgspec.json.encode(_filled(self.shape, {**known, "rows": [_MARK]}))
        head, _, tail = filled.partition(bytes(_MARK))
        return StreamedBody(head, data, tail)

    async def _wrapped_in_parts(
        self, rows: Sequence[msgspec.Raw], known: Mapping[str, object]
    ) -> Sequence[msgspec.Raw]:
        made: list[msgspec.Raw] = []
        for start in range(0, len(rows), MANY):
            made += self._wrapped(rows[start : start + MANY], known)
            await asyncio.sleep(0)
        return tuple(made)  # which the collector of cycles forgets

    def _wrapped(self, rows: Sequence[msgspec.Raw], known: Mapping[str, object]) -> list[msgspec.Raw]:
        """Return rows with their cells wrapped: what surrounds a cell is the same for all of a call."""
        around = msgspec.json.encode(_filled(self.cell, {**known, "cell": _MARK})).split(bytes(_MARK))
        empty = msgspec.json.encode(self.empty)
        made = []
        for row in rows:
            cells = map(bytes, _decode_cells(row))
            made.append(msgspec.Raw(b"[%b]" % b",".join(empty if one == _EMPTY else one.join(around) for one in cells)))
        return made


def _filled(shape: object, known: Mapping[str, object]) -> object:
    if isinstance(shape, Known):
        value = known[shape.name]
        return _number(str(value)) if shape.as_number else value
    if isinstance(shape, Mapping):
        return {name: _filled(inner, known) for name, inner in shape.items()}
    if isinstance(shape, list | tuple):
        return [_filled(inner, known) for inner in shape]
    return shape


def _holes(shape: object) -> Iterator[Known]:
    if isinstance(shape, Known):
        yield shape
    elif isinstance(shape, Mapping | list | tuple):
        for inner in shape.values() if isinstance(shape, Mapping) else shape:
            yield from _holes(inner)


def _number(digits: str) -> msgspec.Raw:
    if not _NUMBER.fullmatch(digits):
        raise ValueError("an id that goes as a number is none")
    return msgspec.Raw(digits.encode())


def of_one_kind(rows: Sequence[msgspec.Raw], kind: str) -> Iterator[tuple[int, msgspec.Raw]]:
    """Yield a member of those rows that have it, each with its row's position: for calls that hold one kind only.

    A row that holds several of the kind yields each of them.
    """
    for position, row in enumerate(rows):
        members: dict[str, Any] = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
        if kind in members:
            values = [members[kind]]
            if bytes(values[0]).startswith(b"["):
                values = msgspec.json.decode(values[0], type=list[msgspec.Raw])
            yield from ((position, value) for value in values)
