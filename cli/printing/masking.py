"""What of a customer may be shown: that there is a value, and how it begins."""

from typing import Any

import msgspec

from schemas.records import AudienceUser

DOTS = "•••"


def mask(value: str) -> str:
    """Return the first character and three dots, however long the value is; of an odd character only the dots."""
    return value[:1] + DOTS if value[:1].isprintable() else DOTS


def masked(user: AudienceUser) -> dict[str, Any]:
    """Return the fields that a user has, texts masked and of amounts only that there are some."""
    fields: dict[str, Any] = msgspec.to_builtins(user)
    return {name: _masked(value) for name, value in fields.items()}


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    return mask(value) if isinstance(value, str) else DOTS
