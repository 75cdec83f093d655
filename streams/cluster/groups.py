"""Who is at work: consumer groups, their members, and what they have yet to do."""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_INVALID, Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.processes.child_call import ChildEndedError, in_child
from streams.read.commits import committed, place_in
from streams.read.topic_offsets import offset_spans, spans_by
from streams.read.ungrouped import UngroupedConsumer

COMMITTED_LIMIT = 5.0
"""Seconds that a broker may take to say what a group has committed."""

MEMBERS_LIMIT = 5.0
"""Seconds that a broker may take to say which groups there are."""

START_LIMIT = 20.0
"""Seconds that a child process may take besides, to start on a busy machine."""

_BECOMING_COORDINATOR = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE}
)

_WITHOUT_MEMBERS = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


async def groups_with_members(
    kafka: KafkaSettings, group_ids: Collection[str], timeout: float = MEMBERS_LIMIT
) -> set[str]:
    """Return those of the groups that have a member now; one that does not exist has none.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    return await _with_members(AdminClient(kafka.admin()), group_ids, timeout)


async def _with_members(admin: AdminClient, group_ids: Collection[str], timeout: float) -> set[str]:
    wanted = set(group_ids)
    found, problem = await _groups(admin, timeout)
    active = {group for group, is_active in found.items() if is_active} & wanted
    if problem is not None and active != wanted:
        raise _unsaid(problem.name(), "who is in a group")
    return active


async def group_ids(kafka: KafkaSettings, timeout: float = 5.0) -> list[str]:
    """Return all groups of the cluster. Raises KafkaUnreachableError where Kafka does not say."""
    found, problem = await _groups(AdminClient(kafka.admin()), timeout)
    if problem is not None:
        raise _unsaid(problem.name(), "which groups there are")
    return list(found)


async def _groups(admin: AdminClient, timeout: float) -> tuple[dict[str, bool], KafkaError | None]:
    """Return the groups, whether each has a member, and what a broker failed by.

    Asks all brokers which groups there are. To describe groups would ask their coordinators, which aborts the
    process where one is lost meanwhile (confluentinc/librdkafka#4605). No thread waits, as many may ask while
    brokers are away. Raises KafkaUnreachableError where Kafka does not say.
    """
    asked = asyncio.wrap_future(admin.list_consumer_groups(request_timeout=timeout))
    try:
        async with asyncio.timeout(timeout + 1):
            found = await asked
    except TimeoutError as error:
        raise _unsaid("nothing", "who is in a group") from error
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "who is in a group") from error
    activity = {group.group_id: group.state not in _WITHOUT_MEMBERS for group in found.valid}
    return activity, found.errors[0] if found.errors else None


async def backlog(kafka: KafkaSettings, group_id: str, topic: str, topic_id: str | None = None) -> int:
    """Return how much of a topic is yet to be handed over to a group; without a commit all of a partition.

    Of what lies between an offset and the end, a transaction's control records count until they are passed.
    Raises KafkaUnreachableError where Kafka does not say.
    """
    spans = await offset_spans(kafka, topic)
    return _behind(spans, await committed_offsets(kafka, group_id, topic, len(spans), topic_id))


def _behind(spans: Sequence[tuple[int, int]], offsets: Sequence[int]) -> int:
    return sum(max(0, end - max(first, offset)) for (first, end), offset in zip(spans, offsets, strict=True))


class GroupLooks:
    """Asks again and again about groups of a topic, by clients that are kept: to make one takes most of an answer.

    To be used in one event loop, as a context manager. Each group has a client of its own, so that one whose
    coordinator is away keeps no other from being told.
    """

    def __init__(self, kafka: KafkaSettings, group_ids: Collection[str], topic: str) -> None:
        self._kafka = kafka
        self._admin: AdminClient | None = None
        self._topic = UngroupedConsumer(kafka, topic)
        self._groups = {group_id: UngroupedConsumer(kafka, topic, group_id=group_id) for group_id in group_ids}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (self._topic, *self._groups.values()):
            client.close()

    async def with_members(self) -> set[str]:
        """Return as `groups_with_members`. Raises KafkaUnreachableError."""
        admin = AdminClient(self._kafka.admin()) if self._admin is None else self._admin
        self._admin = None
        found = await _with_members(admin, self._groups, MEMBERS_LIMIT)
        self._admin = admin  # after an answer that failed, another one asks
        return found

    async def backlogs(self, topic_id: str | None = None) -> dict[str, int | None]:
        """Return as `backlog` how much is left of the topic for each group, None where Kafka does not say that of it.

        Raises KafkaUnreachableError where it says nothing of the topic, which is asked for once.
        """
        spans = await spans_by(self._topic)

        async def of(client: UngroupedConsumer) -> int | None:
            try:
                found = await client.ask(lambda consumer: _committed(consumer, client.topic, len(spans)))
            except KafkaUnreachableError:
                return None
            return _behind(spans, _offsets(found, topic_id))

        behind = await asyncio.gather(*map(of, self._groups.values()))
        return dict(zip(self._groups, behind, strict=True))


async def committed_offsets(
    kafka: KafkaSettings, group_id: str, topic: str, partitions: int, topic_id: str | None = None
) -> list[int]:
    """Return what a group has committed of the first partitions of a topic, negative where nothing.

    What it committed of a topic with another id counts for nothing. No thread that all share waits meanwhile: uploads
    are answered by those, and a group's coordinator may be away for long.
    Raises KafkaUnreachableError where Kafka does not say.
    """
    with UngroupedConsumer(kafka, topic, group_id=group_id) as client:
        found = await client.ask(lambda consumer: _committed(consumer, topic, partitions))
    return _offsets(found, topic_id)


def _offsets(found: Iterable[TopicPartition], topic_id: str | None) -> list[int]:
    offsets = [place_in(one, topic_id) for one in found]
    return [OFFSET_INVALID if offset is None else offset[0] for offset in offsets]


async def delete_group(kafka: KafkaSettings, group_id: str, timeout: float = 10.0) -> None:
    """Delete a group without members and what it has committed. Raises KafkaUnreachableError where Kafka does not.

    A process of its own asks, and another one where that is ended: it asks the group's coordinator.
    """
    try:
        problem = await in_child(_deleted, kafka.admin(), group_id, timeout, limit=timeout + START_LIMIT)
    except ChildEndedError as error:
        raise KafkaUnreachableError(f"Kafka does not delete {group_id}; try again later.") from error
    if problem is not None:
        raise KafkaUnreachableError(f"Kafka does not delete {group_id} ({problem}).")


def _deleted(config: dict[str, Any], group_id: str, timeout: float) -> str | None:
    """Delete a group, in a child; return what Kafka says against it, by the error's name."""
    admin = AdminClient(config)  # which must live for as long as it is asked
    try:
        admin.delete_consumer_groups([group_id], request_timeout=timeout)[group_id].result(timeout + 1)
    except KafkaException as error:
        problem = error.args[0]
        return None if problem.code() == KafkaError.GROUP_ID_NOT_FOUND else str(problem.name())
    return None


def _committed(consumer: Consumer, topic: str, partitions: int) -> list[TopicPartition]:
    """Return what a consumer's group has committed of partitions. Raises KafkaUnreachableError."""
    try:
        return _once_coordinated(consumer, [TopicPartition(topic, number) for number in range(partitions)])
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "what a group has committed") from error


def _once_coordinated(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """Return what a group has committed, once a broker is its coordinator, as just after the cluster's start."""
    deadline = time.monotonic() + COMMITTED_LIMIT
    while True:
        try:
            return committed(consumer, partitions, COMMITTED_LIMIT)
        except KafkaException as error:
            if error.args[0].code() not in _BECOMING_COORDINATOR or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _unsaid(reason: str, what: str) -> KafkaUnreachableError:
    return KafkaUnreachableError(f"Kafka does not say {what} ({reason}); try again later.")
