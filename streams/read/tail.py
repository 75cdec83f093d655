"""Read a topic without a group: from its end on, or whole."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError, ReaderFailedError
from streams.client.rights import ReadingRights
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import DEFAULTS, MEGABYTE, ConsumerThread, Record, to_record
from streams.read.in_flight import Budget
from streams.read.messages import read_again, spans_of, take_in, watermarks
from streams.read.topic_offsets import partitions_of, unreachable
from streams.read.ungrouped import UngroupedConsumer, ungrouped

log = structlog.get_logger()

MAX_WAITING_RECORDS = 100_000

LOOK_EVERY = 5.0
"""Seconds between looks for partitions that were added."""

LOOK_LIMIT = 1.0
"""Seconds that a look may take, as nothing is read meanwhile."""

END = "END"
"""Error of what stands for no record: all up to its offset was handed over, and the last of these are no records."""

_NOT_IN_TIME = "Kafka did not hand over a whole topic in time; try again later."


class Tail:
    """What comes to a topic after this was entered: its end is known by then, so nothing is missed.

    With `start` it reads from these offsets on instead, partitions that it does not name from their beginning.
    Partitions that are added later are read from their beginning, as all of it came since. With `with_ends` one with
    the error END says where a partition ends with offsets that nobody is handed, such as control records.

    Records wait for whoever reads `batches`; when `max_waiting_bytes` wait, fetching pauses until half of them are
    taken.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        from_beginning: bool = False,
        start: Mapping[int, int] | None = None,
        max_waiting_bytes: int = 32 * MEGABYTE,
        with_ends: bool = False,
    ) -> None:
        self._topic = topic
        self._waiting = Budget(max_waiting_bytes, MAX_WAITING_RECORDS)
        self._rights = ReadingRights(kafka, topic)
        start = {} if from_beginning else start
        self._reading = _Reading(topic, self._waiting, start, self._rights, with_ends=with_ends)
        self._config = DEFAULTS | kafka.client(**ungrouped(topic), error_cb=kafka.on_error)

    async def __aenter__(self) -> "Tail":
        """Return when the end of each partition is known. Raises KafkaUnreachableError, ReaderFailedError."""
        self._thread = ConsumerThread(self._config, self._reading)
        try:
            await self._thread.start()
        except ReaderFailedError as error:
            if isinstance(error.__cause__, KafkaException):
                raise unreachable(error.__cause__, self._topic) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.close()

    @property
    def refusal(self) -> str | None:
        """What Kafka does not let this reader do, in its word; None where it reads."""
        return str(self._rights) or None

    @property
    def spans(self) -> Mapping[int, tuple[int, int]]:
        """For each partition the offset that was read first and the end, both on entering."""
        return self._reading.spans

    @property
    def ends(self) -> Mapping[int, int]:
        """The end of each partition that held anything on entering."""
        return {partition: end for partition, (first, end) in self.spans.items() if end > first}

    async def standing(self, timeout: float = 30.0) -> list[Record]:
        """Return what stood on the topic on entering, and what came right behind; `batches` yields the rest.

        To be called first, of a tail `from_beginning` and `with_ends`, for small topics. Raises ReaderFailedError, and
        KafkaUnreachableError where nothing comes for `timeout` seconds.
        """
        found: list[Record] = []
        left = dict(self.ends)
        try:
            async with asyncio.timeout(timeout) as limit, aclosing(self.batches()) as batches:
                while left:
                    found += (records := await anext(batches))
                    limit.reschedule(asyncio.get_running_loop().time() + timeout)
                    for record in records:
                        if record.origin.offset + 1 >= left.get(record.origin.partition, record.origin.offset + 2):
                            del left[record.origin.partition]
        except TimeoutError as error:
            raise KafkaUnreachableError(_NOT_IN_TIME) from error
        return found

    async def batches(self) -> AsyncGenerator[list[Record], None]:
        """Yield records as they come, without end. Raises ReaderFailedError."""
        async for records in self._thread.batches():
            for record in records:
                self._waiting.remove(record)
            yield records


class _Reading:
    """What a reader without a group does on its consumer's thread."""

    def __init__(
        self,
        topic: str,
        waiting: Budget,
        start: Mapping[int, int] | None,
        rights: ReadingRights | None = None,
        *,
        with_ends: bool = False,
    ) -> None:
        self._topic = topic
        self._rights = rights
        self._with_ends = with_ends
        self._waiting = waiting
        self._start = start
        self.spans: dict[int, tuple[int, int]] = {}
        self._next: dict[int, int] = {}
        self._is_paused = False
        self._next_look = 0.0

    def open(self, consumer: Consumer) -> None:
        """Take all partitions."""
        self.begin(consumer, spans_of(consumer, self._topic, partitions_of(consumer, self._topic), is_listed=True))

    def begin(self, consumer: Consumer, spans: Mapping[int, tuple[int, int]]) -> None:
        """Take partitions whose first offsets and ends are known."""
        for number, (low, high) in spans.items():
            self._next[number] = high if self._start is None else max(low, self._start.get(number, low))
            self.spans[number] = self._next[number], high
        consumer.assign([TopicPartition(self._topic, *start) for start in self._next.items()])
        self._next_look = time.monotonic() + LOOK_EVERY

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Return the records among the messages."""
        return take_in(consumer, messages if self._rights is None else self._rights.readable(messages), self)

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next."""
        return self._next.get(partition)

    def to_record(self, message: Message) -> Record:
        """Return what is taken over of a message."""
        return to_record(message)

    def accept(self, record: Record) -> bool:
        """Note how far a partition is read; False for what was read before."""
        if record.origin.offset < self._next[record.origin.partition]:
            return False
        self._next[record.origin.partition] = record.origin.offset + 1
        self._waiting.add(record)
        return True

    def reached(self, partition: int, offset: int) -> Record | None:
        """Note how far a partition is read, and hand that over where no record told it."""
        if offset <= self._next[partition]:
            return None
        self._next[partition] = offset
        if not self._with_ends:
            return None
        word = Record(origin=Origin(topic=self._topic, partition=partition, offset=offset - 1), error=END)
        self._waiting.add(word)
        return word

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Go on at the first record that is left, when what was to be read is not on the log any more."""
        low, _ = watermarks(consumer, self._topic, partition)
        facts = {"topic": self._topic, "partition": partition, "offset": self._next[partition], "first": low}
        log.error("What was to be read is not on the topic any more.", action="skip", **facts)
        self._next[partition] = low
        self._is_paused = False  # as is the partition now; the next tick pauses all again if need be
        read_again(consumer, self._topic, partition, low)

    def tick(self, consumer: Consumer) -> None:
        """Take partitions that were added; pause or resume."""
        if self._rights is not None:
            self._rights.look()
        if time.monotonic() >= self._next_look:
            self._look_for_more(consumer)
            self._next_look = time.monotonic() + LOOK_EVERY
        is_over = self._waiting.is_over()
        if is_over != self._is_paused:
            self._is_paused = is_over
            (consumer.pause if is_over else consumer.resume)(consumer.assignment())

    def _look_for_more(self, consumer: Consumer) -> None:
        """Read partitions that were added from their beginning; those that have no leader yet are for the next look."""
        try:
            for number in sorted(set(partitions_of(consumer, self._topic, LOOK_LIMIT)) - self._next.keys()):
                low, _ = consumer.get_watermark_offsets(TopicPartition(self._topic, number), LOOK_LIMIT)
                consumer.incremental_assign([TopicPartition(self._topic, number, low)])
                self._next[number], self._is_paused = low, False
                log.info("A partition was added to a topic that is read.", topic=self._topic, partition=number)
        except KafkaException:
            return

    def close(self, consumer: Consumer) -> None:
        """Nothing is left behind."""


async def read_to_end(kafka: KafkaSettings, topic: str, timeout: float = 30.0) -> list[Record]:
    """Return all records of a topic up to its end as it is now. For small topics; raises as `scan` does."""
    records: list[Record] = []
    await scan(kafka, topic, records.append, timeout)
    return records


async def scan(
    kafka: KafkaSettings,
    topic: str,
    take: Callable[[Record], object],
    timeout: float = 30.0,
    *,
    start: Mapping[int, int] | None = None,
    end: Mapping[int, int] | None = None,
) -> dict[int, tuple[int, int]]:
    """Hand over all records of a topic up to its end as it is now, one by one and keeping none.

    With `start` and `end` only those from and before these offsets, of partitions that they name. Those of a partition
    come in their order. `take` is called on another thread; what it raises ends the scan. Returns for each partition
    the first offset that it still has, and the end that was read to. Raises KafkaUnreachableError where nothing comes
    for `timeout` seconds.
    """
    with UngroupedConsumer(kafka, topic) as client:
        return await scan_by(client, take, timeout, start=start, end=end)


async def scan_by(
    client: UngroupedConsumer,
    take: Callable[[Record], object],
    timeout: float = 30.0,
    *,
    start: Mapping[int, int] | None = None,
    end: Mapping[int, int] | None = None,
) -> dict[int, tuple[int, int]]:
    """Do what `scan` does with a client's topic."""
    one = _Scan(client.topic, take, timeout, start or {}, end or {})
    try:
        return await client.ask(one.run)
    except KafkaException as error:
        raise unreachable(error, client.topic) from error
    finally:
        one.is_left.set()


@dataclass(frozen=True, slots=True)
class _Scan:
    """Reads each partition up to its end, on the client's thread, unless whoever asked has left."""

    topic: str
    take: Callable[[Record], object]
    timeout: float
    start: Mapping[int, int]
    end: Mapping[int, int]
    is_left: threading.Event = field(default_factory=threading.Event)

    def run(self, consumer: Consumer) -> dict[int, tuple[int, int]]:
        reading = _Reading(self.topic, Budget(0, 0), start=self.start)
        spans = spans_of(consumer, self.topic, partitions_of(consumer, self.topic), is_listed=True)
        ends = {number: min(high, self.end.get(number, high)) for number, (_, high) in spans.items()}
        unread = {number for number, (low, _) in spans.items() if max(low, self.start.get(number, low)) < ends[number]}
        reading.begin(consumer, {number: spans[number] for number in unread})
        for records in self._read_until(consumer, reading, {number: ends[number] for number in unread}):
            if self.is_left.is_set():
                break
            for record in records:
                if record.origin.offset < ends[record.origin.partition]:
                    self.take(record)
        consumer.unassign()
        return {number: (low, ends[number]) for number, (low, _) in spans.items()}

    def _read_until(self, consumer: Consumer, reading: _Reading, ends: Mapping[int, int]) -> Iterator[list[Record]]:
        deadline = time.monotonic() + self.timeout
        while any((reading.next_offset(number) or 0) < end for number, end in ends.items()):
            message = consumer.poll(0.2)
            records = reading.take(consumer, [message] if message is not None else [])
            yield records
            if records:
                deadline = time.monotonic() + self.timeout
            elif time.monotonic() > deadline:
                raise KafkaUnreachableError(_NOT_IN_TIME)
