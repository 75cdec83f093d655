"""A publisher that writes by Kafka's transactions, as tests play it."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Producer

from streams.client.settings import KafkaSettings

TIMEOUT = 60.0


@contextmanager
def transactional(kafka: KafkaSettings, timeout: float = 60.0) -> Iterator[Producer]:
    """Yield a producer with a transactional id of its own; Kafka aborts what it leaves open for so many seconds."""
    own = {"transactional.id": secrets.token_hex(6), "transaction.timeout.ms": int(timeout * 1000)}
    producer = Producer(kafka.client(**own))
    producer.init_transactions(TIMEOUT)
    yield producer
    producer.purge()


def open_with(producer: Producer, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    """Begin a transaction and have these records in the log."""
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, key=b"custom:VIP", partition=partition)
    assert producer.flush(TIMEOUT) == 0


def _transact(kafka: KafkaSettings, topic: str, values: Sequence[bytes], partition: int, *, is_kept: bool) -> None:
    with transactional(kafka) as producer:
        open_with(producer, topic, values, partition)
        (producer.commit_transaction if is_kept else producer.abort_transaction)(TIMEOUT)


async def committed(kafka: KafkaSettings, topic: str, *values: bytes, partition: int = 0) -> None:
    """Write records in a transaction that ends well: one control record comes after them."""
    await asyncio.to_thread(_transact, kafka, topic, values, partition, is_kept=True)


async def aborted(kafka: KafkaSettings, topic: str, *values: bytes, partition: int = 0) -> None:
    """Write records in a transaction that is taken back."""
    await asyncio.to_thread(_transact, kafka, topic, values, partition, is_kept=False)
