"""Times as people write them: `2h` ago, or in ISO 8601."""

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_span(text: str) -> timedelta:
    """Parse `90s`, `15m`, `2h` or `30d`. Raises ValueError, which says what to write."""
    match = _SPAN.fullmatch(text.strip())
    try:
        if match is not None:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise ValueError("write a number and s, m, h or d, such as 15m, 2h or 30d")


def parse_when(text: str, now: datetime) -> datetime:
    """Parse a time in ISO 8601, UTC unless it names another zone, or how long ago it was.

    Raises ValueError, which says what to write.
    """
    try:
        return now - parse_span(text)
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("write a time such as 2h or 30d ago, or 2026-11-24T15:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
