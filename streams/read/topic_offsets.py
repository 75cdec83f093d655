"""The first and last offsets of a topic's partitions, as Kafka says."""

from confluent_kafka import Consumer, KafkaException

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.messages import BROKER_LIMIT, spans_of, watermarks
from streams.read.ungrouped import UngroupedConsumer, ungrouped


async def first_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    """Return the first offset of each partition of a topic. Raises KafkaUnreachableError."""
    return [low for low, _ in await offset_spans(kafka, topic)]


async def end_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    """Return the end of what is handed over of each partition of a topic. Raises KafkaUnreachableError.

    While a transaction is open in a partition that is where it began.
    """
    with UngroupedConsumer(kafka, topic) as client:
        return await ends_by(client)


async def offset_spans(kafka: KafkaSettings, topic: str) -> list[tuple[int, int]]:
    """Return the first offset and the end, as `end_offsets` does, of each partition. Raises KafkaUnreachableError."""
    with UngroupedConsumer(kafka, topic) as client:
        return await spans_by(client)


async def ends_by(client: UngroupedConsumer) -> list[int]:
    """Return what `end_offsets` does, of a client's topic."""
    return [high for _, high in await spans_by(client)]


async def spans_by(client: UngroupedConsumer) -> list[tuple[int, int]]:
    """Return what `offset_spans` does, of a client's topic."""

    def spans(consumer: Consumer) -> list[tuple[int, int]]:
        found = spans_of(consumer, client.topic, partitions_of(consumer, client.topic), is_listed=True)
        return list(found.values())

    try:
        return await client.ask(spans)
    except KafkaException as error:
        raise unreachable(error, client.topic) from error


def watermarks_anew(kafka: KafkaSettings, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset and the end of a partition by a client of their own. Raises KafkaException."""
    consumer = Consumer(kafka.client(**ungrouped(topic)))
    try:
        partitions_of(consumer, topic)
        return watermarks(consumer, topic, partition)
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
