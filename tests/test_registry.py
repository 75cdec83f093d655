import socket
from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference

from schemas.avro.codec import decode_audience_batch
from schemas.avro.framing import Framing, RegistryUnavailableError, SchemaRegistry, UndecodableError, schema_json
from schemas.avro.writer_schemas import MOST_DEPTH
from schemas.records import AudienceUser
from streams.client import schema_registry as registry
from streams.client.schema_registry import ConfluentRegistry

TOPICS = {"AudienceBatch": "audience.batches", "AccountRegistration": "audience.accounts"}


def test_a_schema_is_registered_under_its_topics_subject_and_found_by_its_id() -> None:
    found: SchemaRegistry = ConfluentRegistry("mock://", TOPICS)
    text = schema_json("AudienceBatch")

    schema_id = found.schema_id("AudienceBatch", text)

    assert found.schema_id("AudienceBatch", text) == schema_id
    assert found.schema_text(schema_id) == text
    assert schema_id != found.schema_id("AccountRegistration", schema_json("AccountRegistration"))


def test_an_id_that_the_registry_does_not_have_is_none() -> None:
    assert ConfluentRegistry("mock://", TOPICS).schema_text(12345) is None


def test_a_framed_value_is_opened_by_the_schema_that_wrote_it() -> None:
    framing = Framing(ConfluentRegistry("mock://", TOPICS))

    schema, body = framing.open("AudienceBatch", framing.header("AudienceBatch") + b"rest")

    assert (schema.plain["name"].rpartition(".")[2], bytes(body)) == ("AudienceBatch", b"rest")


def test_a_record_without_a_topic_is_a_mistake_of_the_caller_not_of_the_registry() -> None:
    with pytest.raises(KeyError):
        ConfluentRegistry("mock://", TOPICS).schema_id("BatchReceipt", "{}")


USER = """{"type": "record", "name": "AudienceUser", "namespace": "crm", "fields": [
    {"name": "email", "type": ["null", "string"]}, {"name": "place", "type": ["null", "crm.Place"]}]}"""
PLACE = """{"type": "record", "name": "Place", "namespace": "crm", "fields": [{"name": "of", "type": "string"}]}"""
BATCH = """{"type": "record", "name": "AudienceBatch", "fields": [
    {"name": "batchId", "type": "string"}, {"name": "name", "type": "string"},
    {"name": "users", "type": {"type": "array", "items": "crm.AudienceUser"}},
    {"name": "more", "type": ["null", "crm.AudienceUser"]}]}"""


def registered(found: ConfluentRegistry, subject: str, text: str, *names: str) -> int:
    references = [SchemaReference(name, name, 1) for name in names]
    schema_id: int = found._client.register_schema(subject, Schema(text, "AVRO", references))
    return schema_id


def test_a_schema_that_refers_to_others_is_read_with_them() -> None:
    found = ConfluentRegistry("mock://", TOPICS)
    registered(found, "crm.Place", PLACE)
    registered(found, "crm.AudienceUser", USER, "crm.Place")
    schema_id = registered(found, "batch", BATCH, "crm.AudienceUser")
    value = b"\x00" + schema_id.to_bytes(4, "big") + b"\x02b\x06VIP" + b"\x02\x02\x02a\x02\x02x\x00" + b"\x00"
    assert decode_audience_batch(value, Framing(found)).users == [AudienceUser(email="a")]


def test_schemas_that_refer_to_each_other_or_to_nothing_are_undecodable() -> None:
    found = ConfluentRegistry("mock://", TOPICS)
    registered(found, "crm.Place", PLACE.replace('"string"', '["null", "crm.AudienceUser"]'), "crm.AudienceUser")
    registered(found, "crm.AudienceUser", USER, "crm.Place")
    around = registered(found, "batch", BATCH, "crm.AudienceUser")
    nothing = registered(found, "other", BATCH.replace('"more"', '"other"'))
    for schema_id, told in ((around, "holds itself"), (nothing, "does not define")):
        with pytest.raises(UndecodableError, match=told):
            decode_audience_batch(b"\x00" + schema_id.to_bytes(4, "big") + b"\x02b\x06VIP\x00\x00", Framing(found))


OTHER = """{"type": "record", "name": "Other%d", "namespace": "crm", "fields": [{"name": "next", "type": "%s"}]}"""


def opened_with(found: ConfluentRegistry, *names: str) -> list[AudienceUser]:
    """Read a batch whose schema names more types than ours, of which its value has none."""
    more = ", ".join(f'"{name}"' for name in names)
    text = BATCH.replace('"null", "crm.AudienceUser"', f'"null", {more}')
    schema_id = registered(found, "batch", text, "crm.AudienceUser", *names)
    value = b"\x00" + schema_id.to_bytes(4, "big") + b"\x02b\x06VIP" + b"\x02\x02\x02a\x00\x00" + b"\x00"
    return decode_audience_batch(value, Framing(found)).users


def test_a_schema_may_refer_to_fifty_others_and_not_to_one_more() -> None:
    found = ConfluentRegistry("mock://", TOPICS)
    registered(found, "crm.AudienceUser", USER.replace("crm.Place", "string"))
    names = [f"crm.Other{number}" for number in range(registry.MOST_REFERENCES)]
    for number, name in enumerate(names):
        registered(found, name, OTHER % (number, "string"))
    assert opened_with(found, *names[1:]) == [AudienceUser(email="a")]
    with pytest.raises(UndecodableError, match="names a type that it does not define"):
        opened_with(found, *names)


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (10, None),
        (MOST_DEPTH + 1, "too deep"),
        (registry.MOST_REFERENCES + 1, "too deep"),
    ],
)
def test_schemas_that_refer_to_the_next_one_each_are_read_up_to_a_depth(length: int, told: str | None) -> None:
    found = ConfluentRegistry("mock://", TOPICS)
    registered(found, "crm.AudienceUser", USER.replace("crm.Place", "string"))
    registered(found, "crm.Other0", OTHER % (0, "string"))
    for number in range(1, length):
        registered(found, f"crm.Other{number}", OTHER % (number, f"crm.Other{number - 1}"), f"crm.Other{number - 1}")
    if told is None:
        assert opened_with(found, f"crm.Other{length - 1}") == [AudienceUser(email="a")]
        return
    with pytest.raises(UndecodableError, match=told):
        opened_with(found, f"crm.Other{length - 1}")


@pytest.fixture
def nowhere() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_registry_that_does_not_answer_is_unavailable(nowhere: str) -> None:
    unreachable = ConfluentRegistry(nowhere, TOPICS)

    with pytest.raises(RegistryUnavailableError, match="did not return schema 1"):
        unreachable.schema_text(1)
    assert registry.TIMEOUT < 10
