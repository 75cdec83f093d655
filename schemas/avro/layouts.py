"""Records of optional texts, doubles and such records: what code is generated for."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal, get_args

import msgspec

from schemas.avro.writer_schemas import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field that may be null: the attribute that holds it, and the bytes that name the branches of its union."""

    attribute: str
    kind: "Literal['string', 'double'] | Layout"
    null: int
    value: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A type, and the fields of its schema in their order."""

    of: type[msgspec.Struct]
    members: tuple[Member, ...]


def layout_of(schema: Schema, of: type[msgspec.Struct]) -> Layout:
    """Return the layout of a record's schema. Raises TypeError where it has a type that no code is generated for."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(of)}
    return Layout(of, tuple(_member(one, fields[one["name"]]) for one in schema["fields"]))


def _member(schema: Schema, field: msgspec.structs.FieldInfo) -> Member:
    branches = schema["type"]
    if not isinstance(branches, list) or len(branches) != 2 or "null" not in branches:
        raise TypeError(f"{schema['name']}: no code is generated for what can't be null")
    null = branches.index("null")
    kind = _kind(branches[1 - null], field)
    return Member(attribute=field.name, kind=kind, null=2 * null, value=2 * (1 - null))


def _kind(schema: Any, field: msgspec.structs.FieldInfo) -> "Literal['string', 'double'] | Layout":
    if schema == "string":
        return "string"
    if schema == "double":
        return "double"
    if isinstance(schema, dict) and schema["type"] == "record":
        [inner] = [one for one in get_args(field.type) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
        return layout_of(schema, inner)
    raise TypeError(f"{field.encode_name}: no code is generated for its type")


def generated(name: str, lines: list[str], names: Mapping[str, object]) -> FunctionType:
    """Return the function with a name that lines of Python define, in which names stand for what they are given."""
    scope = dict(names)
    exec(compile("\n".join(lines), f"<generated {name}>", "exec"), scope)  # noqa: S102 -- our own, of our own schema
    function = scope[name]
    assert isinstance(function, FunctionType)  # noqa: S101 -- the lines define it
    return function


def indented(lines: list[str], times: int = 1) -> list[str]:
    """Return lines of Python so many levels further in."""
    return ["    " * times + line for line in lines]
