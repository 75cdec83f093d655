"""The schemas of writers: checked by us before the Avro library sees them, and stripped to what we read by.

fastavro (1.13) parses and reads by recursion in C without a limit, so that a type that holds itself, or is nested
100,000 deep, ends the process; and items that take no bytes can be claimed by the billion. Anybody may register a
schema, so: records, enums, arrays, maps, fixed and unions that unfold completely within bounds, in which nothing takes
no bytes but a branch of a union. Logical types are left out: values are resolved by the type beneath them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fastavro.schema import parse_schema

Schema = dict[str, Any]

MOST_TEXT = 256 * 1024
"""Characters of a schema; ours have some 6,000."""

MOST_TYPES = 4_000
"""Types of a schema, each time that a name stands for one counted; ours have some 60."""

MOST_DEPTH = 32

MOST_FIXED = 2**30
"""Bytes of a value of fixed size."""

_LEAST: Mapping[str, int] = {
    "null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1,
}  # fmt: skip
"""The fewest bytes that a value of a primitive type takes."""


class UnreadableSchemaError(Exception):
    """A writer's schema is none that we read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSchema:
    """A schema that we read by: as fastavro takes it, the same unparsed, its named types, and a user's least bytes."""

    parsed: Schema
    plain: Schema
    named: Mapping[str, Schema]
    least_user: int


def read_schema(record: str, text: str, *, with_defaults: bool = False) -> WriterSchema:
    """Check the schema of a record's writer; with defaults it can be read by. Raises UnreadableSchemaError."""
    if len(text) > MOST_TEXT:
        raise UnreadableSchemaError("the registry's schema is too large")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableSchemaError("the registry's schema is no Avro schema") from None
    if not _is_of(record, whole):
        raise UnreadableSchemaError(f"the schema id is not of {record}")
    unfolding = _Unfolding(with_defaults)
    plain = cast(Schema, unfolding.unfold(whole, "", 0).plain)
    return WriterSchema(
        parsed=_parsed(plain), plain=plain, named=unfolding.defined, least_user=unfolding.least_items.get("users", 1)
    )


def _is_of(record: str, whole: object) -> bool:
    is_record = isinstance(whole, dict) and whole.get("type") == "record"
    return is_record and str(cast(Schema, whole).get("name")).rpartition(".")[2] == record


def _parsed(plain: Schema) -> Schema:
    try:
        return cast(Schema, parse_schema(plain, _force=True))
    except Exception as error:
        raise UnreadableSchemaError("the registry's schema is no Avro schema") from error


@dataclass(frozen=True, slots=True)
class _Type:
    """A type as fastavro is given it; how many types it unfolds to, how deep, and the fewest bytes of a value."""

    plain: object
    types: int = 1
    depth: int = 1
    least: int = 1


@dataclass(slots=True)
class _Unfolding:
    """Unfolds one schema. Named types are defined where they come first, and named from there on."""

    with_defaults: bool
    defined: dict[str, Schema] = field(default_factory=dict)
    least_items: dict[str, int] = field(default_factory=dict)
    """Of each field of the outermost record that holds an array: the fewest bytes of an item."""
    _known: dict[str, _Type | None] = field(default_factory=dict)
    """Named types; None while one is being unfolded."""

    def unfold(self, schema: object, namespace: str, depth: int) -> _Type:
        """Return a type. Raises UnreadableSchemaError."""
        if depth > MOST_DEPTH:
            raise UnreadableSchemaError("the registry's schema is too deep")
        if isinstance(schema, str):
            found = self._named(schema, namespace)
        elif isinstance(schema, list):
            found = self._union(schema, namespace, depth)
        elif isinstance(schema, dict):
            found = self._complex(schema, namespace, depth)
        else:
            raise UnreadableSchemaError("the registry's schema is no Avro schema")
        if found.types > MOST_TYPES or found.depth > MOST_DEPTH:
            raise UnreadableSchemaError("the registry's schema is too large or too deep")
        return found

    def _named(self, name: str, namespace: str) -> _Type:
        if name in _LEAST:
            return _Type(name, least=_LEAST[name])
        full = _full(name, namespace)
        if full not in self._known and name in self._known:
            full = name
        if full not in self._known:
            raise UnreadableSchemaError("the registry's schema names a type that it does not define")
        known = self._known[full]
        if known is None:
            raise UnreadableSchemaError("the registry's schema has a type that holds itself")
        return _Type(full, known.types, known.depth, known.least)

    def _union(self, branches: list[object], namespace: str, depth: int) -> _Type:
        found = [self.unfold(branch, namespace, depth + 1) for branch in branches]
        if not found or any(isinstance(branch, list) for branch in branches):
            raise UnreadableSchemaError("the registry's schema is no Avro schema")
        return _around([one.plain for one in found], found, 1 + min(one.least for one in found))

    def _complex(self, schema: Schema, namespace: str, depth: int) -> _Type:
        kind = schema.get("type")
        if isinstance(kind, str) and kind not in ("record", "enum", "fixed", "array", "map"):
            return self._named(kind, namespace)
        if not isinstance(kind, str):
            return self.unfold(kind, namespace, depth + 1)
        if kind in ("array", "map"):
            inside = "items" if kind == "array" else "values"
            found = self._of_bytes(schema.get(inside), namespace, depth + 1)
            return _around({"type": kind, inside: found.plain}, [found], 1)
        return self._definition(kind, schema, namespace, depth)

    def _of_bytes(self, schema: object, namespace: str, depth: int) -> _Type:
        found = self.unfold(schema, namespace, depth)
        if not found.least:
            raise UnreadableSchemaError("the registry's schema has a type of no bytes outside of a union")
        return found

    def _definition(self, kind: str, schema: Schema, namespace: str, depth: int) -> _Type:
        full = _full(
            _text(schema.get("name")), _text(namespace if schema.get("namespace") is None else schema["namespace"])
        )
        if full in self._known or full in _LEAST:
            raise UnreadableSchemaError("the registry's schema defines a name twice")
        self._known[full] = None
        found = self._body(kind, full, schema, depth)
        self._known[full], self.defined[full] = found, cast(Schema, found.plain)
        return found

    def _body(self, kind: str, full: str, schema: Schema, depth: int) -> _Type:
        named: Schema = {"type": kind, "name": full}
        if kind == "enum":
            symbols = [_text(symbol) for symbol in _list(schema.get("symbols"))]
            return _Type({**named, "symbols": symbols, **self._default(schema)})
        if kind == "fixed":
            size = schema.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_FIXED:
                raise UnreadableSchemaError("the registry's schema has a fixed type of no size that we read")
            return _Type({**named, "size": size}, least=size)
        return self._record(named, _list(schema.get("fields")), full.rpartition(".")[0], depth)

    def _record(self, named: Schema, fields: list[object], namespace: str, depth: int) -> _Type:
        found: dict[str, _Type] = {}
        defaults: dict[str, Schema] = {}
        for each in fields:
            if not isinstance(each, dict) or _text(each.get("name")) in found:
                raise UnreadableSchemaError("the registry's schema is no Avro schema")
            found[each["name"]] = self._of_bytes(each.get("type"), namespace, depth + 1)
            defaults[each["name"]] = self._default(each)
            if depth == 0:
                self._note_items(each["name"], found[each["name"]].plain)
        plain = [{"name": name, "type": one.plain, **defaults[name]} for name, one in found.items()]
        return _around({**named, "fields": plain}, list(found.values()), sum(one.least for one in found.values()))

    def _default(self, schema: Schema) -> Schema:
        return {"default": schema["default"]} if self.with_defaults and "default" in schema else {}

    def _note_items(self, name: str, plain: object) -> None:
        for branch in plain if isinstance(plain, list) else [plain]:
            if isinstance(branch, dict) and branch["type"] == "array":
                self.least_items[name] = self._least_of(branch["items"])

    def _least_of(self, plain: object) -> int:
        """Return the fewest bytes of a type that was unfolded before."""
        full = plain["name"] if isinstance(plain, dict) and "name" in plain else plain
        known = self._known.get(full) if isinstance(full, str) else None
        return known.least if known is not None else 1


def _around(plain: object, inside: list[_Type], least: int) -> _Type:
    types = 1 + sum(one.types for one in inside)
    return _Type(plain, types, 1 + max((one.depth for one in inside), default=0), least)


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableSchemaError("the registry's schema is no Avro schema")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableSchemaError("the registry's schema is no Avro schema")
    return value
