"""The first and last offsets of a topic's partitions, as Kafka says."""

import asyncio

from confluent_kafka import Consumer, KafkaException

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.messages import BROKER_LIMIT, watermarks
from streams.read.ungrouped import ungrouped


async def first_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    """Return the first offset of each partition of a topic. Raises KafkaUnreachableError."""
    return [low for low, _ in await offset_spans(kafka, topic)]


async def end_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    """Return the end of what is handed over of each partition of a topic. Raises KafkaUnreachableError.

    While a transaction is open in a partition that is where it began.
    """
    return [high for _, high in await offset_spans(kafka, topic)]


async def offset_spans(kafka: KafkaSettings, topic: str) -> list[tuple[int, int]]:
    """Return the first offset and the end, as `end_offsets` does, of each partition. Raises KafkaUnreachableError."""
    return await asyncio.to_thread(_spans, kafka, topic)


def _spans(kafka: KafkaSettings, topic: str) -> list[tuple[int, int]]:
    required = {**ungrouped(topic), "enable.partition.eof": False, "error_cb": kafka.on_error}
    consumer = Consumer(kafka.client(**required))
    try:
        return [watermarks(consumer, topic, number, is_listed=True) for number in partitions_of(consumer, topic)]
    except KafkaException as error:
        raise unreachable(error, topic) from error
    finally:
        consumer.close()


def unreachable(error: KafkaException, topic: str) -> KafkaUnreachableError:
    """Return the error of ours for one of the client, of a topic that it was asked about."""
    return KafkaUnreachableError(f"Kafka does not say what {topic} holds ({error.args[0].name()}).")


def partitions_of(consumer: Consumer, topic: str, limit: float | None = None) -> list[int]:
    """Return the numbers of a topic's partitions, in order. Raises KafkaException."""
    metadata = consumer.list_topics(topic, timeout=BROKER_LIMIT if limit is None else limit).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return sorted(metadata.partitions)
