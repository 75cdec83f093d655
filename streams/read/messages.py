"""From the client's messages to records, past those that it can't deliver."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.client.refusals import is_of_rights
from streams.read.consumer_thread import Record

log = structlog.get_logger()

BROKER_LIMIT = 10.0
"""Seconds that one question to the broker may take."""

ASSIGN_LIMIT = 60.0
"""Seconds that a broker may leave the questions of a beginning unanswered before the reader gives up."""

SURE = 10.0
"""Seconds for which a place must be missing until that is believed: who comes back knows not all of its log at once."""

LOOK_AGAIN = 2.0
"""Seconds between two looks for a place that is missing."""

WAKING = 0.01
"""Seconds that an answer nobody needs is waited for."""

_UNDELIVERABLE = frozenset(
    {
        KafkaError._BAD_COMPRESSION,
        KafkaError._BAD_MSG,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError.INVALID_MSG,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)
"""What the client says, again and again, of a record that it can't hand over."""

_ELECTING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""What brokers say for a moment of a partition that changes hands."""


_REPORTED_BY_CLIENT = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})
"""What is a problem of a connection, which the client reports by itself."""

Answer = TypeVar("Answer")


class Intake(Protocol):
    """Where messages of the client go."""

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next, None for a partition that is not ours."""

    def to_record(self, message: Message) -> Record:
        """Return what is taken over of a message."""

    def accept(self, record: Record) -> bool:
        """Note a record; False if nobody needs it."""

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Read a partition on where it has records; the offset that was to be read is not on the log."""

    def reached(self, partition: int, offset: int) -> Record | None:
        """Note that all before an offset was handed over; return a word of it for whoever follows the records."""


def take_in(consumer: Consumer, messages: Sequence[Message], intake: Intake) -> list[Record]:
    """Return the records among the messages.

    One that can't be delivered becomes a record with an error, and reading goes on behind it. A broken
    compressed batch names its first record each time, so its records come out one by one. What the same round
    brought of a partition after a seek is left out, because it comes again. The end of a partition is passed, where
    offsets may stand that nobody is handed: a transaction's control records and what it took back.
    """
    records: list[Record] = []
    sought: set[int] = set()
    for message in messages:
        partition, error = message.partition(), message.error()
        if partition in sought:
            continue
        if error is None:
            record = intake.to_record(message)
        elif error.code() in _UNDELIVERABLE and (expected := intake.next_offset(partition)) is not None:
            record = _undeliverable(message, expected)
            consumer.seek(TopicPartition(message.topic(), partition, record.origin.offset + 1))
            sought.add(partition)
        elif error.code() == KafkaError._PARTITION_EOF:
            word = intake.reached(partition, message.offset())
            records += [] if word is None else [word]
            continue
        else:
            _see_to(error, consumer, partition, intake)
            continue
        if intake.accept(record):
            records.append(record)
    return records


def _undeliverable(message: Message, expected: int) -> Record:
    offset = max(message.offset(), expected)
    origin = Origin(topic=message.topic(), partition=message.partition(), offset=offset)
    name = message.error().name()
    log.warning("The client can't deliver a record; reading goes on behind it.", origin=str(origin), error=name)
    return Record(origin=origin, error=name)


def _see_to(error: KafkaError, consumer: Consumer, partition: int, intake: Intake) -> None:
    if error.fatal() or error.code() == KafkaError._FATAL:  # of which a message says nothing by `fatal`
        raise KafkaException(error)
    if error.code() == KafkaError._AUTO_OFFSET_RESET and intake.next_offset(partition) is not None:
        intake.find_back(consumer, partition)
    elif is_of_rights(error):
        log.error("Kafka does not let a topic be read; waiting does not help.", kafka=error.name())
    elif error.code() not in _REPORTED_BY_CLIENT:
        log.warning("Kafka reports a problem; the client goes on by itself.", error=error.name())


def read_again(consumer: Consumer, topic: str, partition: int, offset: int) -> None:
    """Read a partition on at an offset, unpaused: after an error the client has stopped it."""
    start = TopicPartition(topic, partition, offset)
    consumer.incremental_unassign([start])
    assign(consumer, [start])


def assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """Read partitions besides those that are read already, unpaused.

    librdkafka (2.16) keeps a partition paused that was given up so, and came back: nobody would ever resume it.
    """
    consumer.incremental_assign(partitions)
    consumer.resume(partitions)


def resume(consumer: Consumer, topic: str, partitions: Iterable[int]) -> None:
    """Read paused partitions on, at once.

    librdkafka (2.16) tells none of its threads, each of which sleeps for up to a second. A question to the brokers that
    lead the partitions wakes them; what they answer, or that one does not, is all the same.
    """
    numbers = list(partitions)
    consumer.resume([TopicPartition(topic, number) for number in numbers])
    ends = [TopicPartition(topic, number, OFFSET_END) for number in numbers]
    with contextlib.suppress(KafkaException):
        consumer.offsets_for_times(ends, WAKING)


def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return what `spans_of` does of one partition."""
    return spans_of(consumer, topic, [partition])[partition]


def spans_of(
    consumer: Consumer, topic: str, partitions: Sequence[int], *, is_listed: bool = False
) -> dict[int, tuple[int, int]]:
    """Return the first offset of each partition and its end, that of what is handed over. Raises KafkaException.

    While a transaction is open in a partition, what comes after its beginning is not handed over.
    Brokers that just elect a leader are asked again, and those that do not know a partition which was just listed.
    """
    passing = _ELECTING | {KafkaError._UNKNOWN_PARTITION} if is_listed else _ELECTING
    deadline = time.monotonic() + BROKER_LIMIT
    while True:
        try:
            firsts, ends = (_offsets(consumer, topic, partitions, place) for place in (OFFSET_BEGINNING, OFFSET_END))
        except KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
        else:
            return {number: (firsts[number], ends[number]) for number in partitions}


def _offsets(consumer: Consumer, topic: str, partitions: Sequence[int], place: int) -> dict[int, int]:
    """Return the beginnings or the ends of partitions: Kafka takes a place for a time, and tells all in one answer."""
    asked = [TopicPartition(topic, number, place) for number in partitions]
    found: dict[int, int] = {}
    for answer in consumer.offsets_for_times(asked, BROKER_LIMIT) if asked else ():
        if answer.error is not None:
            raise KafkaException(answer.error)
        found[answer.partition] = answer.offset
    return found


def keep_asking(is_closing: threading.Event, ask: Callable[[], Answer]) -> Answer:
    """Ask the broker again while it does not answer, as during an election. Raises KafkaException."""
    deadline = time.monotonic() + ASSIGN_LIMIT
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].fatal() or time.monotonic() > deadline or is_closing.wait(0.5):
                raise
            log.warning("Kafka does not say where a partition is read on.", error=error.args[0].name())
