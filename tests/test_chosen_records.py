"""Chosen records of a topic: read by where they stand, finished in any order, resumed where they were left."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.records import Origin
from streams.client.settings import KafkaSettings
from streams.cluster.groups import committed_offsets, delete_group
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.read.chosen_records import GONE, MOST_RECORDS, ChosenRecordReader
from streams.read.consumer_thread import Record
from streams.write.writer import Writer


async def filled(kafka: KafkaSettings, topic: str, records: int, size: int = 1) -> list[Origin]:
    """Make a topic of two partitions with so many records; return where they stand."""
    await ensure_topics(kafka, [TopicSpec(topic, 2)])
    async with Writer(kafka) as writer:
        sends = [writer.send(topic, str(number % 7), str(number).encode() * size) for number in range(records)]
        return list(await asyncio.gather(*sends))


def reader(kafka: KafkaSettings, topic: str, wanted: Sequence[Origin], **options: Any) -> ChosenRecordReader:
    """Return a reader of chosen records."""
    return ChosenRecordReader(kafka, group_id=f"{topic}.replay.r-1", topic=topic, wanted=wanted, **options)


async def read(picks: ChosenRecordReader, most: int | None = None) -> list[Record]:
    """Read and finish all records, or so many."""
    found: list[Record] = []
    async with asyncio.timeout(30):
        async for records in picks.batches():
            for record in records:
                if most is None or len(found) < most:
                    found.append(record)
                    picks.finish(record)
            if most is not None and len(found) >= most:
                break
    return found


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
async def test_exactly_the_chosen_records_come_each_once_and_in_the_order_of_their_partition(
    kafka: KafkaSettings, topic_prefix: str, share: float
) -> None:
    origins = await filled(kafka, topic_prefix, 3000)
    wanted = random.Random(7).sample(origins, int(share * len(origins)))
    async with reader(kafka, topic_prefix, wanted) as picks:
        found = [record.origin for record in await read(picks)]
    assert sorted(found) == sorted(wanted)
    for partition in (0, 1):
        offsets = [origin.offset for origin in found if origin.partition == partition]
        assert offsets == sorted(offsets)


async def test_who_begins_again_is_given_only_what_was_not_finished(kafka: KafkaSettings, topic_prefix: str) -> None:
    wanted = (await filled(kafka, topic_prefix, 300))[::2]
    async with reader(kafka, topic_prefix, wanted) as picks:
        assert picks.finished_before == []
        first = {record.origin for record in await read(picks, 60)}
    async with reader(kafka, topic_prefix, wanted) as picks:
        assert set(picks.finished_before) == first
        second = {record.origin for record in await read(picks)}
    assert not first & second
    assert first | second == set(wanted)
    async with reader(kafka, topic_prefix, wanted) as picks:
        assert await read(picks) == []
        assert set(picks.finished_before) == set(wanted)
    group = f"{topic_prefix}.replay.r-1"
    assert min(await committed_offsets(kafka, group, topic_prefix, 2)) >= 0
    await delete_group(kafka, group)
    await delete_group(kafka, group)
    assert await committed_offsets(kafka, group, topic_prefix, 2) == [-1001, -1001]


async def test_what_left_the_topic_comes_without_its_value_and_stops_nothing(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    wanted = (await filled(kafka, topic_prefix, 100))[::3]
    admin, where = AdminClient(kafka.client()), TopicPartition(topic_prefix, wanted[0].partition, 20)
    await asyncio.to_thread(admin.delete_records([where])[where].result, 10)
    beyond = Origin(topic=topic_prefix, partition=1, offset=10_000)
    async with reader(kafka, topic_prefix, [*wanted, beyond]) as picks:
        found = await read(picks)
    gone = {origin for origin in wanted if origin.partition == where.partition and origin.offset < 20} | {beyond}
    assert {record.origin for record in found if record.error == GONE} == gone
    assert {record.origin for record in found if record.value} == set(wanted) - gone


async def test_a_partition_that_nobody_finishes_is_held_back_and_holds_up_no_other(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    wanted = await filled(kafka, topic_prefix, 2000, size=1000)
    held: list[Record] = []
    async with reader(kafka, topic_prefix, wanted, max_in_flight_bytes=400_000) as picks:
        others = sum(1 for origin in wanted if origin.partition == 1)
        finished = 0
        async with asyncio.timeout(30):
            async for records in picks.batches():
                for record in records:
                    if record.origin.partition == 0:
                        held.append(record)
                    else:
                        picks.finish(record)
                        finished += 1
                if finished == others:
                    break
        assert len(held) < min(len(wanted) - others, MOST_RECORDS)


async def test_a_record_behind_the_end_is_waited_for_before_it_is_believed_to_be_gone(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """As after the return of a broker, which says for a moment that its log ends before its end."""
    last = (await filled(kafka, topic_prefix, 20))[-1]
    wanted = Origin(topic=topic_prefix, partition=last.partition, offset=last.offset + 1)

    async def late() -> None:
        await asyncio.sleep(1)
        async with Writer(kafka) as writer:
            assert await writer.send(topic_prefix, str(19 % 7), b"late") == wanted

    sending = asyncio.create_task(late())
    async with reader(kafka, topic_prefix, [wanted], sure=60) as picks:
        assert [(record.origin, record.value) for record in await read(picks)] == [(wanted, b"late")]
    await sending
