"""Read the log as a member of a consumer group, and commit what is finished."""

import threading
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.offsets import Window
from streams.settings import KafkaSettings
from streams.thread import ConsumerThread, Record, to_record
from streams.watermarks import LIMIT, watermarks

log = structlog.get_logger()

DEFAULTS: dict[str, Any] = {
    "session.timeout.ms": 10_000,
    "partition.assignment.strategy": "cooperative-sticky",
    "queued.max.messages.kbytes": 8192,
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
}
REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
}


class GroupReader:
    """The log's records for one group, in the event loop; commits only what `finish` was called for.

    In hand is what was handed over and is not finished. Above the limits reading pauses, below half of them it
    goes on; the consumer polls all the while and keeps its membership.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        group_id: str,
        topic: str,
        first_offset: Callable[[int], int],
        max_in_hand_bytes: int = 32 * 1024 * 1024,
        max_in_hand_records: int = 1000,
        commit_interval: float = 0.5,
    ) -> None:
        required = REQUIRED | {"group.id": group_id, "on_commit": self.on_commit}
        self._config = kafka.client(DEFAULTS, required)
        self._topic = topic
        self._first_offset = first_offset
        self._max_bytes = max_in_hand_bytes
        self._max_records = max_in_hand_records
        self._commit_interval = commit_interval
        self._lock = threading.Lock()
        self._windows: dict[int, Window] = {}
        self._committed: dict[int, tuple[int, str]] = {}
        self._paused: set[int] = set()
        self._is_over = False
        self._is_stopping = False
        self._next_commit = 0.0
        self._records = self._bytes = 0
        self.is_member = False
        """True once the group has given this reader its partitions, of which there may be none."""

    async def __aenter__(self) -> "GroupReader":
        self._thread = ConsumerThread(self._config, self)
        await self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is finished, leave the group, end the thread."""
        await self._thread.close()

    def batches(self) -> AsyncIterator[list[Record]]:
        """Yield records as they come, until `stop_reading`. Raises ReaderFailedError."""
        return self._thread.batches()

    def stop_reading(self) -> None:
        """Hand over nothing more; the membership lasts until exit."""
        self._is_stopping = True
        self._thread.end()

    def finish(self, record: Record) -> bool:
        """Note that all effects of a record are acknowledged: its offset may be committed from now on.

        False, without effect, where its partition was given up meanwhile.
        """
        with self._lock:
            window = self._windows.get(record.origin.partition)
            size = window.finish(record.origin.offset) if window else None
            if size is None:
                return False
            self._records -= 1
            self._bytes -= size
            return True

    def holds(self, record: Record) -> bool:
        """Tell whether a record is still ours to work on."""
        with self._lock:
            window = self._windows.get(record.origin.partition)
            return window is not None and window.is_open(record.origin.offset)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that this member holds."""
        with self._lock:
            return frozenset(self._windows)

    def open(self, consumer: Consumer) -> None:
        """Join the group."""
        consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Note messages in their windows; return those that are new here."""
        if self._is_stopping:
            return []
        records = [record for message in messages if (record := self._record(consumer, message))]
        return [record for record in records if self._note(record)]

    def _record(self, consumer: Consumer, message: Message) -> Record | None:
        error = message.error()
        if error is None:
            return to_record(message)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._start_again(consumer, message.partition(), message.offset())
        elif message.partition() is not None and message.partition() >= 0 and (message.offset() or -1) >= 0:
            origin = Origin(topic=self._topic, partition=message.partition(), offset=message.offset())
            consumer.seek(TopicPartition(self._topic, origin.partition, origin.offset + 1))
            return Record(origin=origin, error=error.name())
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("Kafka reports a problem; the client goes on by itself.", error=error.name())
        return None

    def _note(self, record: Record) -> bool:
        size = len(record.value)
        with self._lock:
            window = self._windows.get(record.origin.partition)
            if window is None or not window.add(record.origin.offset, size):
                return False
            self._records += 1
            self._bytes += size
            return True

    def tick(self, consumer: Consumer) -> None:
        """Pause or resume, and commit if it is time."""
        self._keep_bounds(consumer)
        if time.monotonic() >= self._next_commit:
            self._next_commit = time.monotonic() + self._commit_interval
            self._commit(consumer, asynchronous=True)

    def close(self, consumer: Consumer) -> None:
        """Commit what is finished."""
        self._commit(consumer, asynchronous=False)

    def _keep_bounds(self, consumer: Consumer) -> None:
        with self._lock:
            half = 0.5 if self._is_over else 1.0
            self._is_over = (
                self._is_stopping or self._bytes >= self._max_bytes * half or self._records >= self._max_records * half
            )
            wanted = {number for number, window in self._windows.items() if self._is_over or window.is_full}
            change = wanted - self._paused, (self._paused - wanted) & self._windows.keys()
        self._paused = wanted
        for partitions, act in zip(change, (consumer.pause, consumer.resume), strict=True):
            if partitions:
                act([TopicPartition(self._topic, number) for number in partitions])

    def _commit(self, consumer: Consumer, *, asynchronous: bool, only: set[int] | None = None) -> None:
        """Commit the lowest contiguous finished offset of each partition where that has changed."""
        with self._lock:
            now = {
                number: (window.committable, window.metadata())
                for number, window in self._windows.items()
                if only is None or number in only
            }
        changed = {number: state for number, state in now.items() if self._committed.get(number) != state}
        if not changed:
            return
        offsets = [TopicPartition(self._topic, number, *state) for number, state in changed.items()]
        self._committed.update(changed)
        try:
            consumer.commit(offsets=offsets, asynchronous=asynchronous)
        except KafkaException as error:
            self._forget_commits(error.args[0])

    def on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """Note a refusal, so that the next commit says it all again."""
        if error is not None:
            self._forget_commits(error)

    def _forget_commits(self, error: KafkaError) -> None:
        if error.code() != KafkaError._NO_OFFSET:
            log.warning("Kafka refused a commit; the next one repeats it.", error=error.name())
        self._committed.clear()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.is_member = True
        if not partitions:
            return
        starts = [self._start(consumer, found) for found in consumer.committed(partitions, timeout=LIMIT)]
        with self._lock:
            for start in starts:
                self._windows[start.partition] = Window(start.offset, start.metadata or "")
        consumer.incremental_assign([TopicPartition(self._topic, s.partition, s.offset) for s in starts])
        log.info("Partitions assigned.", partitions=sorted(s.partition for s in starts), action="assign")

    def _start(self, consumer: Consumer, found: TopicPartition) -> TopicPartition:
        """Return where to begin: at the committed offset, else at the registered one, always on the log."""
        wanted = found.offset if found.offset >= 0 else self._first_offset(found.partition)
        low, high = watermarks(consumer, self._topic, found.partition)
        if low <= wanted <= high:
            return TopicPartition(self._topic, found.partition, wanted, found.metadata or "")
        self._report_loss(found.partition, wanted, low, high)
        return TopicPartition(self._topic, found.partition, low)

    def _start_again(self, consumer: Consumer, partition: int, wanted: int) -> None:
        low, high = watermarks(consumer, self._topic, partition)
        with self._lock:
            window = self._windows.get(partition)
            self._drop(partition)
            wanted = window.committable if window and wanted < 0 else wanted
            self._windows[partition] = Window(low)
        self._report_loss(partition, wanted, low, high)
        consumer.seek(TopicPartition(self._topic, partition, low))

    def _report_loss(self, partition: int, wanted: int, low: int, high: int) -> None:
        facts = {"topic": self._topic, "partition": partition, "offset": wanted, "first": low, "end": high}
        if wanted < low:
            log.error("Records were deleted before they were read.", lost=low - wanted, action="skip", **facts)
        else:
            log.error("The log is shorter than what was read: reading all of it.", action="repeat", **facts)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, asynchronous=False, only={tp.partition for tp in partitions})
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("Partitions lost: another member repeats what is in hand.", action="lost")
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        with self._lock:
            for given_up in partitions:
                self._drop(given_up.partition)

    def _drop(self, partition: int) -> None:
        window = self._windows.pop(partition, None)
        self._committed.pop(partition, None)
        self._paused.discard(partition)
        if window is not None:
            self._records -= window.unfinished
            self._bytes -= window.size
