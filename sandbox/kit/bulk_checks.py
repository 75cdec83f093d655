"""Checks of many rows at once: a body is decoded by its type, and a column is right or wrong as a whole."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

SHA256 = 64
MD5 = 32
PART = 200
_HEX = b"0123456789abcdef"


def decode_as(decoder: "msgspec.json.Decoder[T]", data: bytes) -> T | None:
    """Return JSON of one type, None if it is none of it.

    Its types forbid unknown members: msgspec skips those without a look at all that is wrong in them.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield rows by as many as stay in a core's cache while one check after another goes over them."""
    for start in range(0, len(rows), PART):
        yield rows[start : start + PART]


def are_hashes(cells: Sequence[str], length: int) -> bool:
    """Tell whether all cells are so many lower-case hex digits: put behind commas, only these are left, in step."""
    if not cells:
        return True
    text, commas = ("," + ",".join(cells)).encode(), b"," * len(cells)
    is_in_step = len(text) == len(cells) * (length + 1) and text[:: length + 1] == commas
    return is_in_step and text.translate(None, _HEX) == commas
