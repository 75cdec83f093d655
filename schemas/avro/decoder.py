"""Generates what decodes records of one layout.

It takes records in the form in which they are always written, and raises an error for anything else: a branch in more
bytes than it needs, what is wrong, and what ends too early. A text that ends too early is cut by the slice that takes
it. The next read, at the latest that of the end of the block, is then behind the end of the data, and raises.
"""

import struct
from collections.abc import Callable
from typing import Any

from schemas.avro.layouts import Layout, Member, generated, indented
from schemas.avro.varints import UnusualError, read_long
from schemas.bounds import MAX_TEXT

Decode = Callable[[bytes, int, int, Callable[[Any], object]], int]
"""Decodes so many records from a place of the data, hands each on, and returns the place behind them."""

_DOUBLE = struct.Struct("<d").unpack_from


def decoder(layout: Layout) -> Decode:
    """Return what decodes records. It raises one of several errors where there are none, or unusual ones."""
    lines = [
        "def decode(data, at, count, add):",
        "    for _ in range(count):",
        *indented(_record(layout, "record"), 2),
        f"        add({_made(layout, 'record')})",
        "    return at",
    ]
    types = {one.of.__name__: one.of for one in _layouts(layout)}
    return generated("decode", lines, {**types, "text": read_text, "double": _DOUBLE, "UnusualError": UnusualError})


def _record(layout: Layout, record: str) -> list[str]:
    return [line for member in layout.members for line in _member(member, f"{record}_{member.attribute}")]


def _member(member: Member, value: str) -> list[str]:
    return either(member, [f"{value} = None"], _value(member, value))


def either(member: Member, is_null: list[str], is_value: list[str]) -> list[str]:
    """Return code that passes the byte of a branch, and what comes then."""
    return [
        "branch = data[at]",
        "at += 1",
        f"if branch == {member.value}:",
        *indented(is_value),
        f"elif branch == {member.null}:",
        *indented(is_null),
        "else:",
        "    raise UnusualError",
    ]


def _value(member: Member, value: str) -> list[str]:
    if isinstance(member.kind, Layout):
        return [*_record(member.kind, value), f"{value} = {_made(member.kind, value)}"]
    if member.kind == "double":
        return [f"{value}, = double(data, at)", "at += 8"]
    return [
        "size = data[at]",
        "if not size & 0x81:",
        "    begin = at + 1",
        "    at = begin + (size >> 1)",
        f"    {value} = data[begin:at].decode()",
        *if_in_two_bytes([]),
        f"    {value} = data[begin:at].decode()",
        "else:",
        f"    {value}, at = text(data, at)",
    ]


def if_in_two_bytes(lines: list[str]) -> list[str]:
    """Return code that passes a text whose length takes two bytes, and not too many for one; `lines` go first."""
    return [
        f"elif not size & 1 and data[at + 1] < {MAX_TEXT >> 6}:",
        *indented(lines),
        "    begin = at + 2",
        "    at = begin + (size >> 1 & 0x3F | data[at + 1] << 6)",
    ]


def _made(layout: Layout, record: str) -> str:
    fields = (f"{member.attribute}={record}_{member.attribute}" for member in layout.members)
    return f"{layout.of.__name__}({', '.join(fields)})"


def _layouts(layout: Layout) -> list[Layout]:
    inner = [one for member in layout.members if isinstance(member.kind, Layout) for one in _layouts(member.kind)]
    return [layout, *inner]


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text whose length may take several bytes, and the place behind it."""
    size, begin = read_long(data, at)
    if not 0 <= size <= len(data) - begin:
        raise UnusualError
    text = data[begin : begin + size].decode()
    if len(text) > MAX_TEXT:
        raise UnusualError
    return text, begin + size
