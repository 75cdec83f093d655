"""Kafka's ids of topics: one that is deleted and made anew under its name has another, and its offsets begin again."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings

LIMIT = 10.0
"""Seconds that a broker may take to describe topics."""

_NO_ID = "A" * 22
"""What brokers without such ids say, which are older than Kafka 2.8: zeros."""

_NOT_KNOWN = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_AUTHORIZATION_FAILED}
)


async def topic_ids(kafka: KafkaSettings, topics: Collection[str], limit: float = LIMIT) -> Mapping[str, str]:
    """Return the ids of topics by their names, without those that do not exist or have none.

    Whoever may read or write a topic may ask; of what nobody lets us see there is none. Raises KafkaUnreachableError.
    """
    admin = AdminClient(kafka.admin())  # which must live for as long as it is asked
    found = await described(admin, topics, limit)
    return {name: topic_id for name, (topic_id, _) in found.items() if topic_id is not None}


async def log_id(kafka: KafkaSettings, topic: str) -> str | None:
    """Return the id of one topic, None where that is not known. Raises KafkaUnreachableError."""
    return (await topic_ids(kafka, [topic])).get(topic)


async def described(
    admin: AdminClient, topics: Collection[str], limit: float = LIMIT
) -> "Mapping[str, tuple[str | None, int]]":
    """Return id and number of partitions of the topics that exist. Raises KafkaUnreachableError."""
    asked = admin.describe_topics(TopicCollection(list(dict.fromkeys(topics))), request_timeout=limit)
    found = {}
    for name, future in asked.items():
        try:
            async with asyncio.timeout(limit + 1):
                topic = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise KafkaUnreachableError from error
        except KafkaException as error:
            if error.args[0].code() not in _NOT_KNOWN:
                raise KafkaUnreachableError(f"Kafka does not describe {name} ({error.args[0].name()}).") from error
        else:
            found[name] = (_id(topic), len(topic.partitions))
    return found


def _id(topic: Any) -> str | None:
    text = str(topic.topic_id)
    return None if text == _NO_ID else text
