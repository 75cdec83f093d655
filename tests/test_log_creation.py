"""With how many partitions the log was created: the first note of it counts, whatever is added or written later."""

import asyncio
from datetime import UTC, datetime

from test_partitions import add_partitions, make_anew
from world import make_topics

from schemas.avro.codec import decode_log_creation, encode_log_creation
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import LogCreation
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.tail import read_to_end
from streams.tables.log_creation import Homes, log_creation
from streams.write.writer import Writer


def now() -> datetime:
    return datetime.now(UTC)


async def noted(kafka: KafkaSettings, names: TopicNames) -> list[int]:
    """Return what the notes on the topic say, in their order."""
    records = await read_to_end(kafka, names.accounts)
    return [decode_log_creation(record.value).partitions for record in records]


async def test_it_is_noted_once_and_stays_when_partitions_are_added(kafka: KafkaSettings, topic_prefix: str) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        both = await asyncio.gather(*(log_creation(kafka, writer, names, now) for _ in range(2)))
        await add_partitions(kafka, names.batches, 20)
        later = await log_creation(kafka, writer, names, now)
        assert {found.partitions for found in (*both, later)} == {12}
        assert (await noted(kafka, names))[-1] == 12


async def test_the_first_note_wins_and_is_written_once_more_for_compaction(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    ours = await log_id(kafka, names.batches)
    async with Writer(kafka) as writer:
        for partitions in (7, 9, 0):
            note = LogCreation(topic=names.batches, log_id=ours, partitions=partitions, written_at=now())
            await writer.send(names.accounts, f"log:{names.batches}", encode_log_creation(note))
        await writer.send(names.accounts, f"log:{names.batches}", b"garbage")
        assert (await log_creation(kafka, writer, names, now)).partitions == 7
    values = [record.value for record in await read_to_end(kafka, names.accounts)]
    assert decode_log_creation(values[-1]).partitions == 7


async def test_a_log_that_is_made_anew_has_homes_of_its_own(kafka: KafkaSettings, topic_prefix: str) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        homes = Homes(kafka, writer, names, framing=SINGLE_OBJECT, now=now)
        assert (await homes.creation(await log_id(kafka, names.batches))).partitions == 12
        await make_anew(kafka, names.batches, 5)
        assert (await homes.creation(await log_id(kafka, names.batches))).partitions == 5
        assert (await log_creation(kafka, writer, names, now)).partitions == 5
