import socket
from collections.abc import Iterator

import pytest

from schemas.framing import Framing, RegistryUnavailableError, SchemaRegistry, schema_json
from streams import registry
from streams.registry import ConfluentRegistry

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
