"""Fetch one record of a topic by where it stands."""

import asyncio
import time
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import Record, to_record
from streams.read.messages import LOOK_AGAIN, take_in, watermarks
from streams.read.ungrouped import UngroupedConsumer

LIMIT = 30.0

_NO_SUCH_PLACE = frozenset({KafkaError._UNKNOWN_PARTITION})
"""What the client says of a partition that the topic does not have."""


class _MissingError(Exception):
    """There is no such place, says a broker: which may have just started, and not know all of its log yet."""


class RecordFetcher:
    """Fetches records of a consumer's topic one at a time.

    A place that there is not is looked for again for `sure` seconds: a broker that comes back says that of places that
    there are.
    """

    def __init__(self, reader: UngroupedConsumer, *, sure: float = 0.0) -> None:
        self._reader = reader
        self._sure = sure

    async def fetch(self, origin: Origin) -> Record | None:
        """Return a record, None where it is not on the topic any more. Raises KafkaUnreachableError."""
        until = time.monotonic() + self._sure
        while True:
            try:
                return await self._reader.ask(partial(_fetch, origin=origin))
            except _MissingError:
                if time.monotonic() >= until:
                    return None
                await asyncio.sleep(min(LOOK_AGAIN, self._sure))


async def fetch_record(kafka: KafkaSettings, origin: Origin, **config: Any) -> Record | None:
    """Return one record as `RecordFetcher` does, by a consumer of its own."""
    with UngroupedConsumer(kafka, origin.topic, **config) as reader:
        return await RecordFetcher(reader).fetch(origin)


class _One:
    """Takes the record of one offset."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.is_gone = self.is_missing = False

    def next_offset(self, partition: int) -> int | None:
        return self._origin.offset if partition == self._origin.partition else None

    def to_record(self, message: Message) -> Record:
        return to_record(message)

    def accept(self, record: Record) -> bool:
        self.is_gone = record.origin.offset > self._origin.offset
        return record.origin == self._origin

    def find_back(self, consumer: Consumer, partition: int) -> None:
        del consumer, partition
        self.is_missing = True

    def reached(self, partition: int, offset: int) -> None:
        del partition
        self.is_gone = offset > self._origin.offset


def _fetch(consumer: Consumer, origin: Origin) -> Record | None:
    """Return a record, None where it has left the topic. Raises _MissingError, KafkaUnreachableError."""
    try:
        low, high = watermarks(consumer, origin.topic, origin.partition)
        if origin.offset >= high:
            raise _MissingError
        return None if origin.offset < low else _read(consumer, origin)
    except KafkaException as error:
        if error.args[0].code() in _NO_SUCH_PLACE:
            raise _MissingError from error
        raise KafkaUnreachableError(f"Kafka does not hand over {origin} ({error.args[0].name()}).") from error


def _read(consumer: Consumer, origin: Origin) -> Record | None:
    one, deadline = _One(origin), time.monotonic() + LIMIT
    consumer.assign([TopicPartition(origin.topic, origin.partition, origin.offset)])
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        found = take_in(consumer, [message], one) if message is not None else []
        if one.is_missing:
            raise _MissingError
        if found or one.is_gone:
            consumer.unassign()
            return found[0] if found else None
    raise KafkaUnreachableError(f"Kafka does not hand over {origin} in time.")
