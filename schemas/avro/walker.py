"""Generates what checks records of one layout without making any, and refuses whatever their decoder refuses.

Branches and lengths are looked at one by one, but several texts at once. Between two texts stand only a branch and a
length, which are bytes of ASCII, and no character of UTF-8 has one of these within. So all texts are UTF-8 if the bytes
from the first to the last are.
"""

from collections.abc import Callable

from schemas.avro.decoder import either, if_in_two_bytes, read_text
from schemas.avro.layouts import Layout, Member, generated, indented
from schemas.avro.varints import UnusualError

Walk = Callable[[bytes, int, int], int]
"""Goes through so many records from a place of the data, and returns the place behind them."""

_CHECK = ["texts = data[begin:at]", "if not texts.isascii():", "    texts.decode()"]


def walker(layout: Layout) -> Walk:
    """Return what goes through records. It raises one of several errors where there are none, or unusual ones."""
    lines, is_unchecked = _record(layout, is_unchecked=False)
    lines = [
        "def walk(data, at, count):",
        "    for _ in range(count):",
        *indented([*lines, *(_CHECK if is_unchecked else ())], 2),
        "    return at",
    ]
    return generated("walk", lines, {"text": read_text, "UnusualError": UnusualError})


def _record(layout: Layout, *, is_unchecked: bool) -> tuple[list[str], bool]:
    """Return code for the fields of a record, and whether texts before its end are still to be looked at."""
    lines: list[str] = []
    for member in layout.members:
        more, is_unchecked = _member(member, is_unchecked=is_unchecked)
        lines += more
    return lines, is_unchecked


def _member(member: Member, *, is_unchecked: bool) -> tuple[list[str], bool]:
    check = _CHECK if is_unchecked else []
    if member.kind == "string":
        return [*([] if is_unchecked else ["begin = at"]), *either(member, ["pass"], _TEXT)], True
    if member.kind == "double":
        return [*check, *either(member, ["pass"], ["at += 8"])], False
    lines, is_left = _record(member.kind, is_unchecked=is_unchecked)
    return either(member, check or ["pass"], [*lines, *(_CHECK if is_left else ())]), False


_TEXT = [
    "size = data[at]",
    "if not size & 0x81:",
    "    at += 1 + (size >> 1)",
    *if_in_two_bytes(_CHECK),
    "else:",
    *indented([*_CHECK, "_, at = text(data, at)", "begin = at"]),
]
"""Passes a text; `begin` is where what is still to be looked at begins. A length of several bytes is no ASCII."""
