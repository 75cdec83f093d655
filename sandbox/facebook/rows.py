"""Rows of Meta's uploads: what their schema may be, and what is sound in them, one by one."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeGuard

from sandbox.facebook.errors import meta_error
from sandbox.kit.platform import HASH, Call, Refusal
from sandbox.kit.store import Audience, Member

VALUE = "LOOKALIKE_VALUE"
OPTIONS = frozenset({"DATA_PROCESSING_OPTIONS", "DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"})
PLAIN = frozenset({"EXTERN_ID", "MADID", "APPUID", "PAGEUID", VALUE}) | OPTIONS
HASHED = frozenset({"EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "COUNTRY"})
SINGLE: Mapping[str, str] = {
    "EMAIL_SHA256": "EMAIL",
    "PHONE_SHA256": "PHONE",
    "MOBILE_ADVERTISER_ID": "MADID",
    "UID": "APPUID",
}
"""Schemas that go as one text with data of one dimension, and the column that each stands for."""

KEYS = frozenset({"EXTERN_ID", "MADID", "APPUID", "PAGEUID", "EMAIL", "PHONE"})
"""Columns of which each alone says who somebody is."""

MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Rows to add or to remove."""

    schema: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def payload_of(given: Mapping[str, Any], audience: Audience, *, is_removal: bool = False) -> Payload:
    """Return the rows of a call. Raises Refusal where their shape is wrong.

    An audience with values wants them of whom it gets. Whether also of whom it loses is not documented: taken to do
    without.
    """
    payload = given.get("payload")
    if not isinstance(payload, dict):
        raise Refusal(meta_error(100, blame="payload"))
    schema, rows = payload.get("schema"), payload.get("data")
    if isinstance(schema, str) and schema in SINGLE and isinstance(rows, list):
        schema, rows = [SINGLE[schema]], [[cell] for cell in rows]
    if not is_schema(schema) or not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
        raise Refusal(meta_error(100, blame="payload"))
    if not all(_is_row(row, len(schema)) for row in rows):
        raise Refusal(meta_error(100, blame="payload"))
    is_without = is_removal and VALUE not in schema
    if (VALUE in schema) != bool(audience.options.get("is_value_based")) and not is_without:
        raise Refusal(meta_error(100, blame="payload"))
    return Payload(schema=tuple(schema), rows=rows)


def is_schema(schema: object) -> TypeGuard[list[str]]:
    """Tell whether a schema names columns that there are, each once."""
    if not isinstance(schema, list) or not schema or not all(isinstance(column, str) for column in schema):
        return False
    return len(set(schema)) == len(schema) and (PLAIN | HASHED).issuperset(schema)


def _is_row(row: object, length: int) -> bool:
    if not isinstance(row, list) or len(row) != length:
        return False
    return all(isinstance(cell, str | int | float | list) and not isinstance(cell, bool) for cell in row)


def sorted_out(call: Call, payload: Payload) -> tuple[list[Member], list[Sequence[Any]]]:
    """Return the members among rows, and the rows that are none."""
    sound, unsound = sorted_rows(call, payload)
    identifying = _identifying(payload)
    return [_cells(row, identifying) for row in sound], unsound


def sorted_rows(call: Call, payload: Payload) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
    """Return the rows that are members, and those that are none, or that a fault leaves out."""
    identifying = _identifying(payload)
    sound: list[Sequence[Any]] = []
    unsound: list[Sequence[Any]] = []
    for number, row in enumerate(payload.rows):
        is_sound = bool(_cells(row, identifying)) and all(map(_is_sound, payload.schema, row))
        is_left_out = (call.is_partial and number == 0) or any(map(call.leaves_out, row))
        (sound if is_sound and not is_left_out else unsound).append(row)
    return sound, unsound


def leavers(held: Set[Member], payload: Payload, rows: Sequence[Sequence[Any]]) -> set[Member]:
    """Return the members that rows of a removal name: by any cell that alone is a person's, or by the same row.

    Meta's members are people, so one identifier of several is enough; names and addresses are taken never to be.
    """
    keyed = [index for index, column in enumerate(payload.schema) if column in KEYS]
    keys = {str(row[index]) for row in rows for index in keyed if row[index] != ""}
    identifying = _identifying(payload)
    same = {_cells(row, identifying) for row in rows}
    return {member for member in held if member in same or not keys.isdisjoint(member)}


def _identifying(payload: Payload) -> list[int]:
    return [index for index, column in enumerate(payload.schema) if column != VALUE and column not in OPTIONS]


def _cells(row: Sequence[Any], indexes: Sequence[int]) -> Member:
    return tuple(str(row[index]) for index in indexes if row[index] != "")


def _is_sound(column: str, cell: object) -> bool:
    if cell == "" or column in OPTIONS:
        return True
    if column == VALUE:
        return _is_value(cell)
    if column in PLAIN:
        return isinstance(cell, str | int)
    return isinstance(cell, str) and HASH.fullmatch(cell) is not None


def _is_value(cell: object) -> bool:
    """Tell whether a value is a number from 0; text of one is taken to do."""
    try:
        return 0 <= float(str(cell)) < math.inf
    except ValueError:
        return False
