"""Meta's uploads checked by whole columns. What is not right in every row is left to `sandbox.facebook.rows`."""

import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import msgspec

from sandbox.facebook.rows import HASHED, MAX_ROWS, OPTIONS, VALUE, is_schema
from sandbox.kit.bulk_checks import SHA256, are_hashes, decode_as, parts
from sandbox.kit.store import Member

Cells = tuple[str | int | float, ...]


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    schema: list[str]
    data: list[Cells]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    payload: _Payload
    session: dict[str, Any]


_BODY = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundUpload:
    """Rows which all are members, and the session in which they came."""

    schema: tuple[str, ...]
    session: Mapping[str, Any]
    rows: int
    members: Set[Member]


def sound_upload(body: bytes) -> SoundUpload | None:
    """Return the upload that a body is; None unless each of its rows is known to be sound."""
    decoded = decode_as(_BODY, body)
    if decoded is None:
        return None
    schema, rows = tuple(decoded.payload.schema), decoded.payload.data
    if not is_schema(decoded.payload.schema) or not OPTIONS.isdisjoint(schema):
        return None
    if not 1 <= len(rows) <= MAX_ROWS or set(map(len, rows)) != {len(schema)}:
        return None
    members: set[Member] = set()
    for some in parts(rows):
        found = _members(schema, some)
        if not found:
            return None
        members.update(found)
    return SoundUpload(schema=schema, session=decoded.session, rows=len(rows), members=members)


def _members(schema: tuple[str, ...], rows: Sequence[Cells]) -> Sequence[Member] | None:
    """Return the members among rows, each without its value and its empty cells; None unless all rows are sound."""
    cells, width = list(chain.from_iterable(rows)), len(schema)
    columns = {name: cells[index::width] for index, name in enumerate(schema)}
    if not all(map(_is_sound, columns, columns.values())):
        return None
    identifying = [column for name, column in columns.items() if name != VALUE]
    members = cast("Sequence[Member]", rows if VALUE not in columns else list(zip(*identifying, strict=True)))
    if "" in cells:
        members = [tuple(filter(None, member)) for member in members]
    return members if all(members) else None


def _is_sound(name: str, column: Sequence[str | int | float]) -> bool:
    """Tell whether all cells of a column are as most clients send them; more is sound than that."""
    kinds = set(map(type, column))
    if name == VALUE:
        return kinds <= {int, float} and _are_values(cast("Sequence[float]", column))
    return kinds == {str} and (name not in HASHED or _are_hashes_or_empty(cast("Sequence[str]", column)))


def _are_values(numbers: Sequence[float]) -> bool:
    return min(numbers) >= 0 and max(numbers) <= sys.float_info.max


def _are_hashes_or_empty(cells: Sequence[str]) -> bool:
    return are_hashes(cells, SHA256) or are_hashes(list(filter(None, cells)), SHA256)
