"""A schema with the ones that it refers to put in their places, as if it had been written in one piece."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.avro.writer_schemas import Schema

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def inlined(text: str, referenced: Mapping[str, str]) -> str:
    """Return a schema with each type that others define, by its full name, defined where it comes first.

    Each is put in once, so that types which refer to each other come to an end; who reads the schema refuses those.
    A text that can't be read is returned as it is.
    """
    if not referenced:
        return text
    try:
        return json.dumps(
            _Inlining({name: json.loads(each) for name, each in referenced.items()}).type(json.loads(text))
        )
    except (ValueError, RecursionError):
        return text


@dataclass(slots=True)
class _Inlining:
    """Goes through one schema."""

    left: dict[str, Any] = field(default_factory=dict)
    """What is not put in yet."""

    def type(self, schema: Any, namespace: str = "") -> Any:
        """Return a type with what it names."""
        if isinstance(schema, str):
            return self._named(schema, namespace)
        if isinstance(schema, list):
            return [self.type(branch, namespace) for branch in schema]
        return self._complex(schema, namespace) if isinstance(schema, dict) else schema

    def _named(self, name: str, namespace: str) -> Any:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        full = full if full in self.left else name
        if name in _PRIMITIVES or full not in self.left:
            return name
        defined = self.left.pop(full)
        if isinstance(defined, dict):
            space = full.rpartition(".")[0]
            defined = {**defined, "name": full.rpartition(".")[2], "namespace": space}
        return self.type(defined)

    def _complex(self, schema: Schema, namespace: str) -> Schema:
        space, found = schema.get("namespace"), dict(schema)
        inner = space if isinstance(space, str) else str(schema.get("name", "")).rpartition(".")[0] or namespace
        for inside in ("items", "values"):
            if inside in schema:
                found[inside] = self.type(schema[inside], namespace)
        if not isinstance(schema.get("type"), str):
            found["type"] = self.type(schema.get("type"), namespace)
        if isinstance(schema.get("fields"), list):
            found["fields"] = [self._field(each, inner) for each in schema["fields"]]
        return found

    def _field(self, each: Any, namespace: str) -> Any:
        return {**each, "type": self.type(each.get("type"), namespace)} if isinstance(each, dict) else each
