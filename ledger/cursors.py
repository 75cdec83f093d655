"""Cursors of pages: where a page ended, as a text that means nothing to whoever sends it back."""

import base64
import binascii
import json
from collections.abc import Sequence


class CursorError(ValueError):
    """The cursor is none that we gave: begin without one."""


def write_cursor(values: Sequence[str | int]) -> str:
    """Return a cursor that holds these values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> list[str | int]:
    """Return the values that a cursor holds, which are of these kinds. Raises CursorError."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise CursorError from error
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise CursorError
    return values
