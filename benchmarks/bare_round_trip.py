"""A record there and a record back, by Kafka's client alone: what the broker and the client take of a sync upload."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import DEFAULTS
from streams.read.ungrouped import ungrouped
from streams.write.writer import producer_properties

LIMIT = 30.0
POLL = 0.05


@dataclass(frozen=True, slots=True)
class BareRoundTrip:
    """One producer and one consumer on this side; another of each, on a thread of its own, sends back what comes."""

    producer: Producer
    consumer: Consumer
    topic: str
    value: bytes

    async def seconds(self) -> float:
        """Return what a round trip took. Raises TimeoutError."""
        return await asyncio.to_thread(self._once)

    def _once(self) -> float:
        began = time.perf_counter()
        self.producer.produce(self.topic, self.value)
        while time.perf_counter() < began + LIMIT:
            message = self.consumer.poll(POLL)
            if message is not None and message.error() is None:
                return time.perf_counter() - began
        raise TimeoutError("nothing came back")


@asynccontextmanager
async def bare_round_trip(kafka: KafkaSettings, prefix: str, value: bytes) -> AsyncIterator[BareRoundTrip]:
    """Make two topics, and send back what comes to the one by the other, while the block is entered.

    Clients have the settings of ours: the same linger, acknowledgements and waits for records.
    """
    there, back = f"{prefix}.there", f"{prefix}.back"
    await asyncio.to_thread(_make, kafka, there, back)
    with _consumer(kafka, there) as far, _consumer(kafka, back) as near:
        is_over, echo = threading.Event(), Producer(producer_properties(kafka))
        thread = threading.Thread(target=_send_back, args=(far, echo, back, is_over))
        thread.start()
        try:
            yield BareRoundTrip(Producer(producer_properties(kafka)), near, there, value)
        finally:
            is_over.set()
            await asyncio.to_thread(thread.join)


def _make(kafka: KafkaSettings, *topics: str) -> None:
    admin = AdminClient(kafka.client())
    for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        made.result(LIMIT)


@contextmanager
def _consumer(kafka: KafkaSettings, topic: str) -> Iterator[Consumer]:
    consumer = Consumer(DEFAULTS | kafka.client(**ungrouped(topic)))
    with contextlib.closing(consumer):
        consumer.assign([TopicPartition(topic, 0, 0)])
        yield consumer


def _send_back(consumer: Consumer, producer: Producer, topic: str, is_over: threading.Event) -> None:
    while not is_over.is_set():
        message = consumer.poll(POLL)
        if message is not None and message.error() is None:
            producer.produce(topic, message.value())
