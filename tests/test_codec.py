"""Records survive the wire, whoever wrote them."""

import hashlib
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import avro.schema
import fastavro
import pytest
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from fastavro.utils import generate_many
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.blocks import user_blocks
from schemas.avro.codec import (
    content_hash,
    decode_account_registration,
    decode_audience_batch,
    decode_batch_completion,
    encode_account_registration,
    encode_audience_batch,
    encode_batch_completion,
    split,
)
from schemas.avro.fingerprints import fingerprints
from schemas.avro.framing import Framing, RegistryUnavailableError, UndecodableError, reader_schema, schema_json
from schemas.bounds import MAX_RECORD, MAX_TEXT
from schemas.records import (
    AccountRegistration,
    AudienceBatch,
    AudienceUser,
    BatchCompletion,
    Counts,
    Origin,
    Purchase,
    RejectedUser,
)
from streams.client.schema_registry import ConfluentRegistry

SCHEMAS = Path(__file__).parent.parent / "schemas"
RECORDS = sorted(path.stem for path in SCHEMAS.glob("*.avsc"))

texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
longs = st.none() | st.integers(0, 2**53)
times = st.integers(0, 4 * 10**12).map(lambda millis: datetime.fromtimestamp(millis / 1000, UTC).replace(microsecond=0))
purchases = st.builds(Purchase, currency=texts, profit=numbers, total_7_days=numbers)
users = st.builds(
    AudienceUser,
    edge_tag_id=texts,
    email=texts,
    phone=texts,
    first_name=texts,
    last_name=texts,
    country=texts,
    postal_code=texts,
    purchase=st.none() | purchases,
)
batches = st.builds(
    AudienceBatch,
    batch_id=st.uuids().map(str),
    content_hash=st.none() | st.binary(min_size=32, max_size=32),
    session_id=texts,
    sequence=longs,
    total_batches=longs,
    total_users=longs,
    pull_date=st.none() | st.dates(date(1970, 1, 1), date(2200, 1, 1)),
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=50),
    type=st.sampled_from(["custom", "primary"]),
    disable_prefix=st.booleans(),
    channels=st.none() | st.lists(st.sampled_from(["facebook", "tiktok/eu"])),
    accepted_at=st.none() | times,
    users=st.lists(users, max_size=20),
)


@given(batches)
def test_a_batch_comes_back_as_it_was_written(batch: AudienceBatch) -> None:
    assert decode_audience_batch(encode_audience_batch(batch)) == batch


@given(batches)
def test_any_avro_library_reads_what_we_write(batch: AudienceBatch) -> None:

    value = io.BytesIO(encode_audience_batch(batch)[10:])
    read = fastavro.schemaless_reader(value, parse_schema(json.loads(schema_json("AudienceBatch"))))
    assert isinstance(read, dict)
    assert [user["email"] for user in read["users"]] == [user.email for user in batch.users]


@given(st.lists(users, min_size=1, max_size=60), st.integers(1200, 6000))
@settings(max_examples=40)
def test_a_split_request_keeps_every_user_in_order_and_every_record_small(
    people: list[AudienceUser], limit: int
) -> None:
    batch = AudienceBatch(batch_id="b", name="VIP", users=people)
    blocks = list(user_blocks(people, 200))
    values = [part.value for part in split(batch, blocks, max_record=limit)]
    parts = [decode_audience_batch(value) for value in values]
    assert [user for part in parts for user in part.users] == people
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert {part.parts for part in parts} == {len(parts)}
    assert [part.first_index for part in parts] == [
        sum(len(before.users) for before in parts[:place]) for place in range(len(parts))
    ]
    largest_user = max(len(block.items) for block in blocks)
    assert all(len(value) <= max(limit, largest_user + 400) for value in values)


def test_a_user_with_every_field_at_its_longest_fits_into_a_record() -> None:
    longest = "\U0001f600" * MAX_TEXT
    user = AudienceUser(
        edge_tag_id=longest, email=longest, phone=longest, first_name=longest, last_name=longest, country=longest,
        postal_code=longest, purchase=Purchase(currency=longest),
    )  # fmt: skip
    batch = AudienceBatch(batch_id="b", name="n" * 255, users=[user] * 200)
    assert all(len(part.value) <= MAX_RECORD for part in split(batch, list(user_blocks(batch.users))))


@given(st.lists(users, min_size=1, max_size=30), st.integers(100, 2000))
def test_the_content_hash_does_not_depend_on_how_users_are_cut_into_blocks(
    people: list[AudienceUser], size: int
) -> None:
    batch = AudienceBatch(batch_id="b", name="VIP", users=people)
    assert content_hash(batch, list(user_blocks(people, size))) == content_hash(batch, list(user_blocks(people)))


def test_the_content_hash_tells_requests_apart_by_name_type_options_and_users_only() -> None:
    def digest(**changes: object) -> bytes:
        batch = AudienceBatch(**{"batch_id": "b", "name": "VIP", "users": [AudienceUser(email="a")], **changes})  # type: ignore[arg-type] # any field
        return content_hash(batch, list(user_blocks(batch.users)))

    same = digest()
    assert digest(batch_id="c", session_id="7", sequence=3) == same
    others = [
        digest(name="VIPs"),
        digest(type="primary"),
        digest(disable_prefix=True),
        digest(channels=["facebook"]),
        digest(users=[AudienceUser(email="b")]),
    ]
    assert len({same, *others}) == 6
    assert same == hashlib.sha256(b"\x06VIP" + b"\x00" + b"\x00" + b"\x00" + b"\x00\x02\x02a" + b"\x00" * 6).digest()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_undecodable_and_nothing_worse(value: bytes) -> None:
    for framed in (value, encode_audience_batch(AudienceBatch(batch_id="b", name="n", users=[]))[:10] + value):
        try:
            decode_audience_batch(framed)
        except UndecodableError:
            continue
        assert len(framed) > 10


@given(batches, st.data())
def test_a_truncated_record_is_undecodable(batch: AudienceBatch, data: st.DataObject) -> None:
    value = encode_audience_batch(batch)
    cut = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(UndecodableError):
        decode_audience_batch(value[:cut])


def test_a_completion_and_a_registration_come_back_as_they_were_written() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    completion = BatchCompletion(
        batch_id="b",
        part=1,
        parts=2,
        origin=Origin(topic="t", partition=3, offset=4),
        provider="facebook",
        account="eu",
        status="partial",
        counts=Counts(received=3, accepted=2, rejected=1, matched=1),
        rejected_users=[RejectedUser(index=7, field="email", reason="not_an_email")],
        rejected_reasons={"email: not_an_email": 1},
        request_ids=["r"],
        attempts=2,
        started_at=now,
        finished_at=now,
        shared_calls=["c"],
        shared_unplaced=2,
    )
    assert decode_batch_completion(encode_batch_completion(completion)) == completion
    registration = AccountRegistration(provider="facebook", first_offsets=[1, 2], registered_at=now)
    assert decode_account_registration(encode_account_registration(registration)) == registration


def test_confluent_framing_is_written_with_a_registry_and_both_framings_are_read() -> None:
    topics = {"AudienceBatch": "audience.batches", "BatchCompletion": "audience.completions"}
    framing = Framing(ConfluentRegistry("mock://", topics))
    batch = AudienceBatch(batch_id="b", name="VIP", users=[AudienceUser(email="a")])
    framed = encode_audience_batch(batch, framing)
    assert framed[:1] == b"\x00"
    assert decode_audience_batch(framed, framing) == batch
    assert decode_audience_batch(encode_audience_batch(batch), framing) == batch
    with pytest.raises(UndecodableError):
        decode_audience_batch(framed)
    with pytest.raises(UndecodableError):
        decode_batch_completion(framed, framing)
    with pytest.raises(UndecodableError):
        decode_audience_batch(b"\x00\x00\x00\x03\xe7" + framed[5:], framing)


def test_a_registry_that_does_not_answer_is_no_fault_of_the_record() -> None:
    framing = Framing(ConfluentRegistry("http://127.0.0.1:9", {"AudienceBatch": "t"}))
    with pytest.raises(RegistryUnavailableError):
        decode_audience_batch(b"\x00\x00\x00\x00\x01abc", framing)


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_is_documented(record: str) -> None:
    def undocumented(schema: object) -> list[str]:
        if isinstance(schema, list):
            return [found for part in schema for found in undocumented(part)]
        if not isinstance(schema, dict):
            return []
        missing = [schema["name"]] if schema["type"] in ("record", "enum") and not schema.get("doc") else []
        for field in schema.get("fields", ()):
            missing += [] if field.get("doc") else [field["name"]]
            missing += undocumented(field["type"])
        return missing + undocumented(schema.get("items"))

    assert undocumented(json.loads(schema_json(record))) == []


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_reads_every_version_that_was_released(record: str) -> None:
    """BACKWARD_TRANSITIVE: today's schema resolves data of all released ones; a change needs a released copy."""
    released = sorted((SCHEMAS / "released" / record).glob("*.avsc"))
    marks = {fingerprint(to_parsing_canonical_form(json.loads(p.read_text())), "CRC-64-AVRO") for p in released}
    today = fingerprint(to_parsing_canonical_form(json.loads(schema_json(record))), "CRC-64-AVRO")
    assert today in marks
    for path in released:
        old = parse_schema(json.loads(path.read_text()))
        for datum in generate_many(old, 20):
            buffer = io.BytesIO()
            fastavro.schemaless_writer(buffer, old, datum)
            buffer.seek(0)
            fastavro.schemaless_reader(buffer, old, reader_schema(record))


def test_every_enum_has_a_default() -> None:
    def enums(schema: object) -> list[dict[str, object]]:
        if isinstance(schema, list):
            return [found for part in schema for found in enums(part)]
        if not isinstance(schema, dict):
            return []
        own = [schema] if schema.get("type") == "enum" else []
        inner = [found for field in schema.get("fields", ()) for found in enums(field["type"])]
        return own + inner

    for record in RECORDS:
        assert all("default" in enum for enum in enums(json.loads(schema_json(record))))


def test_users_come_last_in_blocks_that_carry_their_size() -> None:
    fields = json.loads(schema_json("AudienceBatch"))["fields"]
    assert fields[-1]["name"] == "users"
    value = encode_audience_batch(AudienceBatch(batch_id="b", name="n", users=[AudienceUser(email="a")] * 3))
    items = b"\x00\x02\x02a" + b"\x00" * 6
    assert value.endswith(b"\x05" + bytes([len(items) * 3 * 2]) + items * 3 + b"\x00")


@pytest.mark.parametrize("record", RECORDS)
def test_a_value_is_read_under_each_fingerprint_that_libraries_give_its_schema(record: str) -> None:
    released = [path.read_text() for path in sorted((SCHEMAS / "released" / record).glob("*.avsc"))]
    for text in (schema_json(record), *released):
        marks = fingerprints(text)
        canonical = to_parsing_canonical_form(json.loads(text))
        assert marks[0] == bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
        assert marks[1] == avro.schema.parse(text).fingerprint("CRC-64-AVRO")
        assert [Framing().open(record, b"\xc3\x01" + mark + b"rest")[1] for mark in marks] == [b"rest"] * 3


def test_the_fingerprints_of_a_batch_are_those_that_libraries_were_seen_to_write() -> None:
    """Java and fastavro; Python's avro, Rust's apache-avro and goavro; hamba/avro."""
    told = [mark.hex() for mark in fingerprints(schema_json("AudienceBatch"))]
    assert told == ["45f7c84a6072c331", "387449b304203049", "7685c6ec685c4c6a"]
