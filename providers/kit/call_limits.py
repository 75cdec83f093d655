"""What fits in one call of a platform."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What fits in one upload call, by the platform's documentation."""

    rows: int
    body: int
    """Bytes of the rows as JSON, the commas between them included; leave room for what surrounds them."""
    row: int | None = None
    """Bytes of a single row."""
