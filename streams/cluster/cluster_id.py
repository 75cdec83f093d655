"""Kafka's id of a cluster."""

import asyncio

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.messages import BROKER_LIMIT


async def cluster_id(kafka: KafkaSettings) -> str:
    """Return what a cluster is known by. Raises KafkaUnreachableError."""
    return await asyncio.to_thread(_cluster_id, kafka)


def _cluster_id(kafka: KafkaSettings) -> str:
    try:
        return str(AdminClient(kafka.admin(error_cb=kafka.on_error)).list_topics(timeout=BROKER_LIMIT).cluster_id)
    except KafkaException as error:
        raise KafkaUnreachableError(f"Kafka does not say what a cluster holds ({error.args[0].name()}).") from error
