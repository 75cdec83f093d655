import asyncio
from collections.abc import Sequence

import pytest
import structlog
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.read.consumer_thread import Record
from streams.read.tail import Tail, read_to_end, scan
from streams.read.topic_offsets import end_offsets
from streams.write.writer import Writer

PATIENCE = 30.0


async def make_topic(kafka: KafkaSettings, topic: str, partitions: int = 4) -> None:
    await ensure_topics(kafka, [TopicSpec(topic, partitions)])


async def send(writer: Writer, topic: str, numbers: Sequence[int]) -> None:
    await asyncio.gather(*(writer.send(topic, str(number), str(number).encode()) for number in numbers))


async def take(tail: Tail, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in tail.batches():
            records += batch
            if len(records) >= count:
                break
    return records


def numbers(records: list[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


async def test_a_tail_sees_all_that_comes_after_entering_and_nothing_before(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(50))
        async with Tail(kafka, topic_prefix) as tail:
            await send(writer, topic_prefix, range(50, 100))
            records = await take(tail, 50)

    assert numbers(records) == list(range(50, 100))


async def test_a_tail_from_the_beginning_sees_everything(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(50))
        async with Tail(kafka, topic_prefix, from_beginning=True) as tail:
            await send(writer, topic_prefix, range(50, 60))
            records = await take(tail, 60)

    assert numbers(records) == list(range(60))


async def test_what_stands_on_a_topic_is_had_first_and_what_comes_then_after_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(50))
        async with Tail(kafka, topic_prefix, from_beginning=True, with_ends=True) as tail:
            standing = await tail.standing(PATIENCE)
            await send(writer, topic_prefix, range(50, 60))
            rest = await take(tail, 10)

    assert numbers(standing) == list(range(50))
    assert numbers(rest) == list(range(50, 60))


async def test_what_stands_is_had_at_once_where_nothing_does_or_all_of_it_was_deleted(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix, partitions=1)
    async with Tail(kafka, topic_prefix, from_beginning=True, with_ends=True) as tail:
        assert await tail.standing(PATIENCE) == []
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(20))
    await delete_before(kafka, topic_prefix, 20)
    async with Tail(kafka, topic_prefix, from_beginning=True, with_ends=True) as tail:
        assert await tail.standing(PATIENCE) == []


async def test_a_tail_that_nobody_reads_for_a_while_loses_and_doubles_nothing(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer, Tail(kafka, topic_prefix, max_waiting_bytes=100) as tail:
        await send(writer, topic_prefix, range(1000))
        records = await take(tail, 1000)

    assert numbers(records) == list(range(1000))


async def test_a_tail_without_a_broker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.read.topic_offsets.BROKER_LIMIT", 0.5)
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaUnreachableError):
        async with Tail(settings, "topic"):
            pass


async def test_what_was_deleted_before_a_tail_read_it_is_reported(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix, partitions=1)
    with structlog.testing.capture_logs() as logs:
        async with Writer(kafka) as writer, Tail(kafka, topic_prefix, max_waiting_bytes=1) as tail:
            await send(writer, topic_prefix, [0])
            async with asyncio.timeout(PATIENCE):
                while True:
                    if tail._reading._is_paused:
                        break
                    await asyncio.sleep(0.01)
            for number in range(1, 6):
                await send(writer, topic_prefix, [number])
            await delete_before(kafka, topic_prefix, 4)
            records = await take(tail, 3)

    assert numbers(records) == [0, 4, 5]
    assert any(entry["log_level"] == "error" for entry in logs)


async def test_a_topic_is_read_to_its_end(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    assert await read_to_end(kafka, topic_prefix) == []
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(200))

    records = await read_to_end(kafka, topic_prefix)
    assert numbers(records) == list(range(200))
    ends = await end_offsets(kafka, topic_prefix)
    assert (len(ends), sum(ends)) == (4, 200)


async def test_what_takes_the_records_of_a_scan_ends_it_by_an_error(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix, partitions=1)
    async with Writer(kafka) as writer:
        for number in range(9):
            await send(writer, topic_prefix, [number])
    taken: list[Record] = []

    def take(record: Record) -> None:
        taken.append(record)
        if len(taken) == 3:
            raise EOFError

    with pytest.raises(EOFError):
        await scan(kafka, topic_prefix, take)
    assert numbers(taken) == [0, 1, 2]


async def test_a_topic_whose_records_are_all_deleted_is_read_as_empty(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix, partitions=1)
    async with Writer(kafka) as writer:
        await send(writer, topic_prefix, range(3))
    await delete_before(kafka, topic_prefix, 3)

    assert await read_to_end(kafka, topic_prefix) == []


async def test_reading_an_unknown_topic_or_without_a_broker_is_unreachable(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.read.topic_offsets.BROKER_LIMIT", 0.5)
    with pytest.raises(KafkaUnreachableError):
        await read_to_end(kafka, topic_prefix)
    with pytest.raises(KafkaUnreachableError):
        await end_offsets(KafkaSettings(bootstrap_servers="127.0.0.1:1"), topic_prefix)


async def delete_before(kafka: KafkaSettings, topic: str, offset: int) -> None:
    def delete() -> None:
        admin, where = AdminClient(kafka.client()), TopicPartition(topic, 0, offset)
        admin.delete_records([where])[where].result(timeout=10)

    await asyncio.to_thread(delete)
