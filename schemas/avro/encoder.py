"""Generates what encodes records of one layout: each is joined of pieces, most of which are looked up."""

import struct
from collections.abc import Callable, Iterable
from typing import Any

from schemas.avro.layouts import Layout, Member, generated, indented
from schemas.avro.varints import encode_long

SHORT = 256
"""Bytes of a text below which its length is looked up."""

Encode = Callable[[Iterable[Any]], list[bytes]]
"""Encodes records, each by itself."""


def encoder(layout: Layout) -> Encode:
    """Return what encodes records."""
    lines = [
        "def encode(records):",
        "    encoded = []",
        "    for record in records:",
        *indented(_record(layout, "record"), 2),
        f"        encoded.append({_joined(layout, 'record')})",
        "    return encoded",
    ]
    prefixes = {f"prefixes_{one}": [bytes([one]) + encode_long(size) for size in range(SHORT)] for one in (0, 2)}
    return generated("encode", lines, {**prefixes, "long": encode_long, "double": struct.Struct("<Bd").pack})


def _record(layout: Layout, record: str) -> list[str]:
    return [line for member in layout.members for line in _member(member, record)]


def _member(member: Member, record: str) -> list[str]:
    """Return code that makes the pieces of a field: its head names the branch and may hold a length."""
    name = f"{record}_{member.attribute}"
    return [
        f"{name} = {record}.{member.attribute}",
        f"if {name} is None:",
        f"    {name}_head = {bytes([member.null])!r}",
        f"    {name}_body = b''",
        "else:",
        *indented(_value(member, name)),
    ]


def _value(member: Member, name: str) -> list[str]:
    branch = bytes([member.value])
    if isinstance(member.kind, Layout):
        return [*_record(member.kind, name), f"{name}_head = {branch!r}", f"{name}_body = {_joined(member.kind, name)}"]
    if member.kind == "double":
        return [f"{name}_head = b''", f"{name}_body = double({member.value}, {name})"]
    return [
        f"{name}_body = {name}.encode()",
        f"size = len({name}_body)",
        f"{name}_head = prefixes_{member.value}[size] if size < {SHORT} else {branch!r} + long(size)",
    ]


def _joined(layout: Layout, record: str) -> str:
    names = (f"{record}_{member.attribute}" for member in layout.members)
    return f"b''.join(({', '.join(f'{name}_head, {name}_body' for name in names)}))"
