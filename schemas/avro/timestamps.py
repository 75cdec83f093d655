"""Avro's times as Python's; None for one that Python can't hold."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_DAY = (date(2, 1, 1) - EPOCH.date()).days
LAST_DAY = (date(9998, 12, 31) - EPOCH.date()).days
"""A year is left at either end, so that something can be added to any time."""

MILLIS = 86_400_000
"""Milliseconds of a day."""

Times = Mapping[str, "Callable[[int], object] | Times"]
"""By field of a record: how its number becomes a time, or the times of the record in it."""


def time_of(millis: int) -> datetime | None:
    """Return a time by its milliseconds since 1970, None where it is too far away."""
    if not FIRST_DAY * MILLIS <= millis <= LAST_DAY * MILLIS:
        return None
    return EPOCH + timedelta(milliseconds=millis)


def day_of(days: int) -> date | None:
    """Return a day by its number since 1970, None where it is too far away."""
    return EPOCH.date() + timedelta(days=days) if FIRST_DAY <= days <= LAST_DAY else None


_READ: Mapping[str, Callable[[int], object]] = {"timestamp-millis": time_of, "date": day_of}


def times_of(schema: Any) -> Times:
    """Return where a record's schema has times, in its fields and those of records in them, lists left out."""
    found: dict[str, Callable[[int], object] | Times] = {}
    for field in schema["fields"]:
        for branch in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            if isinstance(branch, dict) and branch.get("logicalType") in _READ:
                found[field["name"]] = _READ[branch["logicalType"]]
            elif isinstance(branch, dict) and branch["type"] == "record" and (inner := times_of(branch)):
                found[field["name"]] = inner
    return found


def set_times(decoded: dict[str, Any], times: Times) -> None:
    """Put times in the place of their numbers."""
    for name, read in times.items():
        number = decoded[name]
        if isinstance(read, Mapping):
            if number is not None:
                set_times(number, read)
        elif number is not None:
            decoded[name] = read(number)
