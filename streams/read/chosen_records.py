"""Read chosen records of a topic by where they stand, and commit which of them are finished."""

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError, ReaderFailedError
from streams.client.settings import KafkaSettings
from streams.read.commits import Commits, committed, place_in
from streams.read.consumer_thread import DEFAULTS, MEGABYTE, ConsumerThread, Record, to_record
from streams.read.in_flight import Budget, InFlight
from streams.read.messages import BROKER_LIMIT, LOOK_AGAIN, keep_asking, read_again, resume, take_in, watermarks
from streams.read.offset_tracker import OffsetTracker, decode_offsets, is_left_open

log = structlog.get_logger()

GONE = "GONE"
"""Error of a record that is not on the topic any more."""

WORTH_A_JUMP = 16
"""Offsets that are not wanted and are read all the same: to begin elsewhere costs a question to the broker."""

MOST_RECORDS = 2000
"""Records in flight of one partition at once."""

_REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
}


class ChosenRecordReader:
    """Chosen records of a topic, in the event loop; which are finished is committed for a group without members.

    Whoever begins again with the same group is not given what was finished before. Records of a partition come in
    its order, each once; one that has left the topic comes as a record with the error GONE, behind the topic's end
    only when it stayed away for `sure` seconds. What is in flight is bounded for each partition by itself, so that one
    that is slow holds up no other.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        group_id: str,
        topic: str,
        wanted: Iterable[Origin],
        max_in_flight_bytes: int = 32 * MEGABYTE,
        topic_id: str | None = None,
        sure: float = 0.0,
    ) -> None:
        offsets = _by_partition(wanted)
        self._in_flight = InFlight(Budget(2**62, 2**62))  # each partition has a budget of its own
        self._reading = _ChosenReading(topic, offsets, self._in_flight, max_in_flight_bytes, topic_id, sure)
        callbacks = {
            "on_commit": self._reading.commits.on_commit,
            "error_cb": kafka.on_error_after(self._reading.on_error),
        }
        self._config = DEFAULTS | kafka.client(**_REQUIRED, **{"group.id": group_id}, **callbacks)

    async def __aenter__(self) -> "ChosenRecordReader":
        """Return when it is known what was finished before. Raises KafkaUnreachableError, ReaderFailedError."""
        self._thread = ConsumerThread(self._config, self._reading, self._reading.is_closing)
        try:
            await self._thread.start()
        except ReaderFailedError as error:
            if isinstance(error.__cause__, KafkaException):
                reason = error.__cause__.args[0].name()
                raise KafkaUnreachableError(f"Kafka does not say how far this came ({reason}).") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is finished, and end the thread."""
        await self._thread.close()

    @property
    def finished_before(self) -> Sequence[Origin]:
        """The records that were finished before this was entered."""
        return self._reading.finished_before

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Yield records as they come until all were handed over, or `stop_reading`. Raises ReaderFailedError."""
        unread = self._reading.unread
        if not unread:
            return
        async for records in self._thread.batches():
            yield records
            unread -= len(records)
            if not unread:
                return

    async def stop_reading(self) -> None:
        """Hand over nothing more."""
        self._thread.end()

    def finish(self, record: Record) -> None:
        """Note that all effects of a record are acknowledged."""
        if self._in_flight.finish(record):
            self._reading.budgets[record.origin.partition].remove(record)


def _by_partition(origins: Iterable[Origin]) -> dict[int, list[int]]:
    offsets: dict[int, set[int]] = {}
    for origin in origins:
        offsets.setdefault(origin.partition, set()).add(origin.offset)
    return {partition: sorted(found) for partition, found in offsets.items()}


class _ChosenReading:
    """What a reader of chosen records does on its consumer's thread."""

    def __init__(
        self,
        topic: str,
        wanted: Mapping[int, Sequence[int]],
        in_flight: InFlight,
        max_bytes: int,
        topic_id: str | None,
        sure: float,
    ) -> None:
        self._topic = topic
        self._sure = sure
        self._missing_since: float | None = None
        self._topic_id = topic_id
        self._wanted = wanted
        self._in_flight = in_flight
        self.commits = Commits(topic, in_flight, topic_id)
        share = max(1, max_bytes // max(1, len(wanted)))
        self.budgets = {partition: Budget(share, MOST_RECORDS) for partition in wanted}
        self.finished_before: list[Origin] = []
        self.unread = 0
        self._left: dict[int, deque[int]] = {}
        self._next: dict[int, int] = {}
        """The offset that the client hands over next of each partition that is read."""
        self._bounds: dict[int, tuple[int, int]] = {}
        self._suspect: set[int] = set()
        """Partitions that a run before left uncleanly, so that any record may be what ended it."""
        self._gone: list[Record] = []
        self._doubted: dict[int, int] = {}
        """The wanted offset that a partition was read for once more, as a later one came first."""
        self._paused: set[int] = set()
        self._fatal: KafkaError | None = None
        self.is_closing = threading.Event()

    def open(self, consumer: Consumer) -> None:
        """Begin each partition at the first wanted record that was not finished before."""
        asked = self._topic_partitions(self._wanted)
        for place in keep_asking(self.is_closing, lambda: committed(consumer, asked, BROKER_LIMIT)):
            self._begin(place)
            self._look_for_bounds(consumer, place.partition)
            self._leave_out_gone(place.partition)
        self.commits.commit(consumer, self._wanted)
        self._next = {number: left[0] for number, left in self._left.items() if left}
        consumer.assign([TopicPartition(self._topic, *start) for start in self._next.items()])

    def _begin(self, place: TopicPartition) -> None:
        number, wanted = place.partition, self._wanted[place.partition]
        known = place_in(place, self._topic_id)
        start, metadata = known or (wanted[0], "")
        done = decode_offsets(start, metadata)
        left = [offset for offset in wanted if offset >= start and offset not in done]
        unfinished = set(left)
        self._left[number] = deque(left)
        self.unread += len(left)
        self.finished_before += [self._origin(number, offset) for offset in wanted if offset not in unfinished]
        if known is not None:
            self.commits.begin(number, place.offset, place.metadata or "")
        if is_left_open(metadata):
            self._suspect.add(number)
        self._in_flight.begin(number, OffsetTracker(start, metadata))

    def _origin(self, partition: int, offset: int) -> Origin:
        return Origin(topic=self._topic, partition=partition, offset=offset)

    def _look_for_bounds(self, consumer: Consumer, number: int) -> None:
        """Ask for a partition's bounds; where the last wanted record is behind its end, for a while again."""
        while True:
            self._bounds[number] = keep_asking(self.is_closing, lambda: watermarks(consumer, self._topic, number))
            if not self._left[number] or self._left[number][-1] < self._bounds[number][1]:
                self._missing_since = None
                return
            now = time.monotonic()
            self._missing_since = self._missing_since or now
            if now - self._missing_since >= self._sure or self.is_closing.wait(min(LOOK_AGAIN, self._sure)):
                return

    def _leave_out_gone(self, number: int) -> None:
        """Hand over what is next without its value while it is not between the partition's bounds."""
        low, high = self._bounds[number]
        while self._left[number] and not low <= self._left[number][0] < high:
            self._leave_out(number)

    def _leave_out(self, number: int) -> None:
        record = Record(origin=self._origin(number, self._left[number].popleft()), error=GONE)
        self._hold(record)
        self._gone.append(record)

    def _hold(self, record: Record) -> None:
        self._in_flight.add(record)
        self.budgets[record.origin.partition].add(record)

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Return the wanted records among the messages, and those that are found to be gone."""
        records = take_in(consumer, messages, self)
        for number in {message.partition() for message in messages} & self._next.keys():
            self._go_on(consumer, number)
        gone, self._gone = self._gone, []
        return records + gone

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next, None for a partition that is not read."""
        return self._next.get(partition)

    def to_record(self, message: Message) -> Record:
        """Return what is taken over of a message; whether it is suspect is known of its partition."""
        return to_record(message, is_suspect=message.partition() in self._suspect)

    def accept(self, record: Record) -> bool:
        """Take a record up if it is the next one that is wanted of its partition."""
        number, offset = record.origin.partition, record.origin.offset
        if number not in self._next:
            return False
        self._next[number] = max(self._next[number], offset + 1)  # what was fetched before a jump comes late
        if offset != self._left[number][0]:
            return False
        self._left[number].popleft()
        self._hold(record)
        if not self._left[number]:
            del self._next[number]
        return True

    def reached(self, partition: int, offset: int) -> None:
        """Note that nothing wanted comes before an offset: what should have come is looked for once more, and gone."""
        if partition in self._next:
            self._next[partition] = max(self._next[partition], offset)

    def _go_on(self, consumer: Consumer, number: int) -> None:
        """Leave a partition of which nothing more is wanted; begin it elsewhere where the next one is far off."""
        ahead = self._left[number][0] - self._next[number]
        if ahead < 0 and self._doubted.get(number) == self._left[number][0]:
            self._leave_out(number)
        elif ahead < 0:
            self._doubted[number] = self._left[number][0]
        elif ahead <= WORTH_A_JUMP:
            return
        self._begin_again(consumer, number)

    def _begin_again(self, consumer: Consumer, number: int) -> None:
        self._leave_out_gone(number)
        self._paused.discard(number)
        if self._left[number]:
            self._next[number] = self._left[number][0]
            read_again(consumer, self._topic, number, self._next[number])
        else:
            self._next.pop(number, None)

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Go on at the first wanted record that is left, as retention has taken away what was to be read."""
        self._look_for_bounds(consumer, partition)
        self._begin_again(consumer, partition)

    def tick(self, consumer: Consumer) -> None:
        """Pause or resume, let go of what is read, and commit if it is time."""
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        assigned = {place.partition for place in consumer.assignment()}
        if done := assigned - self._next.keys():
            consumer.incremental_unassign(self._topic_partitions(done))
        self._keep_bounds(consumer)
        self.commits.tick(consumer)

    def _keep_bounds(self, consumer: Consumer) -> None:
        held = self._next.keys()
        full = {number for number in held if self.budgets[number].is_over()} | (self._in_flight.to_pause() & held)
        to_pause, to_resume = full - self._paused, (self._paused - full) & held
        self._paused = full
        if to_pause:
            consumer.pause(self._topic_partitions(to_pause))
        if to_resume:
            resume(consumer, self._topic, to_resume)

    def _topic_partitions(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in numbers]

    def on_error(self, error: KafkaError) -> None:
        """Note an error of the client; only a fatal one ends the reader."""
        if error.code() == KafkaError._FATAL or error.fatal():
            self._fatal = error
            log.error("The consumer failed for good; the process must be started again.", error=error.name())

    def close(self, consumer: Consumer) -> None:
        """Commit what is finished, and return when Kafka has confirmed it, within a limit."""
        self.commits.close(consumer)
