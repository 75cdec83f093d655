"""What a member of a consumer group does on its consumer's thread."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.in_hand import InHand
from streams.intake import BROKER_LIMIT, read_again, take_in, watermarks
from streams.offsets import Window
from streams.thread import Record

log = structlog.get_logger()

ASSIGN_LIMIT = 60.0
"""Seconds that a broker may leave the questions of an assignment unanswered before the reader gives up."""

LEAVE_LIMIT = 10.0
"""Seconds that the last commit may take, as long as others' sessions."""

Answer = TypeVar("Answer")


class Member:
    """What a group reader does on its consumer's thread.

    All commits are asynchronous: a synchronous one blocks for as long as the broker does not answer
    (measured: more than three minutes). The client itself sends them in order, and answers a revocation or
    leaves the group only after the commits under way.
    """

    def __init__(self, topic: str, first_offset: Callable[[int], int], commit_interval: float, in_hand: InHand) -> None:
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
