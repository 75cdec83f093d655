"""Read the log as a member of a consumer group, and commit what is finished."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any

from streams.client.errors import ReaderFailedError
from streams.client.rights import ReadingRights
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import DEFAULTS, MEGABYTE, Assignment, ConsumerThread, Record
from streams.read.group_member import GroupSource, Leaving, Member, OnLoss
from streams.read.in_flight import Budget, InFlight
from streams.read.topic_offsets import watermarks_anew

LONGEST_JOIN = 60_000
"""Milliseconds for which a request to join a group may go unanswered: five minutes by default, for which nobody read
the partitions of a group whose coordinator had lost the request."""

_MOST = 300_000
"""Milliseconds up to which a longer session that a user chooses makes that longer, too."""

_COOPERATIVE: dict[str, Any] = {
    "session.timeout.ms": 10_000,
    "partition.assignment.strategy": "cooperative-sticky",
}
_REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,  # so that positions pass what is no record
    "auto.offset.reset": "error",
}


class GroupReader:
    """The log's records for one group, in the event loop; commits only what `finish` was called for.

    In flight is what was handed over and is not finished. At a limit reading pauses, below half of it it goes
    on; the consumer polls all the while and keeps its membership. What one round took from the client before
    a pause began is still handed over, so the limits can be exceeded by what the client fetches ahead: a
    queue and one answer of a broker, 8 MiB each.

    A partition without a committed offset starts at `first_offset(partition)`, None for the log's first record;
    it is called on another thread. A start before the log's first offset is a loss, which is logged with its
    count and told to `on_loss`, on that other thread. A start behind the log's end means that the log was made
    anew, so all of it is read: to repeat is harmless, to leave out is not. So does a commit of a topic with another
    id than `topic_id`, None where that is not known.

    What is committed says whether the partition is held. Where its last holder has not given it up in order, the
    records that it may have read are handed over as suspect, and without headers. It says, too, whether calls of who
    left in order may still take effect, by `leaving`; each record has the assignment that tells it. `on_assigned`
    and `on_given_up` are called in the event loop, perhaps before the last records of an earlier assignment come.
    """

    def __init__(  # noqa: PLR0913 -- what is read, where that begins, and its bounds
        self,
        kafka: KafkaSettings,
        *,
        group_id: str,
        topic: str,
        first_offset: Callable[[int], int | None],
        max_in_flight_bytes: int = 32 * MEGABYTE,
        max_in_flight_records: int = 1000,
        on_loss: OnLoss = lambda _: None,
        topic_id: str | None = None,
        with_headers: bool = False,
        leaving: Leaving = Leaving(),  # noqa: B008 -- it is frozen
        on_assigned: Callable[[Assignment], None] = lambda _: None,
        on_given_up: Callable[[Collection[Assignment]], None] = lambda _: None,
    ) -> None:
        self._in_flight = InFlight(Budget(max_in_flight_bytes, max_in_flight_records))
        self._rights = ReadingRights(kafka, topic, group=group_id)
        source = GroupSource(
            topic=topic,
            topic_id=topic_id,
            first_offset=first_offset,
            on_loss=on_loss,
            with_headers=with_headers,
            leaving=leaving,
            ask_anew=partial(watermarks_anew, kafka, topic),
        )
        self._member = Member(source, self._in_flight, self._rights, _session(kafka))
        self._on_assigned, self._on_given_up = on_assigned, on_given_up
        self._config = _group_config(kafka, group_id, self._member)
        self._failure: ReaderFailedError | None = None

    async def __aenter__(self) -> "GroupReader":
        """Begin to join the group. Raises ReaderFailedError; a broker that is away is waited for."""
        thread = ConsumerThread(self._config, self._member, self._member.is_closing)
        self._member.on_assigned = lambda assignment: thread.call_soon(self._on_assigned, assignment)
        self._member.on_given_up = lambda assignments: thread.call_soon(self._on_given_up, assignments)
        self._thread = thread
        await self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is finished, leave the group, end the thread."""
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

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is handed over."""
        return self._member.is_stopping.is_set()

    def finish(self, record: Record) -> bool:
        """Note that all effects of a record are acknowledged: its offset may be committed from now on.

        `record` is the very object that was handed over. False, without effect, where its partition was given
        up meanwhile, or the record is finished already.
        """
        return self._in_flight.finish(record)

    def holds(self, record: Record) -> bool:
        """Tell whether a record is in flight, under the same assignment by which it was handed over."""
        return self._in_flight.holds(record)

    def is_sure(self, record: Record) -> bool:
        """Tell whether it is sure that a record is in flight, if `holds` says so; see Membership."""
        return self._member.membership.is_sure(record.origin.partition)

    def mark(self, assignment: Assignment) -> None:
        """Note that nothing is left of what one did who did not know removals: see `Assignment.unmarked`."""
        self._member.to_mark.append(assignment)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that this member holds."""
        return self._in_flight.partitions()

    @property
    def records_in_flight(self) -> int:
        """How many records were handed over and are not finished."""
        return self._in_flight.budget.records

    @property
    def bytes_in_flight(self) -> int:
        """How many bytes these have."""
        return self._in_flight.budget.bytes

    @property
    def oldest_in_flight(self) -> datetime | None:
        """When the oldest of these was written, None where there is none."""
        return self._in_flight.oldest()

    def unfinished(self, ends: Mapping[int, int]) -> int:
        """Return how many records before these ends of its partitions are not finished, be they read or not."""
        return self._in_flight.unfinished(ends)

    def rest(self, left: int, seconds: float) -> None:
        """Take up nothing more until so few records are left, for so many seconds at most."""
        self._in_flight.budget.rest(left, time.monotonic() + seconds)

    @property
    def refusal(self) -> str | None:
        """What Kafka does not let this reader do, in its word; None where it reads."""
        return str(self._rights) or None

    @property
    def is_member(self) -> bool:
        """True once the group has given this reader its partitions, of which there may be none."""
        return self._member.is_member


def group_properties(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the properties of a member's client. Eager strategies are never mixed in.

    With the newer group protocol the brokers decide instead; librdkafka takes its name in any case.
    """
    is_newer = kafka.properties.get("group.protocol", "").lower() == "consumer"
    by_client = {} if is_newer else _COOPERATIVE | {"max.poll.interval.ms": _longest_join(kafka)}
    strategy = {name: value for name, value in by_client.items() if name not in kafka.properties}
    strategy |= {name: value for name, value in by_client.items() if name.endswith("strategy")}
    return DEFAULTS | kafka.client(**_REQUIRED, **strategy)


def _longest_join(kafka: KafkaSettings) -> int:
    """Return the client's `max.poll.interval.ms`, by which it names that; it may not be shorter than a session."""
    session = kafka.properties.get("session.timeout.ms", "")
    return int(session) if session.isdecimal() and LONGEST_JOIN < int(session) <= _MOST else LONGEST_JOIN


def _session(kafka: KafkaSettings) -> float:
    """Return the seconds of a session; the newer group protocol has the brokers choose, more than ours by default."""
    millis = kafka.properties.get("session.timeout.ms", "")
    return (int(millis) if millis.isdecimal() else int(_COOPERATIVE["session.timeout.ms"])) / 1000


def _group_config(kafka: KafkaSettings, group_id: str, member: Member) -> dict[str, Any]:
    callbacks = {"on_commit": member.commits.on_commit, "error_cb": kafka.on_error_after(member.on_error)}
    return group_properties(kafka) | {"group.id": group_id, **callbacks}
