"""Values of files that have types, as the texts that people would write."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

MAX_DEPTH = 16
EXACT = 2**53
"""Whole numbers up to here are exact in a double."""

_OF_LISTS = ("value", "address", "number")
"""Members for which lists of e-mail addresses and phone numbers are written, the likeliest first."""

_ZEROS = re.compile(r"\.0+$")


class LostDigitsError(Exception):
    """A number is too long for the type that it was kept in, so its last digits are gone."""


def text_of(value: object) -> str:
    """Return a value as text, of a list the first that is filled, nothing of objects. Raises LostDigitsError."""
    write = _WRITERS.get(type(value))
    return write(value) if write else ""


def float_text(value: float) -> str:
    """Return a double: without a point where it is whole, as a number column with gaps makes it of whole ones."""
    if math.isnan(value):
        return ""
    if not value.is_integer():
        if math.isinf(value):
            raise LostDigitsError
        return format(Decimal(repr(value)), "f")
    if abs(value) > EXACT:
        raise LostDigitsError
    return str(int(value))


class TooDeepError(Exception):
    """Objects stand within each other more deeply than anybody writes about customers."""


def flatten(members: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, str]:
    """Return an object's values as texts, those of objects within it under dotted names. Raises TooDeepError."""
    flat: dict[str, str] = {}
    if depth > MAX_DEPTH:
        raise TooDeepError
    for name, given in members.items():
        value = _first_object(given) if isinstance(given, list) else given
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}.", depth + 1))
        else:
            flat[prefix + name] = text_of(value)
    return flat


def _first_object(values: list[object]) -> object:
    """Return the first object of a list of objects, and any other list as it is.

    Where what such lists are of is empty in it, as in `[{"value": ""}, {"value": "…"}]`, the first where it is not.
    """
    filled = [value for value in values if value not in (None, "", {}, [])]
    if not filled or not isinstance(filled[0], dict):
        return values
    named = next((name for name in _OF_LISTS if name in filled[0]), None)
    return next((one for one in filled if isinstance(one, dict) and one.get(named)), filled[0]) if named else filled[0]


def _datetime_text(value: datetime) -> str:
    return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")


def _first_text(values: Sequence[object]) -> str:
    return next((text for text in map(text_of, values) if text), "")


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: float_text,
    Decimal: lambda value: _ZEROS.sub("", format(value, "f")),
    datetime: _datetime_text,
    date: date.isoformat,
    time: time.isoformat,
    list: _first_text,
    tuple: _first_text,
    UUID: str,
}
"""How values of each type are written."""
