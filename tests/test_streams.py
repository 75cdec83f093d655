"""Topics, writer, readers and registrations, on a real Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.target import Target
from streams.accounts import register
from streams.errors import KafkaUnreachableError, NotAcknowledgedError, QueueFullError, WeakerTopicsError
from streams.groups import groups_with_members
from streams.ports import free_port
from streams.reader import GroupReader
from streams.settings import KafkaSettings, kafka_properties
from streams.tail import Tail, end_offsets, read_whole
from streams.thread import Record
from streams.topics import TopicNames, TopicSpec, ensure_topics, layout
from streams.writer import Writer


@pytest.fixture
async def writer(kafka: KafkaSettings) -> AsyncIterator[Writer]:
    """A writer to the tests' Kafka."""
    async with Writer(kafka) as found:
        yield found


@pytest.fixture
async def topic(kafka: KafkaSettings, topic_prefix: str) -> str:
    """A topic of two partitions."""
    name = f"{topic_prefix}.topic"
    await ensure_topics(kafka, [TopicSpec(name, 2)])
    return name


def reader_of(
    kafka: KafkaSettings, topic: str, first: Callable[[int], int] = lambda _: 0, **bounds: int
) -> GroupReader:
    """Return a reader of a topic in the topic's own group."""
    return GroupReader(kafka, group_id=f"{topic}.group", topic=topic, first_offset=first, commit_interval=0.1, **bounds)


async def take(reader: GroupReader | Tail, count: int, finish: bool = False) -> list[Record]:
    """Read so many records, finishing each if asked."""
    found: list[Record] = []
    async with asyncio.timeout(30):
        async for records in reader.batches():
            found += records
            if finish and isinstance(reader, GroupReader):
                for record in records:
                    reader.finish(record)
            if len(found) >= count:
                break
    return found


async def write(writer: Writer, topic: str, count: int, start: int = 0) -> None:
    """Write numbered records."""
    await asyncio.gather(*(writer.send(topic, f"key{n}", str(n).encode()) for n in range(start, start + count)))


def numbers(records: list[Record]) -> list[int]:
    """Return the numbers of records, sorted."""
    return sorted(int(record.value) for record in records)


async def test_what_is_finished_is_not_read_again(kafka: KafkaSettings, topic: str, writer: Writer) -> None:
    await write(writer, topic, 50)
    async with reader_of(kafka, topic) as reader:
        assert numbers(await take(reader, 50, finish=True)) == list(range(50))
    await write(writer, topic, 5, start=50)
    async with reader_of(kafka, topic) as reader:
        assert numbers(await take(reader, 5)) == list(range(50, 55))


async def test_after_a_restart_only_what_was_unfinished_comes_again_in_whatever_order_others_ended(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 40)
    async with reader_of(kafka, topic) as reader:
        for record in await take(reader, 40):
            if int(record.value) % 10 != 3:
                assert reader.finish(record)
    async with reader_of(kafka, topic) as reader:
        assert numbers(await take(reader, 4)) == [3, 13, 23, 33]


async def test_a_group_without_commits_starts_where_it_was_registered(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 10)
    ends = await end_offsets(kafka, topic)
    await write(writer, topic, 3, start=10)
    async with reader_of(kafka, topic, first=ends.__getitem__) as reader:
        assert numbers(await take(reader, 3)) == [10, 11, 12]


async def test_back_pressure_pauses_and_nothing_is_lost_or_doubled(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 600)
    found: list[Record] = []
    async with reader_of(kafka, topic, max_in_hand_records=20) as reader:
        waiting: list[Record] = []
        async with asyncio.timeout(60):
            async for records in reader.batches():
                waiting += records
                found += records
                if len(waiting) >= 20 or len(found) == 600:
                    for record in waiting:
                        assert reader.finish(record)
                    waiting.clear()
                if len(found) == 600:
                    break
    assert numbers(found) == list(range(600))


async def test_a_reader_that_is_told_to_stop_hands_over_nothing_more(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 5)
    async with reader_of(kafka, topic) as reader:
        await take(reader, 5)
        reader.stop_reading()
        await write(writer, topic, 5, start=5)
        assert [records async for records in reader.batches()] == []


async def test_partitions_are_shared_with_a_second_member_and_nothing_is_left_out(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 20)
    async with reader_of(kafka, topic) as first:
        held = await take(first, 20)
        kept_open = held[1::2]
        for record in held[::2]:
            first.finish(record)
        async with reader_of(kafka, topic) as second:
            async with asyncio.timeout(30):
                while len(first.partitions) != 1 or len(second.partitions) != 1:
                    await asyncio.sleep(0.05)
            moved = [record.value for record in kept_open if not first.holds(record)]
            assert 0 < len(moved) < len(kept_open)
            assert sorted(record.value for record in await take(second, len(moved))) == sorted(moved)
            assert await groups_with_members(kafka, [f"{topic}.group", "nobody"]) == {f"{topic}.group"}


async def test_records_that_were_deleted_before_they_were_read_are_reported_and_reading_goes_on(
    kafka: KafkaSettings, topic: str, writer: Writer, capfd: pytest.CaptureFixture[str]
) -> None:
    await write(writer, topic, 20)
    async with reader_of(kafka, topic) as reader:
        await take(reader, 20)
    ends = await end_offsets(kafka, topic)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, n, end) for n, end in enumerate(ends)]).values():
        future.result(10)
    await write(writer, topic, 2, start=20)
    async with reader_of(kafka, topic) as reader:
        assert numbers(await take(reader, 2)) == [20, 21]
    logged = capfd.readouterr()
    assert "Records were deleted before they were read." in logged.out + logged.err


async def test_a_tail_sees_everything_that_comes_after_it_was_entered(
    kafka: KafkaSettings, topic: str, writer: Writer
) -> None:
    await write(writer, topic, 10)
    async with Tail(kafka, topic) as tail:
        await write(writer, topic, 10, start=10)
        assert numbers(await take(tail, 10)) == list(range(10, 20))
    assert numbers(await read_whole(kafka, topic)) == list(range(20))


async def test_keys_headers_and_time_come_along(kafka: KafkaSettings, topic: str, writer: Writer) -> None:
    origin = await writer.send(topic, "key", b"1", {"content-type": b"text"})
    (record,) = await read_whole(kafka, topic)
    assert (record.origin, record.key, record.headers) == (origin, b"key", {"content-type": b"text"})
    assert record.timestamp is not None


async def test_room_is_reserved_for_all_or_refused(writer: Writer, kafka: KafkaSettings) -> None:
    async with Writer(kafka, max_queued_bytes=100) as small:
        with small.reserve(1000), pytest.raises(QueueFullError), small.reserve(1):  # alone any size fits
            pass
        with small.reserve(60), small.reserve(40):
            pass
    assert writer.is_reachable


async def test_without_a_broker_room_is_refused_at_once() -> None:
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    async with Writer(nowhere, message_timeout=1) as writer:
        began = time.monotonic()
        with pytest.raises(KafkaUnreachableError), writer.reserve(1):
            pass
        assert time.monotonic() - began < 1
        with pytest.raises(NotAcknowledgedError):
            await writer.send("topic", "key", b"1")


async def test_a_cluster_that_is_not_there_is_named() -> None:
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(KafkaUnreachableError, match=nowhere.bootstrap_servers):
        await ensure_topics(nowhere, layout(TopicNames("x")), timeout=1)


async def test_topics_are_made_once_with_their_policies(kafka: KafkaSettings, topic_prefix: str) -> None:
    names = TopicNames(topic_prefix)
    specs = layout(names, [f"{topic_prefix}.facebook"])
    both = await asyncio.gather(ensure_topics(kafka, specs), ensure_topics(kafka, specs))
    assert [str(d) for found in both for d in found if d.topic.startswith(topic_prefix)] == []
    assert len(await end_offsets(kafka, names.batches)) == 12
    assert len(await end_offsets(kafka, names.accounts)) == 1
    assert len(await end_offsets(kafka, f"{topic_prefix}.facebook.retry")) == 12


async def test_weaker_topics_are_refused_unless_allowed_and_stronger_ones_reported(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    config = {"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}
    topics = [
        NewTopic(names.batches, 3, 1, config=config),
        NewTopic(names.completions, 24, 1, config={"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}),
    ]
    for future in admin.create_topics(topics, operation_timeout=10).values():
        future.result(10)
    with pytest.raises(WeakerTopicsError, match=r"partitions is 3, expected 12.*retention\.ms is 1000") as raised:
        await ensure_topics(kafka, layout(names))
    assert names.completions not in str(raised.value)
    told = [str(difference) for difference in await ensure_topics(kafka, layout(names), allow_weaker=True)]
    assert f"{names.completions}: partitions is 24, expected 12" in told


async def test_an_account_is_registered_once_at_the_log_s_end_whoever_comes_first(
    kafka: KafkaSettings, topic_prefix: str, writer: Writer
) -> None:
    names, target = TopicNames(topic_prefix), Target("facebook", "eu")
    await ensure_topics(kafka, layout(names))
    await write(writer, names.batches, 7)
    both = await asyncio.gather(*(register(kafka, writer, names, [target]) for _ in range(2)))
    assert both[0] == both[1]
    assert sum(both[0][target].first_offsets) == 7
    await write(writer, names.batches, 7)
    assert await register(kafka, writer, names, [target]) == both[0]
    assert (await read_whole(kafka, names.accounts))[-1].key == b"registration:facebook/eu"


async def test_after_compaction_the_first_registration_is_the_one_that_stays(
    kafka: KafkaSettings, topic_prefix: str, writer: Writer
) -> None:
    names, target = TopicNames(topic_prefix), Target("facebook")
    await ensure_topics(kafka, layout(names))
    racing = [register(kafka, writer, names, [target]) for _ in range(4)]
    (first, *_) = await asyncio.gather(*racing)
    values = [record.value for record in await read_whole(kafka, names.accounts)]
    assert values[0] == values[-1]
    assert first[target].first_offsets == [0] * 12


def test_kafka_variables_are_properties_of_the_client_or_named_as_unknown() -> None:
    environ = {
        "KAFKA_SASL_USERNAME": "made-up",
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "KAFKA_BOOTSTRAP_SERVERS": "x:1",
        "PATH": "/bin",
    }
    properties, unknown = kafka_properties(environ)
    assert properties == {"sasl.username": "made-up", "security.protocol": "sasl_ssl"}
    assert unknown == ["KAFKA_PORT_9092_TCP"]
    with pytest.raises(ValueError, match="KAFKA_SECURITY_PROTOCOL") as raised:
        kafka_properties({"KAFKA_SECURITY_PROTOCOL": "secret-value"})
    assert "secret-value" not in str(raised.value)
