"""The commits of one consumer: what is finished, said again where Kafka refuses it."""

import time
from collections.abc import Callable, Iterable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.records import is_of_log
from streams.client.refusals import is_of_rights
from streams.read.in_flight import InFlight
from streams.read.offset_tracker import left_open, marked, tagged, untagged

log = structlog.get_logger()

_FOR_GOOD = frozenset({KafkaError._FATAL, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID})
"""What refuses a commit however often it is said: the client has failed, or the topic is gone."""

COMMIT_EVERY = 0.5
"""Seconds between commits while something is finished."""

LEAVE_LIMIT = 10.0
"""Seconds that the last commit may take, as long as others' sessions."""


class Commits:
    """Commits the lowest contiguous finished offset of each partition, on the consumer's thread.

    All commits are asynchronous: a synchronous one blocks for as long as the broker does not answer
    (measured: more than three minutes). The client itself sends them in order, and answers a revocation or
    leaves the group only after the commits under way.
    """

    def __init__(
        self,
        topic: str,
        in_flight: InFlight,
        topic_id: str | None = None,
        is_of_rights: Callable[[KafkaError], bool] = is_of_rights,
        is_quiet: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._topic = topic
        self._topic_id = topic_id
        self._in_flight = in_flight
        self._is_of_rights = is_of_rights
        """Tells whether an error is a right that is missing, and may take that down."""
        self._is_quiet = is_quiet
        """Tells whether no call of a partition is under way, or may take effect later."""
        self.unmarked: set[int] = set()
        """Partitions of which it is not to be said that whoever holds them knows removals: see `marked`."""
        self._is_in_vain = False
        self._committed: dict[int, tuple[int, str]] = {}
        self._unanswered = 0
        self._next = 0.0

    def begin(self, partition: int, offset: int, metadata: str) -> None:
        """Note what is committed of a partition."""
        self._committed[partition] = (offset, metadata)

    def forget(self, partitions: Iterable[int]) -> None:
        """Know nothing more of partitions, as somebody else may commit them."""
        for partition in partitions:
            self._committed.pop(partition, None)

    @property
    def are_answered(self) -> bool:
        """Whether Kafka has answered all commits."""
        return not self._unanswered

    def are_known(self, partition: int) -> bool:
        """Tell whether Kafka has taken the last commit of a partition, once all are answered."""
        return partition in self._committed

    def forget_doubtful(self, partitions: Iterable[int]) -> None:
        """Forget partitions whose commits under way may yet be refused."""
        if self._unanswered:
            self.forget(partitions)

    def tick(self, consumer: Consumer) -> None:
        """Commit if it is time."""
        if time.monotonic() >= self._next and not self._unanswered:
            self._next = time.monotonic() + COMMIT_EVERY
            self.commit(consumer, self._in_flight.partitions())

    def commit(self, consumer: Consumer, partitions: Iterable[int], *, is_leaving: bool = False) -> None:
        """Commit those of the partitions where something has changed; who leaves them says so by that."""
        states = {
            number: (offset, self._metadata(number, offset, metadata, is_leaving=is_leaving))
            for number, (offset, metadata) in self._in_flight.to_commit().items()
        }
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

    def _metadata(self, partition: int, offset: int, finished: str, *, is_leaving: bool) -> str:
        """Return the metadata of a commit, which says how the partition is held, or was left."""
        is_busy = is_leaving and not self._is_quiet(partition)
        if partition in self.unmarked:
            is_open = is_busy or not is_leaving
        else:
            is_open = not is_leaving
            finished = marked(offset, finished, busy_to=self._read_to(partition) if is_busy else None)
        return tagged(left_open(finished) if is_open else finished, self._topic_id)

    def _read_to(self, partition: int) -> int | None:
        with self._in_flight.window(partition) as window:
            return window.next_offset if window else None

    def on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """Note refusals, so that the next commit of a partition says all again if it is still ours."""
        self._unanswered -= 1
        refused = {found.partition: error or found.error for found in offsets if error or found.error}
        self.forget(refused)
        was_in_vain = self._is_in_vain
        self._is_in_vain = any(self._is_for_good(reason) for reason in refused.values())
        if refused and not (was_in_vain and self._is_in_vain):
            reasons = sorted({reason.name() for reason in refused.values()})
            log.warning("Kafka refused a commit.", partitions=sorted(refused), errors=reasons, action="repeat")

    def _is_for_good(self, reason: KafkaError) -> bool:
        return self._is_of_rights(reason) or reason.code() in _FOR_GOOD

    def close(self, consumer: Consumer) -> None:
        """1. Commit what is finished. 2. Poll until Kafka has confirmed it, within a limit.

        While the group rebalances Kafka keeps a member's commits back, and refuses them afterwards. Who
        leaves then gives up those, and holds the others up until its session ends. Where a right or the
        topic is missing, or the client has failed for good, it is in vain to say it again.
        """
        deadline = time.monotonic() + LEAVE_LIMIT
        while time.monotonic() < deadline:
            if not self._unanswered:
                self.commit(consumer, self._in_flight.partitions(), is_leaving=True)
            if not self._unanswered or self._is_in_vain:
                return
            consumer.poll(0.02)
        log.warning("Kafka did not confirm the last commit in time; it may be repeated.", action="leave")


def place_in(found: TopicPartition, topic_id: str | None) -> tuple[int, str] | None:
    """Return the offset and metadata that a group has committed of a topic with this id, None where it has nothing.

    What it committed of a topic that was made anew since counts for nothing.
    """
    named, metadata = untagged(found.metadata or "")
    return (found.offset, metadata) if found.offset >= 0 and is_of_log(named, topic_id) else None


def committed(consumer: Consumer, partitions: list[TopicPartition], limit: float) -> list[TopicPartition]:
    """Return what a consumer's group has committed of partitions. Raises KafkaException."""
    found: list[TopicPartition] = consumer.committed(partitions, timeout=limit)
    for partition in found:
        if partition.error is not None:
            raise KafkaException(partition.error)
    return found
