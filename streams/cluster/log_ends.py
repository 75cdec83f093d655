"""Where a partition ends, with what is not handed over yet."""

import asyncio

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings

LIMIT = 5.0
"""Seconds that a broker may take to tell."""


async def true_end(kafka: KafkaSettings, topic: str, partition: int) -> int:
    """Return the offset behind the last record of a partition, one of an open transaction included.

    Raises KafkaUnreachableError.
    """
    admin, place = AdminClient(kafka.admin()), TopicPartition(topic, partition)
    asked = admin.list_offsets(
        {place: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=LIMIT
    )
    try:
        async with asyncio.timeout(LIMIT + 1):
            found = await asyncio.wrap_future(asked[place])
    except (KafkaException, TimeoutError) as error:
        raise KafkaUnreachableError(f"Kafka does not say where {topic} ends.") from error
    return int(found.offset)
