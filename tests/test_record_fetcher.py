"""One record of the log by its place: which is believed to be gone only when that was said for a while."""

import asyncio

from confluent_kafka.admin import AdminClient, NewPartitions

from schemas.records import Origin
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.read.record_fetcher import RecordFetcher, fetch_record
from streams.read.ungrouped import UngroupedConsumer
from streams.write.writer import Writer


async def test_a_place_that_is_there_a_moment_later_is_waited_for_and_one_that_stays_away_is_gone(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """As after the return of a broker, which says for a moment that partitions and offsets do not exist."""
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    offset, partition = (Origin(topic=topic_prefix, partition=number, offset=0) for number in range(2))
    assert [await fetch_record(kafka, place) for place in (offset, partition)] == [None, None]
    reader = UngroupedConsumer(kafka, topic_prefix)
    patient = RecordFetcher(reader, sure=60)
    waiting = [asyncio.create_task(patient.fetch(place)) for place in (offset, partition)]
    admin = AdminClient(kafka.client())
    await asyncio.to_thread(admin.create_partitions([NewPartitions(topic_prefix, 2)])[topic_prefix].result, 10)
    async with Writer(kafka) as writer:
        seen: set[int] = set()
        for number in range(200):
            seen.add((await writer.send(topic_prefix, str(number), b"x")).partition)
            if seen == {0, 1}:
                break
            await asyncio.sleep(0.1)
    found = await asyncio.gather(*waiting)
    reader.close()
    assert [record and record.origin for record in found] == [offset, partition]
