"""Whoever publishes to the topic without the endpoint: by the helper, the command, kcat, or any Avro library."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, date, datetime
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import clean_environ
from test_one_record import ledger
from test_parking import Registry
from test_pipeline import hashes, minimal_record
from tools import needs
from world import ALL, World, headers_on, make_batch, make_users, world

from audience import AudiencePublisher, InvalidBatchError, NotConfirmedError, NothingWrittenError, Published
from producer.records import encode
from schemas.avro.blocks import user_blocks
from schemas.avro.codec import decode_audience_batch, decode_batch_completion, decode_batch_receipt
from schemas.avro.framing import SINGLE_OBJECT, Framing, schema_json
from schemas.bounds import MAX_RECORD
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion, Origin, Purchase
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, TopicSpec, ensure_topics
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end
from streams.tables.removals import know_removals
from streams.write.writer import Writer

ROOT = Path(__file__).parent.parent
ADA = AudienceUser(email="ada@example.com")


@pytest.fixture
async def log_topic(kafka: KafkaSettings, topic_prefix: str) -> str:
    """The log of a prefix that nobody reads; returns the prefix."""
    await ensure_topics(kafka, [TopicSpec(TopicNames(topic_prefix).batches, 3)])
    return topic_prefix


@pytest.fixture(scope="module")
async def unread(kafka: KafkaSettings) -> AsyncIterator[tuple[AudiencePublisher, str]]:
    """A publisher whose log nobody reads, and the log's name."""
    prefix = f"test-{token_hex(6)}"
    topic = TopicNames(prefix).batches
    await ensure_topics(kafka, [TopicSpec(topic, 3)])
    async with AudiencePublisher(kafka, prefix=prefix) as publisher:
        yield publisher, topic


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A port of this machine that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


async def command(folder: Path, where: Mapping[str, str], *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """Run `audience publish` in a folder with some standard input; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", "publish", "--name", "VIP", *arguments,
        cwd=folder, env=clean_environ(folder, **where),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(given), 60)
    return process.returncode or 0, output.decode(), errors.decode()


def at(kafka: KafkaSettings, prefix: str) -> dict[str, str]:
    """Return the settings by which a command finds a log."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": prefix}


async def records(kafka: KafkaSettings, published: Published) -> list[Record]:
    """Return the records of a batch, part by part, from where they are said to stand."""
    found = {record.origin: record for record in await read_to_end(kafka, published.origins[0].topic)}
    return [found[origin] for origin in published.origins]


async def test_what_the_helper_publishes_reaches_every_platform(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix) as found, AudiencePublisher(kafka, prefix=topic_prefix) as publisher:
        typed = AudienceUser(email="person1@example.com", purchase=Purchase(currency="EUR", profit=1.5))
        mapping = MappingProxyType({"email": "person2@example.com", "tag": "unknown"})
        published = await publisher.publish([*make_users(1), typed, mapping, {"phone": 14155550100}], name="VIP")
        assert published.ignored == 1
        ended = await found.completions(3)
        assert {(c.batch_id, c.origin, c.status) for c in ended} == {
            (published.batch_id, published.origins[0], "delivered")
        }
        phone = await found.members("facebook") - hashes(0, 1, 2)
        assert len(phone) == 1
        assert await found.members("tiktok") >= hashes(0, 1, 2)
        assert await found.members("klaviyo") == {*((f"person{n}@example.com",) for n in range(3)), ("+14155550100",)}


async def test_a_large_list_goes_in_several_parts_of_one_batch(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with (
        world(kafka, topic_prefix, providers=["facebook"]) as found,
        AudiencePublisher(kafka, prefix=topic_prefix) as publisher,
    ):
        users = [{**user, "lastName": "x" * 900} for user in make_users(4000)]
        published = await publisher.publish([*users, {"email": "nobody"}], name="VIP", total_users=4001)
        assert len(published.origins) >= 4
        ended = await found.completions(len(published.origins))
        assert {c.origin for c in ended} == set(published.origins)
        assert {c.parts for c in ended} == {len(published.origins)}
        assert [user.index for c in ended for user in c.rejected_users] == [4000]
        assert len(await found.members("facebook")) == 4000


async def test_the_helper_writes_what_the_endpoint_writes(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with (
        world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found,
        AudiencePublisher(kafka, prefix=topic_prefix) as publisher,
    ):
        users = [{**user, "lastName": "x" * 900, "phone": 5.0} for user in make_users(1500)]
        place = make_batch(sessionId=7.0, totalUsers=1500, pullDate="2026-02-28")
        query = "?disablePrefix=1&channels=facebook"
        assert (await found.upload(users, query, batch=place, name="Größte", extra={"type": "primary"}))[0] == 200
        published = await publisher.publish(
            users, name="Größte", type="primary", disable_prefix=True, channels=["facebook"], session_id=7.0,
            sequence=1, total_batches=1, total_users=1500, pull_date=date(2026, 2, 28),
        )  # fmt: skip
        everything = await read_to_end(kafka, found.names.batches)
        direct = [record for record in everything if record.origin in published.origins]
        uploaded = [record for record in everything if record.origin not in published.origins]
        assert len(direct) == len(uploaded) > 1
        assert {record.key for record in everything} == {"primary:Größte".encode()}
        sent_by = {"content-type": b"application/vnd.audience.batch+avro", "audience-source": b"direct"}
        told = await asyncio.to_thread(headers_on, kafka, found.names.batches)
        assert told.count(sent_by) == len(direct)
        assert [_alike(record) for record in direct] == [_alike(record) for record in uploaded]
        ours = decode_audience_batch(direct[0].value)
        assert ours.batch_id == published.batch_id
        assert ours.accepted_at is not None
        assert abs((datetime.now(UTC) - ours.accepted_at).total_seconds()) < 60


def _alike(record: Record) -> AudienceBatch:
    batch = decode_audience_batch(record.value)
    return msgspec.structs.replace(batch, batch_id="", accepted_at=None)


REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "no users": ({"users": []}, "users: expected at least one"),
    "too many users": ({"users": b"[" + b"{}," * 250_000 + b"{}]"}, "users: expected at most 250000"),
    "an empty name": ({"name": " "}, "name: expected 1 to 255 characters"),
    "a long name": ({"name": "n" * 256}, "name: expected 1 to 255 characters"),
    "half a character": ({"name": "\ud800"}, "name, sessionId, channels: expected text that UTF-8 can hold"),
    "a batch id": ({"batch_id": "7"}, "batchId: expected a UUID"),
    "an empty batch id": ({"batch_id": ""}, "batchId: expected a UUID"),
    "another type": ({"type": "secret-value"}, "type: expected custom or primary"),
    "no channel": ({"channels": []}, "channels: expected a list of targets"),
    "a text as channels": ({"channels": "facebook"}, "channels: expected a list of targets"),
    "a wrong channel": ({"channels": ["Facebook"]}, "channels: write a target as"),
    "a sequence beyond the total": ({"sequence": 3, "total_batches": 2}, "sequence: expected 0 to totalBatches"),
    "a negative sequence": ({"sequence": -1}, "sequence: expected a whole number"),
    "a sequence as text": ({"sequence": "1"}, "sequence: expected a whole number"),
    "a huge total": ({"total_users": 2**60}, "totalUsers: expected a whole number"),
    "no date": ({"pull_date": "2026-02-30"}, "pullDate: expected a date as YYYY-MM-DD"),
    "a moment": ({"pull_date": datetime(2026, 2, 3, tzinfo=UTC)}, "pullDate: expected a date as YYYY-MM-DD"),
    "an endless session": ({"session_id": float("inf")}, "sessionId: expected a number"),
    "an empty session": ({"session_id": ""}, "sessionId: expected a number"),
    "a long session": ({"session_id": "s" * 2000}, "sessionId: expected a number"),
    "no JSON": ({"users": b"secret-value"}, "users: not JSON at byte 0"),
    "an object": ({"users": b'{"email": "secret-value"}'}, "users: expected array"),
    "a member almost known": (
        {"users": [{"Email": "secret-value"}]},
        "users: no user has a member that is known. Email",
    ),
    "a number for a mail": ({"users": [ADA, {"email": 7}]}, "users[1].email: expected string"),
    "a long field": ({"users": [{"email": "secret-value" * 100}]}, "users[0].email: expected string of at most 1024"),
    "a long typed field": ({"users": [AudienceUser(email="x" * 1025)]}, "users[0].email: expected string of at most"),
    "no number": ({"users": [{"purchase": {"profit": float("nan")}}]}, "users[0]: expected only what JSON can hold"),
    "bytes": ({"users": [AudienceUser(email=b"secret-value")]}, "users[0]: expected only what"),  # type: ignore[arg-type] # wrong on purpose
    "no user": ({"users": ["secret-value"]}, "users[0]: expected object"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_breaks_a_rule_is_named_by_place_and_nothing_is_written(
    unread: tuple[AudiencePublisher, str], kafka: KafkaSettings, what: str
) -> None:
    publisher, topic = unread
    change, fault = REFUSED[what]
    before = len(await read_to_end(kafka, topic))
    with pytest.raises(InvalidBatchError) as refused:
        await publisher.publish(**{"users": [ADA], "name": "VIP", **change})
    assert str(refused.value).startswith(fault)
    assert "secret-value" not in str(refused.value)
    assert len(await read_to_end(kafka, topic)) == before


async def test_publishing_again_what_was_not_confirmed_keeps_its_batch_id(kafka: KafkaSettings, log_topic: str) -> None:
    topic = TopicNames(log_topic).batches
    async with AudiencePublisher(kafka, prefix=log_topic, timeout=2) as publisher:
        admin = AdminClient(kafka.client())
        admin.delete_topics([topic])[topic].result(20)
        with pytest.raises(NotConfirmedError) as failed:
            await publisher.publish([ADA], name="VIP")
    assert failed.value.batch_id in str(failed.value)
    await ensure_topics(kafka, [TopicSpec(topic, 3)])
    async with AudiencePublisher(kafka, prefix=log_topic) as publisher:
        published = await publisher.publish([ADA], name="VIP", batch_id=failed.value.batch_id)
    assert [decode_audience_batch(record.value).batch_id for record in await records(kafka, published)] == [
        failed.value.batch_id
    ]


async def test_a_topic_that_is_not_there_is_told_before_anything_is_written(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    with pytest.raises(NothingWrittenError, match=rf"{topic_prefix}\.batches is not found at .*UNKNOWN_TOPIC"):
        async with AudiencePublisher(kafka, prefix=topic_prefix):
            pass


async def test_a_kafka_that_is_away_is_told_at_the_start(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.read.topic_offsets.BROKER_LIMIT", 0.3)
    with pytest.raises(NothingWrittenError, match="see that Kafka runs there"):
        async with AudiencePublisher(nowhere):
            pass


async def test_while_the_registry_is_away_nothing_is_written(kafka: KafkaSettings, log_topic: str) -> None:
    registry = Registry()
    registry.is_away = True
    async with registry as url, AudiencePublisher(kafka, prefix=log_topic, registry=url) as publisher:
        with pytest.raises(NothingWrittenError, match="nothing was written, publish the same again later"):
            await publisher.publish([ADA], name="VIP")
        assert await read_to_end(kafka, TopicNames(log_topic).batches) == []
        registry.is_away = False
        published = await publisher.publish([ADA], name="VIP")
        (record,) = await records(kafka, published)
        assert record.value[:5] == b"\x00\x00\x00\x00\x01"


@st.composite
def lists_of_users(draw: st.DrawFn) -> list[AudienceUser]:
    """Draw any number of users, of which some fill a record with a few hundred of them."""
    number = draw(st.integers(1, 3000))
    names = draw(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=8))
    lengths = draw(st.lists(st.integers(0, 1024), min_size=1, max_size=8))
    return [
        AudienceUser(
            email=f"person{index}@example.com",
            first_name=names[index % len(names)],
            last_name="ä" * lengths[index % len(lengths)],
            purchase=Purchase(profit=index / 7) if index % 3 else None,
        )
        for index in range(number)
    ]


@given(lists_of_users())
@settings(max_examples=25, deadline=None)
def test_records_hold_the_same_users_in_order_whatever_their_number_and_size(users: list[AudienceUser]) -> None:
    batch = AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", users=users)
    values = [part.value for part in asyncio.run(encode(batch, list(user_blocks(users)), SINGLE_OBJECT))]
    parts = [decode_audience_batch(value) for value in values]
    assert all(len(value) < MAX_RECORD for value in values)
    assert [(part.part, part.parts) for part in parts] == [(n + 1, len(parts)) for n in range(len(parts))]
    assert [user for part in parts for user in part.users] == users
    assert all(users[part.first_index] == part.users[0] for part in parts)
    assert len({part.content_hash for part in parts}) == 1


@pytest.mark.parametrize("number", [1, 500, 501, 20_000])
async def test_what_stands_on_the_log_is_what_was_given_in_any_form(
    unread: tuple[AudiencePublisher, str], kafka: KafkaSettings, number: int
) -> None:
    names = ["Zoë", "\0", "\u2028", "\U0001f600", '"\\/', "", "<", "0" * 1024]
    typed = [
        AudienceUser(email=f"person{n}@example.com", first_name=names[n % len(names)], purchase=Purchase(profit=n / 7))
        for n in range(number)
    ]
    for users in (typed, msgspec.to_builtins(typed), msgspec.json.encode(typed)):
        published = await unread[0].publish(users, name="VIP")
        parts = [decode_audience_batch(record.value) for record in await records(kafka, published)]
        assert [user for part in parts for user in part.users] == typed


def test_importing_the_package_imports_no_library() -> None:
    heavy = "{'confluent_kafka', 'aiohttp', 'fastavro', 'msgspec', 'pydantic'}"
    code = f"import sys, producer; assert not {heavy} & sys.modules.keys(), sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


async def test_the_command_publishes_a_file_and_says_where_it_stands(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix) as found:
        (tmp_path / "users.json").write_text(json.dumps([*make_users(3), {"mail": "x"}]))
        options = (
            "--type=primary --disable-prefix --channels=facebook,tiktok --session 7.0 --sequence 0 --total-batches 1 "
            "--total-users 4 --pull-date 2026-02-28 --batch-id 0B2C7F1E-9a55-4f7e-8c0c-0d9f3a0b6f11"
        )
        arguments = ["users.json", "--name", "Big spenders", *options.split()]
        where = {**at(kafka, topic_prefix), "AUDIENCE_LISTEN": found.url.removeprefix("http://")}
        code, output, errors = await command(tmp_path, where, *arguments)
        assert (code, errors) == (0, "")
        batch, record, ignored, advice = output.splitlines()
        assert batch == "batch 0b2c7f1e-9a55-4f7e-8c0c-0d9f3a0b6f11"
        assert ignored == "ignored 1 members of users that are not known (users.mail: did you mean email?)"
        assert f"'{found.url}/audience/batches/0b2c7f1e-9a55-4f7e-8c0c-0d9f3a0b6f11?wait=60'" in advice
        ended = await found.completions(3)
        assert {f"record {c.origin}" for c in ended} == {record}
        statuses = {c.provider: c.status for c in ended}
        assert statuses == {"facebook": "partial", "tiktok": "partial", "klaviyo": "skipped"}
        assert await found.members("facebook", "Big spenders") == hashes(0, 1, 2)
        (stored,) = await read_to_end(kafka, found.names.batches)
        decoded = decode_audience_batch(stored.value)
        assert (decoded.session_id, decoded.sequence, decoded.total_batches, decoded.total_users) == ("7", 0, 1, 4)
        assert decoded.pull_date == date(2026, 2, 28)


async def test_the_command_removes_once_all_know_removals_and_says_who_does_not_until_then(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        users, where = json.dumps(make_users(2)).encode(), at(kafka, topic_prefix)
        code, _, errors = await command(tmp_path, where, "-", "--mode", "remove", given=users)
        assert (code, "facebook and the ledger do not know removals yet" in errors) == (1, True)
        assert await read_to_end(kafka, found.names.batches) == []
        async with Writer(kafka) as writer:
            for reader in ("facebook", "ledger"):
                await know_removals(kafka, writer, found.names.accounts, reader, Framing(), lambda: datetime.now(UTC))
        code, _, errors = await command(tmp_path, where, "-", "--mode", "remove", given=users)
        assert (code, errors) == (0, "")
        (record,) = await read_to_end(kafka, found.names.batches)
        assert decode_audience_batch(record.value).mode == "remove"


async def test_the_command_reads_standard_input(kafka: KafkaSettings, log_topic: str, tmp_path: Path) -> None:
    users = json.dumps(make_users(2)).encode()
    code, output, errors = await command(tmp_path, at(kafka, log_topic), "-", given=users)
    assert (code, errors) == (0, "")
    origin = _origin(output.splitlines()[1])
    (record,) = await read_to_end(kafka, TopicNames(log_topic).batches)
    assert record.origin == origin
    assert len(decode_audience_batch(record.value).users) == 2


def _origin(line: str) -> Origin:
    found = re.fullmatch(r"record (.+)-(\d+)@(\d+)", line)
    assert found is not None
    return Origin(topic=found[1], partition=int(found[2]), offset=int(found[3]))


WRONG: Mapping[str, tuple[list[str], bytes, str]] = {
    "missing file": (["missing.json"], b"", "missing.json: No such file or directory"),
    "no file name": (["."], b"", ".: Is a directory"),
    "nothing": (["-"], b"", "users: not JSON"),
    "not JSON": (["-"], b"secret-value", "users: not JSON at byte 0"),
    "not UTF-8": (["-"], b'[{"email": "\xff"}]', "users: not UTF-8 at byte 12"),
    "no users": (["-"], b"[]", "users: expected at least one"),
    "a wrong user": (["-"], b'[{}, {"email": ["secret-value"]}]', "users[1].email: expected string"),
    "a wrong channel": (["-", "--channels", "Facebook"], b"[{}]", "channels: write a target as"),
    "an empty channel": (["-", "--channels", ""], b"[{}]", "channels: write a target as"),
    "an unknown channel": (["-", "--channels", "facebook,myspace"], b"[{}]", "channels: there are facebook, "),
    "a sequence": (["-", "--sequence", "3", "--total-batches", "2"], b"[{}]", "sequence: expected 0 to totalBatches"),
    "a date": (["-", "--pull-date", "28.2.2026"], b"[{}]", "pullDate: expected a date as YYYY-MM-DD"),
    "a batch id": (["-", "--batch-id", "7"], b"[{}]", "batchId: expected a UUID"),
    "bytes of a name": (["-", "--name", "\udcff"], b"[{}]", "name, sessionId, channels: expected text"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_input_of_the_command_gets_one_sentence(
    unread: tuple[AudiencePublisher, str], kafka: KafkaSettings, tmp_path: Path, what: str
) -> None:
    arguments, given, fault = WRONG[what]
    where = at(kafka, unread[1].removesuffix(".batches"))
    before = len(await read_to_end(kafka, unread[1]))
    code, output, errors = await command(tmp_path, where, *arguments, given=given)
    assert (code, output) == (1, "")
    assert errors.startswith(f"audience publish: {fault}")
    assert errors.count("\n") == 1
    assert "secret-value" not in errors
    assert len(await read_to_end(kafka, unread[1])) == before


CHANNELS = {
    "facebook,klaviyo": "channels: there are accounts for facebook, facebook/eu, tiktok; --any-channel publishes for",
    "tiktk": "channels: there are accounts for facebook, facebook/eu, tiktok (did you mean tiktok?); --any-channel",
    "facebook/us": "channels: there are accounts for facebook, facebook/eu, tiktok (did you mean facebook/eu?); --any",
}


async def test_the_command_publishes_for_accounts_that_the_deployment_knows_unless_it_is_told_otherwise(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook/eu", "tiktok"], consuming=()) as found:
        async with AudiencePublisher(kafka, prefix=topic_prefix) as publisher:
            assert await publisher.accounts() == ["facebook/eu", "tiktok"]
        where, users = at(kafka, topic_prefix), json.dumps(make_users(1)).encode()
        for channels, fault in CHANNELS.items():
            code, output, errors = await command(tmp_path, where, "-", "--channels", channels, given=users)
            assert (code, output) == (1, "")
            assert errors.startswith(f"audience publish: {fault}")
        assert await read_to_end(kafka, found.names.batches) == []
        for options in (["facebook"], ["facebook/eu,tiktok"], ["myspace", "--any-channel"]):
            code, _, errors = await command(tmp_path, where, "-", "--channels", *options, given=users)
            assert (code, errors) == (0, "")
        records = await read_to_end(kafka, found.names.batches)
        told = sorted(decode_audience_batch(record.value).channels or [] for record in records)
        assert told == [["facebook"], ["facebook/eu", "tiktok"], ["myspace"]]


async def test_where_no_account_is_known_the_command_says_how_they_come_to_be_known(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    await ensure_topics(kafka, [TopicSpec(names.batches, 3), TopicSpec(names.accounts, 1)])
    where = at(kafka, topic_prefix)
    code, _, errors = await command(tmp_path, where, "-", "--channels", "facebook", given=b"[{}]")
    assert code == 1
    assert errors.startswith(f"audience publish: channels: no account is registered on {names.accounts} yet, which ")


async def test_the_command_says_that_the_accounts_can_not_be_read(
    kafka: KafkaSettings, log_topic: str, tmp_path: Path
) -> None:
    code, _, errors = await command(tmp_path, at(kafka, log_topic), "-", "--channels", "facebook", given=b"[{}]")
    assert code == 1
    assert errors.startswith(f"audience publish: channels: The accounts on {log_topic}.accounts can't be read. ")
    assert errors.endswith("--any-channel publishes for any\n")


async def test_a_name_is_published_without_the_line_ends_around_it(
    unread: tuple[AudiencePublisher, str], kafka: KafkaSettings
) -> None:
    published = await unread[0].publish([ADA], name="VIP\r\n")
    (record,) = await records(kafka, published)
    assert (record.key, decode_audience_batch(record.value).name) == (b"custom:VIP", "VIP")


async def test_without_a_kafka_the_command_says_how_to_get_one(tmp_path: Path, nowhere: str) -> None:
    code, _, errors = await command(tmp_path, {}, "-", given=b"[{}]")
    assert code == 1
    assert errors.strip().endswith("or start a Kafka of your own here with `audience up`")
    code, _, errors = await command(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": nowhere}, "-", given=b"[{}]")
    assert code == 1
    assert errors.splitlines()[-1].startswith("audience publish: audience.batches is not found at ")


@needs("kcat")
async def test_kcat_delivers_a_value_that_the_helper_wrote(
    kafka: KafkaSettings, log_topic: str, tmp_path: Path
) -> None:
    async with AudiencePublisher(kafka, prefix=log_topic) as publisher:
        published = await publisher.publish(make_users(3), name="VIP")
    (record,) = await records(kafka, published)
    prefix = f"{log_topic}-kcat"
    async with world(kafka, prefix) as found:
        (tmp_path / "record.bin").write_bytes(record.value)
        call = [
            "kcat", "-P", "-b", kafka.bootstrap_servers, "-t", found.names.batches, "-k", "custom:VIP",
            "-H", "audience-source=crm", str(tmp_path / "record.bin"),
        ]  # fmt: skip
        await asyncio.to_thread(subprocess.run, call, check=True, timeout=30)
        assert {(c.batch_id, c.status) for c in await found.completions(3)} == {(published.batch_id, "delivered")}
        assert await found.members("facebook") == hashes(0, 1, 2)


async def test_records_of_confluent_s_own_serializer_are_delivered_beside_ours(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with registry_framing(topic_prefix) as (url, framing), world(kafka, topic_prefix, framing=framing) as found:
        await asyncio.to_thread(_publish_by_serializer, url, found, minimal_record(1, 2))
        async with AudiencePublisher(kafka, prefix=topic_prefix, registry=url) as publisher:
            published = await publisher.publish(make_users(1, 3), name="VIP")
        assert {record.value[:1] for record in await read_to_end(kafka, found.names.batches)} == {b"\x00"}
        ended = await _completions(found, 6, framing)
        assert {completion.status for completion in ended} == {"delivered"}
        assert published.batch_id in {completion.batch_id for completion in ended}
        for provider in ("facebook", "tiktok"):
            assert await found.members(provider) == hashes(1, 2, 3)
        assert len(await found.members("klaviyo")) == 3


@asynccontextmanager
async def registry_framing(prefix: str) -> AsyncIterator[tuple[str, Framing]]:
    """Run a schema registry; yields its URL and the framing that keeps to it."""
    async with Registry() as url:
        with closing(ConfluentRegistry(url, TopicNames(prefix).of_records)) as registry:
            yield url, Framing(registry)


def _publish_by_serializer(
    url: str, found: World, record: dict[str, object], options: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Publish as docs/publishing.md shows for programs that have a registry."""
    with SchemaRegistryClient.new_client({"url": url}) as client:
        serializer = AvroSerializer(client, schema_json("AudienceBatch"), conf=dict(options))
        context = SerializationContext(found.names.batches, MessageField.VALUE, headers=[])
        value = serializer(record, context)
    producer = Producer({"bootstrap.servers": found.kafka.bootstrap_servers})
    producer.produce(found.names.batches, value, key="custom:VIP", headers=context.headers)
    assert producer.flush(20) == 0


async def test_a_record_whose_schema_s_id_confluent_s_serializer_put_into_a_header_is_told_as_such(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        registry_framing(topic_prefix) as (url, framing),
        world(kafka, topic_prefix, providers=["facebook"], framing=framing) as found,
        ledger(found, framing),
    ):
        for options in ({"schema.id.serializer": header_schema_id_serializer}, {}):
            await asyncio.to_thread(_publish_by_serializer, url, found, minimal_record(1), options)
        ends = [(one.status, one.error_code) for one in await _completions(found, 2, framing)]
        assert sorted(ends, key=str) == [("delivered", None), ("failed", "undecodable")]
        async with asyncio.timeout(30):
            while len(told := await read_to_end(kafka, found.names.receipts)) < 2:
                await asyncio.sleep(0.1)
        reasons = {decode_batch_receipt(record.value, framing).reason for record in told}
        assert reasons == {"schema id in a header; it is read before the value only", None}


async def _completions(found: World, count: int, framing: Framing) -> list[BatchCompletion]:
    """Return what the accounts reported in a registry's framing, once so many ends of records are there."""
    async with asyncio.timeout(30):
        while True:
            values = [record.value for record in await read_to_end(found.kafka, found.names.completions)]
            said = [await asyncio.to_thread(decode_batch_completion, value, framing) for value in values]
            ended = [completion for completion in said if completion.status != "retrying"]
            if len(ended) >= count:
                return ended
            await asyncio.sleep(0.1)


PAGE = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")


def test_the_page_s_bytes_before_a_value_are_those_of_the_schema() -> None:
    named = re.findall(r"`(C3 01(?: [0-9A-F]{2}){8})`", PAGE)
    assert named
    assert {bytes.fromhex(text) for text in named} <= {SINGLE_OBJECT.header("AudienceBatch")}


async def test_the_page_s_python_publishes(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with registry_framing(topic_prefix) as (url, framing), world(kafka, topic_prefix, framing=framing) as found:
        codes = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        assert codes
        for code in codes:
            here = (
                code.replace('Publisher("127.0.0.1:9092"', f'Publisher("127.0.0.1:9092", prefix="{topic_prefix}"')
                .replace("127.0.0.1:9092", kafka.bootstrap_servers)
                .replace("audience.batches", found.names.batches)
                .replace("http://127.0.0.1:8081", url)
            )
            call = [sys.executable, "-W", "error", "-c", here]
            await asyncio.to_thread(subprocess.run, call, cwd=ROOT, check=True, timeout=60)
        ended = await _completions(found, len(ALL) * len(codes), framing)
        assert {completion.status for completion in ended} == {"delivered"}
        assert ("ada@example.com",) in await found.members("klaviyo")
