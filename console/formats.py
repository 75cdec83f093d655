"""Numbers and times as people read them."""

from datetime import UTC, datetime
from urllib.parse import quote

MINUTE, HOUR, DAY = 60, 3600, 86400

NONE = "\N{EN DASH}"
"""Stands where there is no number and no time."""


def number(value: float | None) -> str:
    """Return a number with its thousands apart, a dash where there is none."""
    if value is None:
        return NONE
    return f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{int(value):,}"


def moment(at: datetime | None) -> str:
    """Return a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else NONE


def machine_time(at: datetime) -> str:
    """Return a time for the attribute `datetime`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(seconds: float | None) -> str:
    """Return about how long something takes, in one unit or two."""
    if seconds is None:
        return "not known"
    if seconds < 1:
        return "less than a second"
    for unit, size, smaller, divisor in (("d", DAY, "h", HOUR), ("h", HOUR, "min", MINUTE), ("min", MINUTE, "s", 1)):
        if seconds >= size:
            rest = int(seconds % size // divisor)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{int(seconds)} s"


def share(part: float, whole: float) -> float:
    """Return which part of a whole something is, from 0 to 1."""
    return min(1.0, max(0.0, part / whole)) if whole else 0.0


def percent(part: float, whole: float) -> str:
    """Return a share that is never rounded to all or to nothing where it is neither; a dash of nothing."""
    if not whole:
        return NONE
    ratio = 100 * part / whole
    if 0 < ratio < 1:
        return "< 1 %"
    return "> 99 %" if 99 < ratio < 100 else f"{ratio:.0f} %"


def path_part(text: str) -> str:
    """Return a text as one segment of a path or one value of a query."""
    return quote(text, safe="")
