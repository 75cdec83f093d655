"""What a member of a consumer group does on its consumer's thread."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.client.rights import ReadingRights
from streams.read.commits import Commits, committed, place_in
from streams.read.consumer_thread import Assignment, Record, to_record
from streams.read.in_flight import InFlight
from streams.read.membership import Membership
from streams.read.messages import BROKER_LIMIT, assign, keep_asking, read_again, resume, take_in, watermarks
from streams.read.offset_tracker import OffsetTracker, decode_offsets, is_left_open, is_marked, left_busy_to

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Loss:
    """Offsets of a partition that left the topic before they were read, and how many of them were not finished."""

    partition: int
    first_offset: int
    end_offset: int
    records: int


OnLoss = Callable[[Loss], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Whether a partition is left so that nothing of it can take effect later; asked on the consumer's thread."""

    is_quiet: Callable[[int], bool] = lambda _: True
    """Tells whether nothing that was read of a partition is under way."""
    longest_call: float = 0.0
    """Seconds for which calls of one who did not leave so may take effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSource:
    """What a group reads, where that begins, and who is told what was lost; see GroupReader."""

    topic: str
    topic_id: str | None
    first_offset: Callable[[int], int | None]
    on_loss: OnLoss
    with_headers: bool
    ask_anew: Callable[[int], tuple[int, int]]
    """Returns the first offset and the end of a partition as a client knows that has just asked for the topic."""
    leaving: Leaving = Leaving()


class Member:
    """What a group reader does on its consumer's thread."""

    def __init__(self, source: GroupSource, in_flight: InFlight, rights: ReadingRights, session: float = 10.0) -> None:
        self._source = source
        self._topic = source.topic
        self._in_flight = in_flight
        self._rights = rights
        self.commits = Commits(source.topic, in_flight, source.topic_id, rights.note, self._is_quiet)
        self.membership = Membership(in_flight, self.commits, session)
        self._assignments: dict[int, Assignment] = {}
        self._taken_at: dict[int, float] = {}
        self._paused: set[int] = set()
        self._fresh: set[int] = set()
        self._suspect_to: dict[int, int] = {}
        """Offsets before which the last holder of a partition, which it left uncleanly, may have read."""
        self.on_assigned: Callable[[Assignment], None] = lambda _: None
        self.on_given_up: Callable[[Collection[Assignment]], None] = lambda _: None
        self.to_mark: deque[Assignment] = deque()
        """Assignments that are not unmarked any more, from the event loop."""
        self._fatal: KafkaError | None = None
        self.is_stopping = threading.Event()
        self.is_closing = threading.Event()
        self.is_member = False

    def open(self, consumer: Consumer) -> None:
        """Join the group."""
        consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Note messages in their windows; return those that are new here."""
        messages = self._rights.readable(messages)
        fresh, self._fresh = self._fresh, set()
        if self.is_stopping.is_set():
            return []
        doubtful = {m.partition() for m in messages if m.partition() in fresh and self._is_doubtful(m)}
        for partition in doubtful:
            read_again(consumer, self._topic, partition, self.next_offset(partition) or 0)
        return take_in(consumer, [m for m in messages if m.partition() not in doubtful], self)

    def _is_doubtful(self, message: Message) -> bool:
        """Tell whether a message, or the end of a partition, may be a leftover of an earlier assignment.

        A partition that came back in the very round that still had such leftovers would otherwise go on
        behind them. Anything at the expected offset is right, a real gap just comes again.
        """
        expected, error = self.next_offset(message.partition()), message.error()
        is_place = error is None or error.code() == KafkaError._PARTITION_EOF
        return is_place and expected is not None and message.offset() > expected

    def next_offset(self, partition: int) -> int | None:
        """Return the offset that is expected next, None for a partition that is not held."""
        with self._in_flight.window(partition) as window:
            return window.next_offset if window else None

    def to_record(self, message: Message) -> Record:
        """Return what is taken over of a message; to read the headers of one that is suspect might end us."""
        is_suspect = message.offset() < self._suspect_to.get(message.partition(), 0)
        with_headers = self._source.with_headers and not is_suspect
        assignment = self._assignments.get(message.partition())
        return to_record(message, with_headers=with_headers, is_suspect=is_suspect, assignment=assignment)

    def accept(self, record: Record) -> bool:
        """Take a record up."""
        return self._in_flight.add(record)

    def reached(self, partition: int, offset: int) -> None:
        """Let the end be committed, also where the last offsets are no records."""
        self._in_flight.pass_to(partition, offset)

    def tick(self, consumer: Consumer) -> None:
        """Pause or resume, and commit if it is time."""
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        self._rights.look()
        self._keep_bounds(consumer)
        self._mark()
        self.membership.tick(consumer)
        self.commits.tick(consumer)

    def _mark(self) -> None:
        while self.to_mark:
            assignment = self.to_mark.popleft()
            if self._assignments.get(assignment.partition) is assignment:
                self.commits.unmarked.discard(assignment.partition)

    def _is_quiet(self, partition: int) -> bool:
        """Tell whether nothing of a partition can take effect later, of ours or of who held it before."""
        assignment = self._assignments.get(partition)
        is_clean = assignment is None or assignment.is_clean
        until = self._taken_at.get(partition, 0.0) + self._source.leaving.longest_call
        return (is_clean or until <= time.monotonic()) and self._source.leaving.is_quiet(partition)

    def close(self, consumer: Consumer) -> None:
        """Commit what is finished, and return when Kafka has confirmed it, within a limit."""
        self.is_stopping.set()
        self._in_flight.withhold(self._in_flight.partitions())
        self.commits.close(consumer)

    def _keep_bounds(self, consumer: Consumer) -> None:
        held = self._in_flight.partitions()
        wanted = set(held) if self.is_stopping.is_set() else self._in_flight.to_pause()
        to_pause, to_resume = wanted - self._paused, (self._paused - wanted) & held
        self._paused = wanted
        if to_pause:
            consumer.pause([TopicPartition(self._topic, partition) for partition in to_pause])
        if to_resume:
            resume(consumer, self._topic, to_resume)

    def on_error(self, error: KafkaError) -> None:
        """Note an error of the client; only a fatal one ends the reader."""
        if error.code() == KafkaError._FATAL or error.fatal():
            self._fatal = error
            log.error("The consumer failed for good; the process must be started again.", error=error.name())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin each partition where it was committed, else where its group starts, always on the log."""
        if partitions:
            for found in keep_asking(self.is_closing, lambda: committed(consumer, partitions, BROKER_LIMIT)):
                self._begin(consumer, found)
            self.commits.commit(consumer, _numbers(partitions))  # before anything is read: it may end us
            starts = [TopicPartition(self._topic, p.partition, self.next_offset(p.partition)) for p in partitions]
            assign(consumer, starts)
            log.info("Partitions assigned.", topic=self._topic, partitions=_numbers(partitions))
        self._rights.joined()
        self.is_member = True

    def _begin(self, consumer: Consumer, found: TopicPartition) -> None:
        partition = found.partition
        low, high = keep_asking(self.is_closing, lambda: self._bounds_of(consumer, partition))
        place = place_in(found, self._source.topic_id)
        if place is not None:
            self.commits.begin(partition, found.offset, found.metadata or "")
            window = OffsetTracker(*place)
        elif found.offset >= 0:
            facts = {"topic": self._topic, "partition": partition, "offset": found.offset}
            log.error("The topic was made anew since it was read: it is read whole.", action="repeat", **facts)
            window = OffsetTracker(low)
        else:
            first = self._source.first_offset(partition)
            window = OffsetTracker(low if first is None else first)
        is_open = place is not None and is_left_open(place[1])
        self._suspect_to[partition] = high if is_open else 0
        self._fresh.add(partition)
        busy_to = None if place is None else left_busy_to(*place)
        unmarked = None if place is None or is_marked(*place) else (place[0], frozenset(decode_offsets(*place)))
        if unmarked is not None and unmarked[0] <= low and not unmarked[1]:
            unmarked = None  # it left nothing behind
        self._hold(
            Assignment(
                partition=partition,
                first_offset=low,
                end=high if is_open or busy_to is None else busy_to,
                is_clean=not is_open and busy_to is None,
                unmarked=unmarked,
            )
        )
        self._in_flight.begin(partition, self._on_log(partition, window, low, high))

    def _bounds_of(self, consumer: Consumer, partition: int) -> tuple[int, int]:
        """Return the first offset and the end of a partition, of which the client may not have heard yet.

        librdkafka (2.16) says so, and asks nobody, where the last look at the topic was before a partition was added.
        Within a callback the client itself must not be made to look.
        """
        try:
            return watermarks(consumer, self._topic, partition)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
            return self._source.ask_anew(partition)

    def _hold(self, assignment: Assignment) -> None:
        partition = assignment.partition
        self._assignments[partition], self._taken_at[partition] = assignment, time.monotonic()
        (self.commits.unmarked.discard if assignment.unmarked is None else self.commits.unmarked.add)(partition)
        self.on_assigned(assignment)

    def _on_log(self, partition: int, window: OffsetTracker, low: int, high: int) -> OffsetTracker:
        """Return the window, moved to where the log has records if it is outside; that is never silent."""
        wanted = window.next_offset
        facts = {"topic": self._topic, "partition": partition, "offset": wanted, "first": low, "end": high}
        if wanted < low:
            lost = window.skip_to(low)
            log.error("Records were deleted before they were read.", lost=lost, action="skip", **facts)
            self._source.on_loss(Loss(partition, wanted, low, lost))
        elif wanted > high:
            log.error("The log ends before what was read: it is new, and read whole.", action="repeat", **facts)
            return OffsetTracker(low)
        return window

    def find_back(self, consumer: Consumer, partition: int) -> None:
        """Go on where the log has records, when retention or a new log has taken away what was to be read."""
        low, high = keep_asking(self.is_closing, lambda: self._bounds_of(consumer, partition))
        with self._in_flight.window(partition) as held:
            moved = None if held is None else self._on_log(partition, held, low, high)
        if moved is not None and moved is not held:
            self._hold(Assignment(partition=partition, first_offset=low, end=low, is_clean=False))
            self._in_flight.begin(partition, moved)
        if moved is not None:
            self._paused.discard(partition)
            read_again(consumer, self._topic, partition, moved.next_offset)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """1. Let nothing more begin. 2. Commit what is finished. 3. Forget what is in flight. 4. Give up.

        The client commits before it gives up. Nothing begins between the look at what is under way and the end.
        """
        self._in_flight.withhold(_numbers(partitions))
        self.commits.forget_doubtful(_numbers(partitions))  # being of the time before the rebalance
        self.commits.commit(consumer, _numbers(partitions), is_leaving=True)
        self._give_up(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("Partitions lost: another member repeats what is in hand.", partitions=_numbers(partitions))
        self._give_up(consumer, partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = _numbers(partitions)
        self._in_flight.give_up(numbers)
        self.commits.forget(numbers)
        self._paused.difference_update(numbers)
        self.membership.forget(numbers)
        self.on_given_up([self._assignments.pop(number) for number in numbers if number in self._assignments])
        consumer.incremental_unassign(partitions)


def _numbers(partitions: list[TopicPartition]) -> list[int]:
    return sorted(partition.partition for partition in partitions)
