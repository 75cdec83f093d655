"""How an Avro value says which schema wrote it: single-object encoding or Confluent framing."""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Protocol, cast

from fastavro.schema import parse_schema

from schemas.avro.fingerprints import fingerprints
from schemas.avro.writer_schemas import Schema, UnreadableSchemaError, WriterSchema, read_schema

SINGLE_OBJECT_MARKER = b"\xc3\x01"
CONFLUENT_MARKER = b"\x00"


class UndecodableError(Exception):
    """The value is no Avro record of the expected schema."""


class UnencodableError(Exception):
    """A record of ours can't be encoded: it holds what its schema can't."""


class RegistryUnavailableError(Exception):
    """The schema registry did not answer; the same value may be decodable later."""


class SchemaRegistry(Protocol):
    """Ids of schemas, kept by a registry. Both calls block, and keep what they have learned."""

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id under which the schema of a record is registered, registering it if need be.

        Raises RegistryUnavailableError.
        """

    def schema_text(self, schema_id: int) -> str | None:
        """Return the schema with this id, None if there is none. Raises RegistryUnavailableError."""


def schema_json(record: str) -> str:
    """Return the text of a record's `.avsc`."""
    return files("schemas").joinpath(f"{record}.avsc").read_text(encoding="utf-8")


@cache
def reader_schema(record: str) -> Schema:
    """Return the schema by which we write a record, and which `todays_writer` reads."""
    return cast(Schema, parse_schema(json.loads(schema_json(record))))


@cache
def todays_writer(record: str) -> WriterSchema:
    """Return the schema of a record as we read by it."""
    return read_schema(record, schema_json(record), with_defaults=True)


@cache
def _single_object_header(record: str) -> bytes:
    return SINGLE_OBJECT_MARKER + fingerprints(schema_json(record))[0]


@cache
def _schemas_by_header(record: str) -> dict[bytes, WriterSchema]:
    """Every schema of a record that was ever released, and today's, by its single-object headers."""
    released = files("schemas").joinpath("released", record)
    texts = [path.read_text(encoding="utf-8") for path in released.iterdir()]
    every = [*((text, read_schema(record, text)) for text in texts), (schema_json(record), todays_writer(record))]
    return {SINGLE_OBJECT_MARKER + mark: schema for text, schema in every for mark in fingerprints(text)}


@cache
def _ours(record: str) -> Sequence[Schema]:
    return [schema.plain for schema in _schemas_by_header(record).values()]


def is_ours(record: str, schema: WriterSchema) -> bool:
    """Tell whether a schema is today's of a record, or one that was ever released."""
    return schema.plain in _ours(record)


@lru_cache(maxsize=256)
def _registered(record: str, text: str) -> WriterSchema | str:
    """Return the schema of a registry, today's if it is the same, or what is wrong: many may name a wrong one."""
    try:
        found, todays = read_schema(record, text), read_schema(record, schema_json(record))
    except UnreadableSchemaError as error:
        return str(error)
    return todays_writer(record) if found.plain == todays.plain else found


def is_framed(value: bytes) -> bool:
    """Tell whether a value names its schema by the id of a registry, as far as its first byte and length tell."""
    return value[:1] == CONFLUENT_MARKER and len(value) >= 5


@dataclass(frozen=True, slots=True)
class Framing:
    """Put the mark of a schema before a value, and read either kind of mark.

    With a registry values are written in Confluent framing, without one in single-object encoding.
    """

    registry: SchemaRegistry | None = None

    def header(self, record: str) -> bytes:
        """Return the bytes that come before a value. Raises RegistryUnavailableError."""
        if self.registry is None:
            return _single_object_header(record)
        schema_id = self.registry.schema_id(record, schema_json(record))
        return CONFLUENT_MARKER + struct.pack(">I", schema_id)

    def open(self, record: str, value: bytes) -> tuple[WriterSchema, memoryview]:
        """Return the schema that wrote a value, and the value without its mark.

        Raises UndecodableError, RegistryUnavailableError.
        """
        if value[:2] == SINGLE_OBJECT_MARKER:
            schema = _schemas_by_header(record).get(value[:10])
            if schema is None:
                raise UndecodableError(f"unknown fingerprint for {record}")
            return schema, memoryview(value)[10:]
        if not is_framed(value):
            raise UndecodableError("no known framing")
        if self.registry is None:
            raise UndecodableError("no known framing without a schema registry, SCHEMA_REGISTRY_URL")
        return self._registered(record, value), memoryview(value)[5:]

    def is_of(self, record: str, value: bytes) -> bool:
        """Tell whether a value says that a schema of this record wrote it. Raises RegistryUnavailableError."""
        try:
            self.open(record, value)
        except UndecodableError:
            return False
        return True

    def reads(self, *records: str) -> str:
        """Return what changes with the schemas that values of these records can be read by."""
        marks = sorted(mark for record in records for mark in _schemas_by_header(record))
        known = hashlib.sha256(b"".join(marks)).hexdigest()
        return known if self.registry is None else f"{known} and those of a registry"

    def _registered(self, record: str, value: bytes) -> WriterSchema:
        assert self.registry is not None  # noqa: S101 -- only called where there is one
        text = self.registry.schema_text(struct.unpack(">I", value[1:5])[0])
        if text is None:
            raise UndecodableError("unknown schema id")
        schema = _registered(record, text)
        if isinstance(schema, str):
            raise UndecodableError(schema)
        return schema


SINGLE_OBJECT = Framing()
