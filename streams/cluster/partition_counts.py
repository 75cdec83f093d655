"""How many partitions a topic has now: an operator adds some, or makes the topic anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.client.settings import KafkaSettings

EVERY = 1.0
"""Seconds between looks: as soon as a process that was given new partitions may make use of them."""

LIMIT = 5.0
"""Seconds that a look may take."""


@dataclass(slots=True)
class Partitions:
    """A topic's count of partitions, as it was told last. `following` never ends well."""

    count: int
    following: "asyncio.Task[None]" = field(init=False)


@asynccontextmanager
async def followed_partitions(
    kafka: KafkaSettings, topic: str, count: int, limit: float = LIMIT
) -> AsyncIterator[Partitions]:
    """Follow a topic's count while the block is entered; it is `count` until Kafka tells another one."""
    partitions, admin = Partitions(count), AdminClient(kafka.admin())
    await _look(admin, topic, partitions, limit)
    partitions.following = asyncio.create_task(_follow(admin, topic, partitions, limit))
    try:
        yield partitions
    finally:
        partitions.following.cancel()
        await asyncio.gather(partitions.following, return_exceptions=True)


async def _follow(admin: AdminClient, topic: str, partitions: Partitions, limit: float) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _look(admin, topic, partitions, limit)


async def _look(admin: AdminClient, topic: str, partitions: Partitions, limit: float) -> None:
    try:
        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=limit)[topic]
        async with asyncio.timeout(limit + 1):
            found = await asyncio.wrap_future(asked)
    except (KafkaException, TimeoutError):
        return  # a topic that is being made anew is not there for a moment
    partitions.count = len(found.partitions) or partitions.count
