import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_proxies import SilentCoordinator, advertised, proxying

from schemas.records import Origin
from streams.client.errors import ReaderFailedError
from streams.client.settings import KafkaSettings
from streams.cluster.groups import groups_with_members
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read import group_reader
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.read.in_flight import Budget
from streams.read.messages import resume

PATIENCE = 30.0


async def make_topic(kafka: KafkaSettings, topic: str, partitions: int = 1) -> None:
    await ensure_topics(kafka, [TopicSpec(topic, partitions)])


async def produce(kafka: KafkaSettings, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    def send() -> None:
        producer = Producer(kafka.client(acks="all"))
        for value in values:
            producer.produce(topic, value, b"key", partition)
        assert producer.flush(PATIENCE) == 0

    await asyncio.to_thread(send)


async def produce_bomb(kafka: KafkaSettings, topic: str, records: int) -> None:
    """Write one zstd batch that inflates to more than the client accepts."""

    def send() -> None:
        config = {
            "acks": "all",
            "compression.type": "zstd",
            "linger.ms": 500,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
        }
        producer = Producer(kafka.client(**config))
        for _ in range(records):
            producer.produce(topic, bytes(90_000_000 // records), b"key", 0)
        assert producer.flush(PATIENCE) == 0

    await asyncio.to_thread(send)


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [str(number).encode() for number in range(first, first + count)]


def from_the_beginning(_: int) -> int:
    return 0


class Reading:
    """A reader and what it has handed over."""

    def __init__(self, reader: GroupReader, on_record: Callable[["Reading", Record], None]) -> None:
        self.reader = reader
        self.records: list[Record] = []
        self._on_record = on_record

    @property
    def values(self) -> list[int]:
        return [int(record.value) for record in self.records]

    @property
    def offsets(self) -> list[int]:
        return [record.origin.offset for record in self.records]

    async def read(self) -> None:
        async for batch in self.reader.batches():
            for record in batch:
                self.records.append(record)
                self._on_record(self, record)

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def finish(reading: Reading, record: Record) -> None:
    reading.reader.finish(record)


def keep(reading: Reading, record: Record) -> None:
    """Leave the record in hand."""


@asynccontextmanager
async def reading(
    kafka: KafkaSettings,
    topic: str,
    on_record: Callable[[Reading, Record], None] = finish,
    *,
    first_offset: Callable[[int], int] = from_the_beginning,
    max_in_flight_bytes: int = 32 * 1024 * 1024,
    max_in_flight_records: int = 1000,
) -> AsyncIterator[Reading]:
    reader = GroupReader(
        kafka,
        group_id=f"{topic}.group",
        topic=topic,
        first_offset=first_offset,
        max_in_flight_bytes=max_in_flight_bytes,
        max_in_flight_records=max_in_flight_records,
    )
    async with reader, asyncio.TaskGroup() as tasks:
        read = Reading(reader, on_record)
        tasks.create_task(read.read())
        yield read
        await reader.stop_reading()


async def committed(kafka: KafkaSettings, topic: str, partition: int = 0) -> int:
    def ask() -> int:
        consumer = Consumer(kafka.client(**{"group.id": f"{topic}.group"}))
        try:
            found: int = consumer.committed([TopicPartition(topic, partition)], timeout=10)[0].offset
            return found
        finally:
            consumer.close()

    return await asyncio.to_thread(ask)


async def test_everything_finished_is_committed_and_a_restart_begins_after_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(50))
    async with reading(kafka, topic_prefix) as first:
        await first.until(lambda: len(first.records) == 50)
    assert await committed(kafka, topic_prefix) == 50

    await produce(kafka, topic_prefix, numbered(5, first=50))
    async with reading(kafka, topic_prefix) as second:
        await second.until(lambda: len(second.records) >= 5)
    assert second.values == list(range(50, 55))


async def test_a_restart_repeats_only_what_was_not_finished(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Records 3 and 7 stay in hand: 3 is the committed offset, the rest travels in the metadata."""
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(20))

    def finish_most(read: Reading, record: Record) -> None:
        if record.origin.offset not in (3, 7):
            read.reader.finish(record)

    async with reading(kafka, topic_prefix, finish_most) as first:
        await first.until(lambda: len(first.records) == 20)
    assert await committed(kafka, topic_prefix) == 3

    await produce(kafka, topic_prefix, numbered(1, first=20))
    async with reading(kafka, topic_prefix) as second:
        await second.until(lambda: 20 in second.values)
    assert second.values == [3, 7, 20]
    assert await committed(kafka, topic_prefix) == 21


async def test_commits_are_made_while_reading(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(10))

    async with reading(kafka, topic_prefix) as first:
        async with asyncio.timeout(PATIENCE):
            while True:
                if await committed(kafka, topic_prefix) == 10:
                    break
                await asyncio.sleep(0.05)
        assert first.values == list(range(10))


async def test_records_finished_in_reverse_are_committed_at_last(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(30))
    async with reading(kafka, topic_prefix, keep) as first:
        await first.until(lambda: len(first.records) == 30)
        for record in reversed(first.records):
            assert first.reader.finish(record)
        assert not first.reader.finish(first.records[0])

    assert await committed(kafka, topic_prefix) == 30


async def test_a_group_without_offsets_starts_where_it_was_registered(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(10))
    async with reading(kafka, topic_prefix, first_offset=lambda _: 6) as first:
        await first.until(lambda: len(first.records) == 4)

    assert first.values == [6, 7, 8, 9]


async def test_a_second_member_takes_over_without_loss_or_repetition_of_what_is_finished(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix, partitions=6)
    for partition in range(6):
        await produce(kafka, topic_prefix, numbered(50, first=100 * partition), partition)

    async with reading(kafka, topic_prefix) as first, reading(kafka, topic_prefix) as second:
        await until(lambda: len(first.reader.partitions) == len(second.reader.partitions) == 3)
        assert first.reader.partitions | second.reader.partitions == frozenset(range(6))
        for partition in range(6):
            await produce(kafka, topic_prefix, numbered(50, first=100 * partition + 50), partition)
        await until(lambda: len(first.records) + len(second.records) >= 600)

    seen = Counter(first.values + second.values)
    assert sorted(seen) == sorted(100 * partition + number for partition in range(6) for number in range(100))
    assert set(seen.values()) == {1}


async def test_what_a_member_still_has_in_hand_goes_to_the_one_that_takes_over(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix, partitions=2)
    for partition in range(2):
        await produce(kafka, topic_prefix, numbered(10, first=100 * partition), partition)

    def finish_odd(read: Reading, record: Record) -> None:
        if record.origin.offset % 2:
            read.reader.finish(record)

    async with reading(kafka, topic_prefix, finish_odd) as first:
        await first.until(lambda: len(first.records) == 20)
        async with reading(kafka, topic_prefix) as second:
            await until(lambda: len(second.records) == 5)
            moved = second.records[0].origin.partition
            even = [record for record in first.records if record.origin.offset % 2 == 0]
            for record in even:
                is_moved = record.origin.partition == moved
                assert first.reader.holds(record) is not is_moved
                assert first.reader.finish(record) is not is_moved
            assert second.offsets == [0, 2, 4, 6, 8]

    assert await committed(kafka, topic_prefix, moved) == 10
    assert await committed(kafka, topic_prefix, 1 - moved) == 10


async def test_a_tiny_budget_delivers_everything_once_and_stays_bounded(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix, partitions=3)
    for partition in range(3):
        await produce(kafka, topic_prefix, numbered(700, first=1000 * partition), partition)
    in_flight: list[Record] = []
    peak = 0

    def hold(_: Reading, record: Record) -> None:
        nonlocal peak
        in_flight.append(record)
        peak = max(peak, len(in_flight))

    async with reading(kafka, topic_prefix, hold, max_in_flight_records=20) as first:
        async with asyncio.timeout(60):
            while len(first.records) < 2100 or in_flight:
                while in_flight:
                    first.reader.finish(in_flight.pop())
                await asyncio.sleep(0.001)

    assert sorted(Counter(first.values).items()) == [
        (1000 * partition + number, 1) for partition in range(3) for number in range(700)
    ]
    assert [await committed(kafka, topic_prefix, partition) for partition in range(3)] == [700] * 3
    assert peak < 700


async def test_a_full_hand_gets_nothing_more_until_it_lets_go(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with reading(kafka, topic_prefix, keep, max_in_flight_bytes=1000) as first:
        await produce(kafka, topic_prefix, [b"1" * 1000])
        await first.until(lambda: len(first.records) == 1)
        await first.until(lambda: first.reader._member._paused == {0})
        await produce(kafka, topic_prefix, [b"2"])
        await produce(kafka, topic_prefix, [b"3"])
        assert len(first.records) == 1

        first.reader.finish(first.records[0])
        await first.until(lambda: len(first.records) == 3)


async def test_nothing_is_handed_over_after_stop_reading(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(10))
    async with reading(kafka, topic_prefix, keep) as first:
        await first.until(lambda: len(first.records) == 10)
        await first.reader.stop_reading()
        await produce(kafka, topic_prefix, numbered(10, first=10))
        assert [batch async for batch in first.reader.batches()] == []
        assert first.reader.partitions == {0}
        for record in first.records:
            assert first.reader.finish(record)

    assert await committed(kafka, topic_prefix) == 10


@pytest.mark.parametrize("records", [1, 3])
async def test_a_compression_bomb_is_handed_over_as_an_error_and_passed(
    kafka: KafkaSettings, topic_prefix: str, records: int
) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(2))
    await produce_bomb(kafka, topic_prefix, records)
    await produce(kafka, topic_prefix, numbered(2, first=100))
    async with reading(kafka, topic_prefix) as first:
        await first.until(lambda: len(first.records) == 4 + records)

    errors = [(record.error, record.value) for record in first.records]
    good, bad = [(None, b"0"), (None, b"1"), (None, b"100"), (None, b"101")], ("_BAD_COMPRESSION", b"")
    assert errors == good[:2] + [bad] * records + good[2:]
    assert first.offsets == list(range(4 + records))
    assert await committed(kafka, topic_prefix) == 4 + records


async def test_records_deleted_before_they_were_read_are_a_reported_loss(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(20))

    def finish_some(read: Reading, record: Record) -> None:
        if record.origin.offset < 5 or record.origin.offset == 8:
            read.reader.finish(record)

    async with reading(kafka, topic_prefix, finish_some) as first:
        await first.until(lambda: len(first.records) == 20)
    await delete_before(kafka, topic_prefix, 15)

    with structlog.testing.capture_logs() as logs:
        async with reading(kafka, topic_prefix) as second:
            await second.until(lambda: len(second.records) == 5)
    losses = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["topic"], entry["partition"], entry["lost"]) for entry in losses] == [(topic_prefix, 0, 9)]
    assert second.values == list(range(15, 20))


async def test_a_reader_that_rests_takes_nothing_more_until_few_records_are_left(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with reading(kafka, topic_prefix, keep) as first:
        await produce(kafka, topic_prefix, numbered(3))
        await first.until(lambda: len(first.records) == 3)
        first.reader.rest(left=1, seconds=600)
        await first.until(lambda: first.reader._member._paused == {0})
        await produce(kafka, topic_prefix, numbered(1, first=3))
        assert first.reader.finish(first.records[0])
        assert first.reader.records_in_flight == 2
        await asyncio.sleep(0.2)
        assert first.values == [0, 1, 2]
        assert first.reader.finish(first.records[1])
        await first.until(lambda: first.values == [0, 1, 2, 3])


async def test_a_partition_that_was_given_up_while_it_was_paused_is_read_when_it_comes_back(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    is_full = True

    def keep_at_first(reading: Reading, record: Record) -> None:
        if not is_full:
            reading.reader.finish(record)

    await make_topic(kafka, topic_prefix, partitions=2)
    async with reading(kafka, topic_prefix, keep_at_first, max_in_flight_records=1) as first:
        await produce(kafka, topic_prefix, numbered(1))
        await first.until(lambda: first.reader._member._paused == {0, 1})
        async with reading(kafka, topic_prefix) as second:
            await second.until(lambda: len(second.reader.partitions) == 1)
            [given_up] = second.reader.partitions
            is_full = False
            first.reader.finish(first.records[0])
            await first.until(lambda: not first.reader._member._paused)
        await first.until(lambda: len(first.reader.partitions) == 2)
        await produce(kafka, topic_prefix, numbered(1, first=1), given_up)
        await first.until(lambda: 1 in first.values)


def test_a_rest_ends_when_its_time_is_over_however_much_is_left() -> None:
    budget = Budget(max_bytes=1000, max_records=1000)
    for offset in range(3):
        budget.add(Record(origin=Origin(topic="log", partition=0, offset=offset), value=b"1"))
    budget.rest(left=1, until=time.monotonic() + 600)
    assert budget.is_over()
    budget.rest(left=1, until=time.monotonic())
    assert not budget.is_over()


async def test_reading_goes_on_by_a_question_that_wakes_the_client(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Its threads sleep for up to a second after `resume`: librdkafka 2.16."""
    await make_topic(kafka, topic_prefix)
    asked: list[int] = []

    def note(stats: str) -> None:
        asked.append(sum(broker["req"].get("ListOffsets", 0) for broker in json.loads(stats)["brokers"].values()))

    often = {"group.id": topic_prefix, "statistics.interval.ms": 50, "stats_cb": note}
    consumer = Consumer(kafka.client(**often))
    try:
        consumer.assign([TopicPartition(topic_prefix, 0, 0)])
        consumer.pause([TopicPartition(topic_prefix, 0)])
        await until(lambda: consumer.poll(0.05) or len(asked) > 3)
        before = asked[-1]
        resume(consumer, topic_prefix, [0])
        await until(lambda: consumer.poll(0.05) or asked[-1] > before)
    finally:
        await asyncio.to_thread(consumer.close)


async def test_records_deleted_while_reading_is_paused_are_a_reported_loss(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    with structlog.testing.capture_logs() as logs:
        async with reading(kafka, topic_prefix, keep, max_in_flight_records=1) as first:
            await produce(kafka, topic_prefix, numbered(1))
            await first.until(lambda: first.reader._member._paused == {0})
            await produce(kafka, topic_prefix, numbered(9, first=1))
            await delete_before(kafka, topic_prefix, 6)
            assert first.reader.finish(first.records[0])
            await first.until(lambda: len(first.records) >= 2)
            while len(first.records) < 5:
                first.reader.finish(first.records[-1])
                await asyncio.sleep(0.01)

    losses = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["lost"] for entry in losses] == [5]
    assert first.values == [0, 6, 7, 8, 9]


async def test_a_log_that_is_shorter_than_what_was_committed_is_read_whole(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, numbered(3))
    with structlog.testing.capture_logs() as logs:
        async with reading(kafka, topic_prefix, first_offset=lambda _: 100) as first:
            await first.until(lambda: len(first.records) == 3)

    assert [entry["action"] for entry in logs if entry["log_level"] == "error"] == ["repeat"]
    assert await committed(kafka, topic_prefix) == 3


async def test_a_reader_whose_thread_fails_says_so(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)

    def broken(_: int) -> int:
        raise LookupError("no registration")

    reader = GroupReader(kafka, group_id=f"{topic_prefix}.group", topic=topic_prefix, first_offset=broken)
    async with reader:
        for _ in range(2):
            with pytest.raises(ReaderFailedError) as failed:
                await asyncio.wait_for(anext(reader.batches()), PATIENCE)

    assert isinstance(failed.value.__cause__, LookupError)


async def test_a_group_has_members_only_while_one_is_in_it(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    groups = [f"{topic_prefix}.group", f"{topic_prefix}.unknown"]
    assert await groups_with_members(kafka, groups) == set()
    async with reading(kafka, topic_prefix) as first:
        await until(lambda: first.reader.is_member)
        assert await groups_with_members(kafka, groups) == {groups[0]}

    assert await groups_with_members(kafka, groups) == set()
    assert await groups_with_members(kafka, []) == set()


async def delete_before(kafka: KafkaSettings, topic: str, offset: int) -> None:
    def delete() -> None:
        admin, where = AdminClient(kafka.client()), TopicPartition(topic, 0, offset)
        admin.delete_records([where])[where].result(timeout=10)

    await asyncio.to_thread(delete)


async def test_who_is_never_answered_whether_it_may_join_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a coordinator that was stopped while a group rebalanced: Kafka 4.3 leaves the request open."""
    assert group_reader.LONGEST_JOIN == 60_000  # librdkafka waits three seconds longer than that, by default 303 s
    monkeypatch.setattr(group_reader, "LONGEST_JOIN", 10_000)
    port, outer = free_port(), free_port()
    proxy = SilentCoordinator(port)
    async with (
        proxying(proxy, outer),
        LocalBroker(data=tmp_path, port=port, properties=advertised(outer), report=lambda _: None),
    ):
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{outer}")
        await make_topic(kafka, "made-up")
        await produce(kafka, "made-up", numbered(1))
        async with GroupReader(kafka, group_id="g", topic="made-up", first_offset=from_the_beginning) as reader:
            async with asyncio.timeout(60):
                assert [record.value for record in await anext(reader.batches())] == numbered(1)
            assert proxy.has_kept.is_set()
