"""A consumer without a group that is kept: what it says of a topic, again and again."""

import asyncio
from typing import NoReturn

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.read.consumer_thread import Record
from streams.read.tail import scan_by
from streams.read.topic_offsets import ends_by
from streams.read.ungrouped import UngroupedConsumer
from streams.write.writer import Writer


async def test_each_scan_by_one_consumer_reads_what_it_was_asked_for_and_no_rest_of_the_one_before(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 2)])
    async with Writer(kafka) as writer:

        async def write(*values: bytes) -> None:
            await asyncio.gather(*(writer.send(topic_prefix, value.decode(), value) for value in values))

        with UngroupedConsumer(kafka, topic_prefix) as client:

            async def scanned(start: dict[int, int] | None = None) -> list[bytes]:
                found: list[Record] = []
                await scan_by(client, found.append, start=start)
                return sorted(record.value for record in found)

            first = [b"%d" % number for number in range(300)]
            await write(*first)
            ends = dict(enumerate(await ends_by(client)))
            assert await scanned() == sorted(first)
            assert await scanned(ends) == []
            await write(b"x", b"y", b"z")
            assert await scanned(ends) == [b"x", b"y", b"z"]
            with pytest.raises(ZeroDivisionError):
                await scan_by(client, lambda _: 1 // 0)
            assert await scanned(ends) == [b"x", b"y", b"z"]


async def test_questions_go_to_one_consumer_until_one_of_them_fails(kafka: KafkaSettings, topic_prefix: str) -> None:
    def fail(_: Consumer) -> NoReturn:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with UngroupedConsumer(kafka, topic_prefix) as client:
        first, again = await asyncio.gather(*(client.ask(lambda consumer: consumer) for _ in range(2)))
        with pytest.raises(KafkaException):
            await client.ask(fail)
        other = await client.ask(lambda consumer: consumer)
    assert again is first
    assert other is not first
