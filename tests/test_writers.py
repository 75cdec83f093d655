"""What a registry may hand us as a writer's schema, and what is read by it.

The schemas here are harmless to fastavro even where they are refused: a type that holds itself without a way out would
end the process when it is read, and one that is nested 100,000 deep when it is parsed.
"""

import io
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import fastavro
import pytest

from schemas.avro.codec import decode_audience_batch, encode_audience_batch
from schemas.avro.framing import Framing, UndecodableError, schema_json
from schemas.avro.writer_schemas import MOST_DEPTH, MOST_TEXT, MOST_TYPES, UnreadableSchemaError, read_schema
from schemas.bounds import MAX_USERS
from schemas.records import AudienceBatch, AudienceUser

USER = {"type": "record", "name": "AudienceUser", "fields": [{"name": "email", "type": "string"}]}


@dataclass(slots=True)
class Registry:
    """A registry with some schemas, numbered from 0."""

    texts: list[str] = field(default_factory=list)

    def schema_id(self, record: str, schema: str) -> int:
        del record
        self.texts.append(schema)
        return len(self.texts) - 1

    def schema_text(self, schema_id: int) -> str | None:
        return self.texts[schema_id] if schema_id < len(self.texts) else None


def batch_schema(*more: Mapping[str, object], user: object = USER, name: str = "AudienceBatch") -> dict[str, object]:
    """Return a writer's schema of a batch with more fields than it must have."""
    fields = [
        {"name": "batchId", "type": "string"},
        {"name": "name", "type": "string"},
        {"name": "users", "type": {"type": "array", "items": user}},
        *more,
    ]
    return {"type": "record", "name": name, "namespace": "com.example", "fields": fields}


def extra(schema: object) -> dict[str, object]:
    """Return a field that we do not read."""
    return {"name": "extra", "type": schema}


def nested(depth: int) -> object:
    """Return arrays in arrays."""
    return "string" if not depth else {"type": "array", "items": nested(depth - 1)}


def doubling(times: int) -> object:
    """Return a type that unfolds to twice as many types with each of so many names."""
    if not times:
        return {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "string"}]}
    fields = [{"name": "a", "type": doubling(times - 1)}, {"name": "b", "type": f"R{times - 1}"}]
    return {"type": "record", "name": f"R{times}", "fields": fields}


def written(schema: Any, datum: object) -> tuple[bytes, Framing]:
    """Return a value in Confluent framing and what reads it."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), datum)
    return b"\x00\x00\x00\x00\x00" + buffer.getvalue(), Framing(Registry([json.dumps(schema)]))


OTHER = "the schema id is not of AudienceBatch"
NONE = "the registry's schema is no Avro schema"
LOOP = "the registry's schema has a type that holds itself"
NOTHING = "the registry's schema has a type of no bytes outside of a union"
LARGE = "the registry's schema is too large or too deep"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("string", OTHER),  # Kafka Connect's FileStreamSource with an Avro converter
        ("AudienceBatch", OTHER),
        (["null", batch_schema()], OTHER),
        ([], OTHER),
        (None, OTHER),
        (7, OTHER),
        ({"type": "array", "items": batch_schema()}, OTHER),
        ({"type": "object", "title": "AudienceBatch"}, OTHER),
        ({"type": "enum", "name": "AudienceBatch", "symbols": ["a"]}, OTHER),
        ({"type": {"type": "record", "name": "AudienceBatch", "fields": []}}, OTHER),
        (batch_schema(name="BatchCompletion"), OTHER),
        ({"type": "record", "name": ["AudienceBatch"], "fields": []}, OTHER),
        ({"type": "record", "name": "AudienceBatch"}, NONE),
        ({"type": "record", "name": "AudienceBatch", "fields": ["batchId"]}, NONE),
        (batch_schema({"name": "name", "type": "string"}), NONE),
        (batch_schema(extra(None)), NONE),
        (batch_schema(extra([])), NONE),
        (batch_schema(extra([["string"]])), NONE),
        (batch_schema(extra({"type": "enum", "name": "E", "symbols": [1]})), NONE),
        (batch_schema(extra({"type": "enum", "name": "E", "symbols": ["no symbol"]})), NONE),
        (batch_schema(extra("Unknown")), "the registry's schema names a type that it does not define"),
        (batch_schema(extra(USER)), "the registry's schema defines a name twice"),
        (batch_schema(extra(["null", "AudienceBatch"])), LOOP),
        (batch_schema(extra({"type": "map", "values": "com.example.AudienceBatch"})), LOOP),
        (batch_schema(user={**USER, "fields": [{"name": "of", "type": ["null", "AudienceUser"]}]}), LOOP),
        (batch_schema(user="null"), NOTHING),
        (batch_schema(user={**USER, "fields": []}), NOTHING),
        (batch_schema(extra("null")), NOTHING),
        (batch_schema(extra({"type": "array", "items": {"type": "record", "name": "N", "fields": []}})), NOTHING),
        (
            batch_schema(extra({"type": "fixed", "name": "F", "size": 0})),
            "the registry's schema has a fixed type of no size that we read",
        ),
        (
            batch_schema(extra({"type": "fixed", "name": "F", "size": 2**40})),
            "the registry's schema has a fixed type of no size that we read",
        ),
        (batch_schema(extra(nested(MOST_DEPTH + 1))), "the registry's schema is too deep"),
        (batch_schema(extra(doubling(14))), LARGE),
    ],
)
def test_a_schema_that_is_no_batch_s_is_refused_with_its_reason(schema: object, told: str) -> None:
    with pytest.raises(UnreadableSchemaError) as refused:
        read_schema("AudienceBatch", json.dumps(schema))
    assert str(refused.value) == told
    with pytest.raises(UndecodableError) as undecodable:
        decode_audience_batch(b"\x00\x00\x00\x00\x00\x06abc", Framing(Registry([json.dumps(schema)])))
    assert str(undecodable.value) == told


@pytest.mark.parametrize("text", ["", "syntax = 'proto3';", "{", "[" * 100_000, "\x00"])
def test_a_schema_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSchemaError, match="is no Avro schema"):
        read_schema("AudienceBatch", text)


def test_a_schema_is_bounded_before_it_is_looked_at() -> None:
    with pytest.raises(UnreadableSchemaError, match="too large"):
        read_schema("AudienceBatch", json.dumps({**batch_schema(), "doc": "x" * MOST_TEXT}))
    assert MOST_TYPES < 2**14


def test_more_fields_and_types_than_ours_are_read_past() -> None:
    primitives = ("boolean", "int", "long", "float", "double", "bytes")
    kinds: list[dict[str, object]] = [
        *(dict[str, object](name=kind, type=kind) for kind in primitives),
        {"name": "tree", "type": ["null", doubling(5)]},
        {"name": "again", "type": ["null", "R3"]},
        {"name": "map", "type": {"type": "map", "values": nested(5)}},
    ]
    datum = {
        "batchId": str(uuid.uuid4()),
        "name": "VIP",
        "users": [{"email": "ada@example.com"}],
        "boolean": True,
        "int": 1,
        "long": 1,
        "float": 1.0,
        "double": 1.0,
        "bytes": b"b",
        "tree": None,
        "again": None,
        "map": {"a": [[[[["b"]]]]]},
    }
    value, framing = written(batch_schema(*kinds), datum)
    found = decode_audience_batch(value, framing)
    assert (found.name, found.users) == ("VIP", [AudienceUser(email="ada@example.com")])


def test_ours_and_the_one_of_a_registry_read_the_same() -> None:
    batch = AudienceBatch(batch_id="b", name="n", accepted_at=datetime(2026, 11, 28, tzinfo=UTC), users=[])
    framing = Framing(Registry([schema_json("AudienceBatch")]))
    body = encode_audience_batch(batch)[10:]
    assert decode_audience_batch(b"\x00\x00\x00\x00\x00" + body, framing) == batch


def test_values_are_read_by_the_type_beneath_a_logical_one() -> None:
    text, whole = {"type": "string", "logicalType": "uuid"}, {"type": "long", "logicalType": "timestamp-micros"}
    day = {"type": "int", "logicalType": "time-millis"}
    schema = batch_schema({"name": "acceptedAt", "type": "long"}, {"name": "pullDate", "type": "int"})
    user = {**USER, "fields": [{"name": "email", "type": text}]}
    odd: Any = batch_schema(
        {"name": "acceptedAt", "type": whole}, {"name": "pullDate", "type": day}, extra(["null", whole]), user=user
    )
    odd["fields"][0]["type"] = text
    ident, now = str(uuid.uuid4()), 1_795_000_000_000
    for one in (schema, odd):
        plain = json.loads(json.dumps(one).replace("logicalType", "was"))
        datum = {"batchId": ident, "name": "VIP", "users": [{"email": "ada@example.com"}], "extra": None}
        buffer = io.BytesIO()
        fastavro.schemaless_writer(
            buffer, fastavro.parse_schema(plain), {**datum, "acceptedAt": now, "pullDate": 20_000}
        )
        framing = Framing(Registry([json.dumps(one)]))
        found = decode_audience_batch(b"\x00\x00\x00\x00\x00" + buffer.getvalue(), framing)
        assert (found.batch_id, found.users) == (ident, [AudienceUser(email="ada@example.com")])
        assert (found.accepted_at, found.pull_date) == (
            datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC),
            date(2024, 10, 4),
        )


@pytest.mark.parametrize("millis", [2**63 - 1, -(2**63), 253_402_300_800_000, -62_135_596_800_001])
@pytest.mark.parametrize("days", [2**31 - 1, -(2**31), 2_932_897, -719_163])
def test_a_time_that_python_can_not_hold_is_none(millis: int, days: int) -> None:
    schema = batch_schema({"name": "acceptedAt", "type": "long"}, {"name": "pullDate", "type": "int"})
    value, framing = written(
        schema, {"batchId": "b", "name": "VIP", "users": [], "acceptedAt": millis, "pullDate": days}
    )
    found = decode_audience_batch(value, framing)
    assert (found.accepted_at, found.pull_date) == (None, None)


def test_users_of_one_byte_are_read_as_far_as_a_request_may_have_them() -> None:
    schema = batch_schema()
    few, framing = written(schema, {"batchId": "b", "name": "VIP", "users": [{"email": "x" * 30}] * 20_000})
    assert len(decode_audience_batch(few, framing).users) == 20_000
    many, framing = written(schema, {"batchId": "b", "name": "VIP", "users": [{"email": ""}] * (MAX_USERS + 1)})
    with pytest.raises(UndecodableError, match="more than 250000 users"):
        decode_audience_batch(many, framing)


def test_users_that_are_only_claimed_are_not_counted() -> None:
    head = encode_audience_batch(AudienceBatch(batch_id="b", name="n", users=[]))[:-1]
    with pytest.raises(UndecodableError, match="the bytes are no AudienceBatch"):
        decode_audience_batch(head + b"\x80\x80\x80\x80\x10" + b"\x00" * 100)
    with pytest.raises(UndecodableError, match="more than 250000 users"):
        decode_audience_batch(head + b"\x80\x80\x80\x80\x10" + b"\x00" * (9 * MAX_USERS))


def test_users_of_our_own_schema_are_bounded_too() -> None:
    value = encode_audience_batch(AudienceBatch(batch_id="b", name="n", users=[AudienceUser()] * (MAX_USERS + 1)))
    with pytest.raises(UndecodableError, match="more than 250000 users"):
        decode_audience_batch(value)
