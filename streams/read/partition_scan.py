"""Read a stretch of one partition, without a group."""

import asyncio
import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import DEFAULTS, Record, to_record
from streams.read.messages import take_in, watermarks
from streams.read.ungrouped import ungrouped

LIMIT = 30.0
"""Seconds for which nothing may come."""


async def scan_partition(
    kafka: KafkaSettings, topic: str, partition: int, span: tuple[int, int], take: Callable[[Record], object]
) -> None:
    """Hand over the records of a partition between two offsets, as far as they are left, one by one and in order.

    `take` is called on another thread; what it raises ends the scan. Raises KafkaUnreachableError.
    """
    stretch, is_left = _Stretch(topic, partition, *span), threading.Event()
    try:
        await asyncio.to_thread(_scan, kafka, stretch, take, is_left)
    finally:
        is_left.set()


class _Stretch:
    """Takes the records between two offsets of a partition."""

    def __init__(self, topic: str, partition: int, start: int, end: int) -> None:
        self.topic = topic
        self.partition = partition
        self.next = start
        self.end = end

    def next_offset(self, partition: int) -> int | None:
        return self.next if partition == self.partition else None

    def to_record(self, message: Message) -> Record:
        return to_record(message)

    def accept(self, record: Record) -> bool:
        is_new = record.origin.offset >= self.next
        self.next = max(self.next, record.origin.offset + 1)
        return is_new and record.origin.offset < self.end

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Go on with what is left; the beginning has left the log meanwhile."""
        self.begin(consumer)

    def begin(self, consumer: Consumer) -> None:
        """Read on where the log has records."""
        low, high = watermarks(consumer, self.topic, self.partition)
        self.next, self.end = max(self.next, low), min(self.end, high)
        consumer.assign([TopicPartition(self.topic, self.partition, self.next)])

    def reached(self, partition: int, offset: int) -> None:
        self.next = max(self.next, offset)


def _scan(kafka: KafkaSettings, stretch: _Stretch, take: Callable[[Record], object], is_left: threading.Event) -> None:
    consumer = Consumer(DEFAULTS | kafka.client(**ungrouped(stretch.topic), error_cb=kafka.on_error))
    try:
        stretch.begin(consumer)
        deadline = time.monotonic() + LIMIT
        while stretch.next < stretch.end and not is_left.is_set():
            before, message = stretch.next, consumer.poll(0.2)
            for record in take_in(consumer, [message] if message is not None else [], stretch):
                take(record)
            if stretch.next > before:
                deadline = time.monotonic() + LIMIT
            elif time.monotonic() > deadline:
                raise KafkaUnreachableError(f"Kafka does not hand over {stretch.topic} in time.")
    except KafkaException as error:
        name = error.args[0].name()
        raise KafkaUnreachableError(f"Kafka does not hand over {stretch.topic} ({name}).") from error
    finally:
        consumer.close()
