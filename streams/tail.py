"""Read a topic without a group: from its end on, or whole."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.errors import KafkaUnreachableError
from streams.settings import KafkaSettings
from streams.thread import ConsumerThread, Record, to_record
from streams.watermarks import LIMIT, watermarks

log = structlog.get_logger()

_REQUIRED: dict[str, Any] = {
    "group.id": "unused: partitions are assigned by hand",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "latest",
}
_DEFAULTS: dict[str, Any] = {"fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 16384}


class Tail:
    """What comes to a topic after this was entered: its end is known by then, so nothing is missed."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._config = kafka.client(_DEFAULTS, _REQUIRED)
        self._topic = topic

    async def __aenter__(self) -> "Tail":
        self._thread = ConsumerThread(self._config, self)
        await self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.close()

    def batches(self) -> AsyncIterator[list[Record]]:
        """Yield records as they come, without end. Raises ReaderFailedError."""
        return self._thread.batches()

    def open(self, consumer: Consumer) -> None:
        """Take all partitions, each from its end on."""
        consumer.assign(
            [
                TopicPartition(self._topic, number, watermarks(consumer, self._topic, number)[1])
                for number in _partitions(consumer, self._topic)
            ]
        )

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Return the records among the messages."""
        del consumer
        for message in messages:
            if message.error() is not None:
                log.warning("Kafka reports a problem; the client goes on.", error=message.error().name())
        return [to_record(message) for message in messages if message.error() is None]

    def tick(self, consumer: Consumer) -> None:
        """Nothing is ever due."""

    def close(self, consumer: Consumer) -> None:
        """Nothing is left behind."""


async def read_whole(kafka: KafkaSettings, topic: str, timeout: float = 30.0) -> list[Record]:
    """Return all records of a topic up to its end as it is now.

    Raises KafkaUnreachableError where that takes longer than `timeout` seconds.
    """
    return await asyncio.to_thread(_read_whole, kafka, topic, timeout)


async def end_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    """Return the end of each partition of a topic. Raises KafkaUnreachableError."""
    return await asyncio.to_thread(_end_offsets, kafka, topic)


def _end_offsets(kafka: KafkaSettings, topic: str) -> list[int]:
    consumer = Consumer(kafka.client(_DEFAULTS, _REQUIRED))
    try:
        return [watermarks(consumer, topic, number)[1] for number in _partitions(consumer, topic)]
    except KafkaException as error:
        raise KafkaUnreachableError(f"{topic} can't be read ({error.args[0].name()}).") from error
    finally:
        consumer.close()


def _read_whole(kafka: KafkaSettings, topic: str, timeout: float) -> list[Record]:
    deadline = time.monotonic() + timeout
    required = _REQUIRED | {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = Consumer(kafka.client(_DEFAULTS, required))
    try:
        ends = {number: watermarks(consumer, topic, number) for number in _partitions(consumer, topic)}
        unread = {number for number, (low, high) in ends.items() if low < high}
        consumer.assign([TopicPartition(topic, number, ends[number][0]) for number in unread])
        records: list[Record] = []
        while unread:
            if time.monotonic() > deadline:
                raise KafkaUnreachableError(f"{topic} could not be read within {timeout:g} s.")
            _read_some(consumer, records, unread)
        return [record for record in records if record.origin.offset < ends[record.origin.partition][1]]
    except KafkaException as error:
        raise KafkaUnreachableError(f"{topic} can't be read ({error.args[0].name()}).") from error
    finally:
        consumer.close()


def _read_some(consumer: Consumer, records: list[Record], unread: set[int]) -> None:
    message = consumer.poll(0.5)
    if message is None:
        return
    if message.error() is None:
        records.append(to_record(message))
    elif message.error().code() == KafkaError._PARTITION_EOF:
        unread.discard(message.partition())


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    metadata = consumer.list_topics(topic, timeout=LIMIT).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return sorted(metadata.partitions)
