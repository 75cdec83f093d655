"""Halves of surrogate pairs, which JSON's grammar allows and no text can hold."""

import re

_HIGH, _LOW = rb"u[dD][89abAB][0-9a-fA-F]{2}", rb"u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:" + _HIGH + rb"(\\" + _LOW + rb")?|" + _LOW + rb"|.)", re.DOTALL)
_ANY = re.compile(rb"\\u[dD][89a-fA-F]")


def without_halves(data: bytes) -> bytes:
    """Return JSON in which each escape of half a pair is one of the replacement character: its text is damaged.

    Six bytes for six: places in the JSON stay where they are.
    """
    return _ESCAPE.sub(_whole, data) if _ANY.search(data) else data


def _whole(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    is_half = escape[1] is None and len(text) == len(rb"\ufffd")
    return rb"\ufffd" if is_half else text
