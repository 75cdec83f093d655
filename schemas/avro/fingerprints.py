"""The fingerprints of a schema: Avro libraries disagree on the canonical form of a type that has a logical type."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastavro.schema import fingerprint

from schemas.avro.writer_schemas import Schema

Form = Callable[[Schema], object]
"""What a form makes of a primitive type that is written as an object."""


def _name(schema: Schema) -> object:
    return schema["type"]


def _object(schema: Schema) -> object:
    return {"type": schema["type"]}


def _with_logical_type(schema: Schema) -> object:
    logical = {"logicalType": schema["logicalType"]} if "logicalType" in schema else {}
    return {"type": schema["type"], **logical} if logical else schema["type"]


FORMS: Mapping[str, Form] = {
    "Avro's specification; Java, fastavro": _name,
    "Python's avro, Rust's apache-avro, goavro": _object,
    "hamba/avro": _with_logical_type,
}
"""How libraries write `{"type": "int", "logicalType": "date"}` in their parsing canonical form."""


def fingerprints(text: str) -> list[bytes]:
    """Return the CRC-64-AVRO fingerprints of a schema, in the order of FORMS, as values carry them."""
    schema = json.loads(text)
    forms = (json.dumps(_canonical(schema, "", form), separators=(",", ":")) for form in FORMS.values())
    return [bytes.fromhex(fingerprint(form, "CRC-64-AVRO")) for form in forms]


def _canonical(schema: Any, namespace: str, form: Form) -> object:
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return [_canonical(branch, namespace, form) for branch in schema]
    kind = schema["type"]
    if kind in ("array", "map"):
        inside = "items" if kind == "array" else "values"
        return {"type": kind, inside: _canonical(schema[inside], namespace, form)}
    return _named(schema, namespace, form) if "name" in schema else form(schema)


def _named(schema: Schema, namespace: str, form: Form) -> object:
    space = schema.get("namespace", namespace)
    named = {"name": f"{space}.{schema['name']}" if space else schema["name"], "type": schema["type"]}
    if schema["type"] == "enum":
        return {**named, "symbols": schema["symbols"]}
    if schema["type"] == "fixed":
        return {**named, "size": schema["size"]}
    return {**named, "fields": _fields(schema["fields"], space, form)}


def _fields(fields: Sequence[Schema], namespace: str, form: Form) -> list[object]:
    return [{"name": one["name"], "type": _canonical(one["type"], namespace, form)} for one in fields]
