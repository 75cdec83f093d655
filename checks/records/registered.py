"""Values that name their schema by the id of a registry, and a registry that has some which it should not."""

import json
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

from checks.records.values import ADDITION, MUTATIONS, REMOVAL, Made, changed, encoded, made_of, right_fields
from schemas.avro.framing import CONFLUENT_MARKER, schema_json

MUTATED = 0.4
"""Share of these values whose bytes are changed."""

NOWHERE = 999_999
"""An id that no schema has."""

Body = Callable[[Mapping[str, Any]], bytes]


@cache
def schemas() -> Sequence[str]:
    """Return what the registry has; the id of each is its place."""
    loop = {"type": "record", "name": "AudienceBatch", "fields": [{"name": "it", "type": ["null", "AudienceBatch"]}]}
    others = ('"string"', schema_json("BatchReceipt"), "no schema", json.dumps(loop), "")
    return schema_json(ADDITION), schema_json(REMOVAL), _of_more_fields(), *others


@cache
def _of_more_fields() -> str:
    """Return the schema of a writer who says more of a batch than we read."""
    schema = json.loads(schema_json(ADDITION))
    extra = {"name": "extra", "type": {"type": "array", "items": ["null", "string"]}, "default": []}
    schema["fields"].insert(1, extra)
    return json.dumps(schema)


def _more(fields: Mapping[str, Any]) -> bytes:
    buffer = BytesIO()
    schemaless_writer(buffer, parse_schema(json.loads(_of_more_fields())), {**fields, "extra": ["x", None] * 100})
    return buffer.getvalue()


def _added(fields: Mapping[str, Any]) -> bytes:
    return encoded(ADDITION, fields)


def _removed(fields: Mapping[str, Any]) -> bytes:
    return encoded(REMOVAL, fields)


FRAMES: Sequence[tuple[str, int, Body]] = (
    ("registered addition", 0, _added),
    ("registered removal", 1, _removed),
    ("registered addition of more fields", 2, _more),
    ("registered text", 3, lambda _: b"\x0aline."),
    ("registered receipt", 4, _added),
    ("registered as no schema", 5, _added),
    ("registered as what holds itself", 6, lambda _: b"\x02\x02\x00"),
    ("registered as nothing", 7, _added),
    ("not registered", NOWHERE, _added),
    ("registered without bytes", 0, lambda _: b""),
)


def registered(chance: random.Random, number: int) -> Made:
    """Return a value that names its schema by an id, the next one by the next number; some with bytes changed."""
    kind, schema_id, body = FRAMES[number % len(FRAMES)]
    fields = right_fields(chance)
    value = CONFLUENT_MARKER + struct.pack(">I", schema_id) + body(fields)
    made = replace(made_of(kind, REMOVAL if body is _removed else ADDITION, fields), kind=kind, value=value)
    if chance.random() < MUTATED:
        return replace(made, kind=f"{kind}, changed", value=changed(chance, value, chance.choice(MUTATIONS)))
    return made


@dataclass(slots=True)
class Registry:
    """A registry with these schemas, and those that are registered with it."""

    texts: list[str] = field(default_factory=lambda: list(schemas()))

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id of a schema, registering it if need be."""
        del record
        if schema not in self.texts:
            self.texts.append(schema)
        return self.texts.index(schema)

    def schema_text(self, schema_id: int) -> str | None:
        """Return the schema with an id, None if there is none."""
        return self.texts[schema_id] if schema_id < len(self.texts) else None
