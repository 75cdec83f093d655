"""Who is at work: consumer groups, their members, and what they have yet to do."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.processes.child_call import ChildEndedError, in_child
from streams.processes.own_thread import on_own_thread
from streams.read.commits import committed, place_in
from streams.read.topic_offsets import offset_spans

COMMITTED_LIMIT = 5.0
"""Seconds that a broker may take to say what a group has committed."""

START_LIMIT = 20.0
"""Seconds that a child process may take besides, to start on a busy machine."""

_BECOMING_COORDINATOR = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE}
)

_WITHOUT_MEMBERS = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


async def groups_with_members(kafka: KafkaSettings, group_ids: Collection[str], timeout: float = 5.0) -> set[str]:
    """Return those of the groups that have a member now; one that does not exist has none.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    wanted = set(group_ids)
    found, problem = await _groups(kafka, timeout)
    active = {group for group, is_active in found.items() if is_active} & wanted
    if problem is not None and active != wanted:
        raise _unsaid(problem.name(), "who is in a group")
    return active


async def group_ids(kafka: KafkaSettings, timeout: float = 5.0) -> list[str]:
    """Return all groups of the cluster. Raises KafkaUnreachableError where Kafka does not say."""
    found, problem = await _groups(kafka, timeout)
    if problem is not None:
        raise _unsaid(problem.name(), "which groups there are")
    return list(found)


async def _groups(kafka: KafkaSettings, timeout: float) -> tuple[dict[str, bool], KafkaError | None]:
    """Return the groups, whether each has a member, and what a broker failed by.

    Asks all brokers which groups there are. To describe groups would ask their coordinators, which aborts the
    process where one is lost meanwhile (confluentinc/librdkafka#4605). No thread waits, as many may ask while
    brokers are away. Raises KafkaUnreachableError where Kafka does not say.
    """
    admin = AdminClient(kafka.admin())
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
    return await _backlog(kafka, group_id, topic, topic_id, await offset_spans(kafka, topic))


async def backlogs(
    kafka: KafkaSettings, group_ids: Collection[str], topic: str, topic_id: str | None = None
) -> dict[str, int | None]:
    """Return as `backlog` how much is left of a topic for each group, None where Kafka does not say that of a group.

    Raises KafkaUnreachableError where it says nothing of the topic, which is asked for once.
    """
    spans = await offset_spans(kafka, topic)

    async def of(group_id: str) -> int | None:
        try:
            return await _backlog(kafka, group_id, topic, topic_id, spans)
        except KafkaUnreachableError:
            return None

    return dict(zip(group_ids, await asyncio.gather(*map(of, group_ids)), strict=True))


async def _backlog(
    kafka: KafkaSettings, group_id: str, topic: str, topic_id: str | None, spans: Sequence[tuple[int, int]]
) -> int:
    offsets = await committed_offsets(kafka, group_id, topic, len(spans), topic_id)
    return sum(max(0, end - max(first, offset)) for (first, end), offset in zip(spans, offsets, strict=True))


async def committed_offsets(
    kafka: KafkaSettings, group_id: str, topic: str, partitions: int, topic_id: str | None = None
) -> list[int]:
    """Return what a group has committed of the first partitions of a topic, negative where nothing.

    What it committed of a topic with another id counts for nothing. No thread that all share waits meanwhile: uploads
    are answered by those, and a group's coordinator may be away for long.
    Raises KafkaUnreachableError where Kafka does not say.
    """
    found = await on_own_thread(lambda: _committed(kafka, group_id, topic, partitions), "kafka-committed")
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


def _committed(kafka: KafkaSettings, group_id: str, topic: str, partitions: int) -> list[TopicPartition]:
    consumer = Consumer(kafka.client(**{"group.id": group_id, "enable.auto.commit": False}))
    try:
        return _once_coordinated(consumer, [TopicPartition(topic, number) for number in range(partitions)])
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "what a group has committed") from error
    finally:
        consumer.close()


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
