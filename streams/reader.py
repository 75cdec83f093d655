"""Read the log as a member of a consumer group, and commit what is finished."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.records import Origin
from streams.errors import ReaderFailedError
from streams.offsets import Window
from streams.settings import KafkaSettings
from streams.thread import ConsumerThread, Record, to_record

__all__ = ["GroupReader", "Record"]

log = structlog.get_logger()

BROKER_LIMIT = 10.0
"""Seconds that one question to the broker may take."""

ASSIGN_LIMIT = 60.0
"""Seconds that a broker may leave the questions of an assignment unanswered before the reader gives up."""

LEAVE_LIMIT = 10.0
"""Seconds that the last commit may take, as long as others' sessions."""

MEGABYTE = 1024 * 1024

DEFAULTS: dict[str, Any] = {
    "queued.max.messages.kbytes": 8192,
    "fetch.max.bytes": 8 * MEGABYTE,
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
}
"""A small prefetch, as pausing throws it away; users may choose others."""

_COOPERATIVE: dict[str, Any] = {
    "session.timeout.ms": 10_000,
    "partition.assignment.strategy": "cooperative-sticky",
}
_REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
}

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

Answer = TypeVar("Answer")


class Budget:
    """Whether to go on reading: no longer at a limit, and from there not before half of it is left.

    One thread may add while another one removes; either kind needs a lock among several threads.
    """

    def __init__(self, max_bytes: int, max_records: int) -> None:
        self._limits = (max_bytes, max_records)
        self._added_bytes = self._added_records = 0
        self._removed_bytes = self._removed_records = 0
        self._is_over = False

    def add(self, record: Record) -> None:
        """Count a record that is now in hand."""
        self._added_bytes += _size(record)
        self._added_records += 1

    def remove(self, record: Record) -> None:
        """Count a record that is no longer in hand."""
        self._removed_bytes += _size(record)
        self._removed_records += 1

    def is_over(self) -> bool:
        """Tell whether to pause; the answer stays for a while, so that reading does not flutter."""
        share = 0.5 if self._is_over else 1.0
        in_hand = (self._added_bytes - self._removed_bytes, self._added_records - self._removed_records)
        self._is_over = any(have >= limit * share for have, limit in zip(in_hand, self._limits, strict=True))
        return self._is_over


def _size(record: Record) -> int:
    return len(record.value) + len(record.key or b"")


class Intake(Protocol):
    """Where messages of the client go."""

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next, None for a partition that is not ours."""

    def accept(self, record: Record) -> bool:
        """Note a record; False if nobody needs it."""

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Read a partition on where it has records; the offset that was to be read is not on the log."""


def take_in(consumer: Consumer, messages: Sequence[Message], intake: Intake) -> list[Record]:
    """Return the records among the messages.

    One that can't be delivered becomes a record with an error, and reading goes on behind it. A broken
    compressed batch names its first record each time, so its records come out one by one. What the same round
    brought of a partition after a seek is left out, because it comes again.
    """
    records: list[Record] = []
    sought: set[int] = set()
    for message in messages:
        partition, error = message.partition(), message.error()
        if partition in sought:
            continue
        if error is None:
            record = to_record(message)
        elif error.code() in _UNDELIVERABLE and (expected := intake.next_offset(partition)) is not None:
            record = _undeliverable(message, expected)
            consumer.seek(TopicPartition(message.topic(), partition, record.origin.offset + 1))
            sought.add(partition)
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
    if error.fatal():
        raise KafkaException(error)
    if error.code() == KafkaError._AUTO_OFFSET_RESET and intake.next_offset(partition) is not None:
        intake.find_back(consumer, partition)
    elif error.code() != KafkaError._PARTITION_EOF:
        log.warning("Kafka reports a problem; the client goes on by itself.", error=error.name())


def read_again(consumer: Consumer, topic: str, partition: int, offset: int) -> None:
    """Read a partition on at an offset, unpaused: after an error the client has stopped it."""
    where = TopicPartition(topic, partition, offset)
    consumer.incremental_unassign([where])
    consumer.incremental_assign([where])


def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset of a partition and its end. Raises KafkaException.

    Brokers that just elect a leader are asked again.
    """
    deadline = time.monotonic() + BROKER_LIMIT
    while True:
        try:
            found: tuple[int, int] = consumer.get_watermark_offsets(TopicPartition(topic, partition), BROKER_LIMIT)
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
        else:
            return found


class GroupReader:
    """The log's records for one group, in the event loop; commits only what `finish` was called for.

    In hand is what was handed over and is not finished. At a limit reading pauses, below half of it it goes
    on; the consumer polls all the while and keeps its membership. What one round took from the client before
    a pause began is still handed over, so the limits can be exceeded by what the client fetches ahead: a
    queue and one answer of a broker, 8 MiB each.

    A partition without a committed offset starts at `first_offset(partition)`, which is called on another
    thread. A start before the log's first offset is a loss, which is logged with its count. A start behind
    the log's end means that the log was made anew, so all of it is read: to repeat is harmless, to leave out
    is not.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        group_id: str,
        topic: str,
        first_offset: Callable[[int], int],
        max_in_hand_bytes: int = 32 * MEGABYTE,
        max_in_hand_records: int = 1000,
        commit_interval: float = 0.5,
    ) -> None:
        self._in_hand = _InHand(Budget(max_in_hand_bytes, max_in_hand_records))
        self._member = _Member(topic, first_offset, commit_interval, self._in_hand)
        self._config = _group_config(kafka, group_id, self._member)
        self._failure: ReaderFailedError | None = None

    async def __aenter__(self) -> "GroupReader":
        """Begin to join the group. Raises ReaderFailedError; a broker that is away is waited for."""
        self._thread = ConsumerThread(self._config, self._member)
        try:
            await self._thread.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is finished, leave the group, end the thread."""
        await self._close()

    async def _close(self) -> None:
        self._member.is_closing.set()
        await self._thread.close()

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Yield records as they come, until `stop_reading`; to be iterated by one task at a time.

        Raises ReaderFailedError.
        """
        if self._failure is not None:
            raise self._failure
        if self._member.is_stopping.is_set():
            return
        try:
            async for records in self._thread.batches():
                yield records
        except ReaderFailedError as error:
            self._failure = error
            raise

    async def stop_reading(self) -> None:
        """Hand over nothing more; the membership lasts until exit."""
        self._member.is_stopping.set()
        self._thread.end()

    def finish(self, record: Record) -> bool:
        """Note that all effects of a record are acknowledged: its offset may be committed from now on.

        `record` is the very object that was handed over. False, without effect, where its partition was given
        up meanwhile, or the record is finished already.
        """
        return self._in_hand.finish(record)

    def holds(self, record: Record) -> bool:
        """Tell whether a record is in hand, under the same assignment by which it was handed over."""
        return self._in_hand.holds(record)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that this member holds."""
        return self._in_hand.partitions()

    @property
    def is_member(self) -> bool:
        """True once the group has given this reader its partitions, of which there may be none."""
        return self._member.is_member


def _group_config(kafka: KafkaSettings, group_id: str, member: "_Member") -> dict[str, Any]:
    """Eager strategies are never mixed in; with the newer group protocol the broker decides instead."""
    by_client = {} if kafka.properties.get("group.protocol") == "consumer" else _COOPERATIVE
    strategy = {name: value for name, value in by_client.items() if name not in kafka.properties}
    strategy |= {name: value for name, value in by_client.items() if name.endswith("strategy")}
    callbacks = {"on_commit": member.on_commit, "error_cb": member.on_error}
    return DEFAULTS | kafka.client(**_REQUIRED, **{"group.id": group_id}, **strategy, **callbacks)


class _InHand:
    """What is in hand, by partition: the one thing that the event loop and the consumer's thread share."""

    def __init__(self, budget: Budget) -> None:
        self._lock = threading.Lock()
        self._budget = budget
        self._windows: dict[int, Window] = {}
        self._records: dict[int, dict[int, Record]] = {}

    def begin(self, partition: int, window: Window) -> None:
        """Hold a partition, with nothing in hand."""
        with self._lock:
            self._drop(partition)
            self._windows[partition], self._records[partition] = window, {}

    def give_up(self, partitions: Iterable[int]) -> None:
        """Hold partitions no longer: what was in hand is somebody else's."""
        with self._lock:
            for partition in partitions:
                self._drop(partition)

    def _drop(self, partition: int) -> None:
        self._windows.pop(partition, None)
        for record in self._records.pop(partition, {}).values():
            self._budget.remove(record)

    @contextmanager
    def window(self, partition: int) -> Iterator[Window | None]:
        """Lend the window of a partition, None where it is not held."""
        with self._lock:
            yield self._windows.get(partition)

    def add(self, record: Record) -> bool:
        """Take a record in hand; False if it needs no work."""
        with self._lock:
            window = self._windows.get(record.origin.partition)
            if window is None or not window.add(record.origin.offset):
                return False
            self._records[record.origin.partition][record.origin.offset] = record
            self._budget.add(record)
            return True

    def finish(self, record: Record) -> bool:
        """Let go of a record whose effects are done; False if it is not in hand."""
        with self._lock:
            if not self._holds(record):
                return False
            del self._records[record.origin.partition][record.origin.offset]
            self._budget.remove(record)
            return self._windows[record.origin.partition].finish(record.origin.offset)

    def holds(self, record: Record) -> bool:
        """Tell whether this very record is in hand, not just one of the same offset."""
        with self._lock:
            return self._holds(record)

    def _holds(self, record: Record) -> bool:
        return self._records.get(record.origin.partition, {}).get(record.origin.offset) is record

    def partitions(self) -> frozenset[int]:
        """Return the partitions that are held."""
        with self._lock:
            return frozenset(self._windows)

    def to_pause(self) -> set[int]:
        """Return the partitions that are not to be read for now."""
        with self._lock:
            if self._budget.is_over():
                return set(self._windows)
            return {partition for partition, window in self._windows.items() if window.is_full}

    def to_commit(self) -> dict[int, tuple[int, str]]:
        """Return the offset and metadata to commit of each partition."""
        with self._lock:
            return {number: (window.committable, window.metadata()) for number, window in self._windows.items()}


class _Member:
    """What a group reader does on its consumer's thread.

    All commits are asynchronous: a synchronous one blocks for as long as the broker does not answer
    (measured: more than three minutes). The client itself sends them in order, and answers a revocation or
    leaves the group only after the commits under way.
    """

    def __init__(
        self, topic: str, first_offset: Callable[[int], int], commit_interval: float, in_hand: _InHand
    ) -> None:
        self._topic = topic
        self._first_offset = first_offset
        self._commit_interval = commit_interval
        self._in_hand = in_hand
        self._committed: dict[int, tuple[int, str]] = {}
        self._unanswered = 0
        self._paused: set[int] = set()
        self._fresh: set[int] = set()
        self._next_commit = 0.0
        self._fatal: KafkaError | None = None
        self.is_stopping = threading.Event()
        self.is_closing = threading.Event()
        self.is_member = False

    def open(self, consumer: Consumer) -> None:
        """Join the group."""
        consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Note messages in their windows; return those that are new here."""
        fresh, self._fresh = self._fresh, set()
        if self.is_stopping.is_set():
            return []
        doubtful = {m.partition() for m in messages if m.partition() in fresh and self._is_doubtful(m)}
        for partition in doubtful:
            read_again(consumer, self._topic, partition, self.next_offset(partition) or 0)
        return take_in(consumer, [m for m in messages if m.partition() not in doubtful], self)

    def _is_doubtful(self, message: Message) -> bool:
        """Tell whether a message may be a leftover of an earlier assignment.

        A partition that came back in the very round that still had such leftovers would otherwise go on
        behind them. Anything at the expected offset is right, a real gap just comes again.
        """
        expected = self.next_offset(message.partition())
        return message.error() is None and expected is not None and message.offset() > expected

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next, None for a partition that is not held."""
        with self._in_hand.window(partition) as window:
            return window.next_offset if window else None

    def accept(self, record: Record) -> bool:
        """Take a record in hand."""
        return self._in_hand.add(record)

    def tick(self, consumer: Consumer) -> None:
        """Pause or resume, and commit if it is time."""
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        self._keep_bounds(consumer)
        if time.monotonic() >= self._next_commit and not self._unanswered:
            self._next_commit = time.monotonic() + self._commit_interval
            self._commit(consumer, self._in_hand.partitions())

    def close(self, consumer: Consumer) -> None:
        """1. Commit what is finished. 2. Poll until Kafka has confirmed it, within a limit.

        While the group rebalances Kafka keeps a member's commits back, and refuses them afterwards. Who
        leaves then gives up those, and holds the others up until its session ends.
        """
        self.is_stopping.set()
        deadline = time.monotonic() + LEAVE_LIMIT
        while time.monotonic() < deadline:
            if not self._unanswered:
                self._commit(consumer, self._in_hand.partitions())
            if not self._unanswered:
                return
            consumer.poll(0.02)
        log.warning("Kafka did not confirm the last commit in time; it may be repeated.", action="leave")

    def _keep_bounds(self, consumer: Consumer) -> None:
        held = self._in_hand.partitions()
        wanted = set(held) if self.is_stopping.is_set() else self._in_hand.to_pause()
        pause, resume = wanted - self._paused, (self._paused - wanted) & held
        self._paused = wanted
        if pause:
            consumer.pause([TopicPartition(self._topic, partition) for partition in pause])
        if resume:
            consumer.resume([TopicPartition(self._topic, partition) for partition in resume])

    def _commit(self, consumer: Consumer, partitions: Iterable[int]) -> None:
        """Commit the lowest contiguous finished offset of each of the partitions where that has changed."""
        states = self._in_hand.to_commit()
        changed = {
            number: states[number]
            for number in partitions
            if number in states and self._committed.get(number) != states[number]
        }
        if not changed:
            return
        self._committed |= changed
        self._unanswered += 1
        offsets = [TopicPartition(self._topic, number, *state) for number, state in changed.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self.on_commit(error.args[0], offsets)

    def on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """Note refusals, so that the next commit of a partition says all again if it is still ours."""
        self._unanswered -= 1
        refused = {found.partition: error or found.error for found in offsets if error or found.error}
        for partition in refused:
            self._committed.pop(partition, None)
        if refused:
            reasons = sorted({reason.name() for reason in refused.values()})
            log.warning("Kafka refused a commit.", partitions=sorted(refused), errors=reasons, action="repeat")

    def on_error(self, error: KafkaError) -> None:
        """Note what the client reports about its connections; only a fatal error ends the reader."""
        if error.code() == KafkaError._FATAL or error.fatal():
            self._fatal = error
        log.warning("Kafka reports a problem; the client goes on by itself.", error=error.name())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin each partition where it was committed, else where its group starts, always on the log."""
        if partitions:
            for found in self._patiently(lambda: _committed(consumer, partitions)):
                self._begin(consumer, found)
            starts = [TopicPartition(self._topic, p.partition, self.next_offset(p.partition)) for p in partitions]
            consumer.incremental_assign(starts)
            log.info("Partitions assigned.", topic=self._topic, partitions=_numbers(partitions))
        self.is_member = True

    def _begin(self, consumer: Consumer, found: TopicPartition) -> None:
        partition = found.partition
        low, high = self._patiently(lambda: watermarks(consumer, self._topic, partition))
        if found.offset >= 0:
            self._committed[partition] = (found.offset, found.metadata or "")
            window = Window(found.offset, found.metadata or "")
        else:
            window = Window(self._first_offset(partition))
        self._fresh.add(partition)
        self._in_hand.begin(partition, self._on_log(partition, window, low, high))

    def _on_log(self, partition: int, window: Window, low: int, high: int) -> Window:
        """Return the window, moved to where the log has records if it is outside; that is never silent."""
        wanted = window.next_offset
        facts = {"topic": self._topic, "partition": partition, "offset": wanted, "first": low, "end": high}
        if wanted < low:
            lost = window.skip_to(low)
            log.error("Records were deleted before they were read.", lost=lost, action="skip", **facts)
        elif wanted > high:
            log.error("The log ends before what was read: it is new, and read whole.", action="repeat", **facts)
            return Window(low)
        return window

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Go on where the log has records, when retention or a new log has taken away what was to be read."""
        low, high = self._patiently(lambda: watermarks(consumer, self._topic, partition))
        with self._in_hand.window(partition) as held:
            moved = None if held is None else self._on_log(partition, held, low, high)
        if moved is not None and moved is not held:
            self._in_hand.begin(partition, moved)
        if moved is not None:
            self._paused.discard(partition)
            read_again(consumer, self._topic, partition, moved.next_offset)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """1. Commit what is finished. 2. Forget what is in hand. 3. Give up; the client commits first."""
        if self._unanswered:  # may yet be refused, as it is of the time before the rebalance
            for number in _numbers(partitions):
                self._committed.pop(number, None)
        self._commit(consumer, _numbers(partitions))
        self._give_up(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("Partitions lost: another member repeats what is in hand.", partitions=_numbers(partitions))
        self._give_up(consumer, partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = _numbers(partitions)
        self._in_hand.give_up(numbers)
        for number in numbers:
            self._committed.pop(number, None)
            self._paused.discard(number)
        consumer.incremental_unassign(partitions)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask the broker again while it does not answer, as during an election. Raises KafkaException."""
        deadline = time.monotonic() + ASSIGN_LIMIT
        while True:
            try:
                return ask()
            except KafkaException as error:
                if error.args[0].fatal() or time.monotonic() > deadline or self.is_closing.wait(0.5):
                    raise
                log.warning("Kafka does not say where a partition is read on.", error=error.args[0].name())


def _committed(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    found: list[TopicPartition] = consumer.committed(partitions, timeout=BROKER_LIMIT)
    for partition in found:
        if partition.error is not None:
            raise KafkaException(partition.error)
    return found


def _numbers(partitions: list[TopicPartition]) -> list[int]:
    return sorted(partition.partition for partition in partitions)
