"""Who is at work: consumer groups, their members, and what they have yet to do."""

import asyncio
import time
from collections.abc import Collection

from confluent_kafka import OFFSET_INVALID, Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.commits import committed, place_in
from streams.read.tail import offset_spans

COMMITTED_LIMIT = 5.0
"""Seconds that a broker may take to say what a group has committed."""

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
    admin = AdminClient(kafka.client())
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
    places = await committed_offsets(kafka, group_id, topic, len(spans), topic_id)
    return sum(max(0, end - max(first, place)) for (first, end), place in zip(spans, places, strict=True))


async def committed_offsets(
    kafka: KafkaSettings, group_id: str, topic: str, partitions: int, topic_id: str | None = None
) -> list[int]:
    """Return what a group has committed of the first partitions of a topic, negative where nothing.

    What it committed of a topic with another id counts for nothing.
    Raises KafkaUnreachableError where Kafka does not say.
    """
    found = await asyncio.to_thread(_committed, kafka, group_id, topic, partitions)
    places = [place_in(one, topic_id) for one in found]
    return [OFFSET_INVALID if place is None else place[0] for place in places]


async def delete_group(kafka: KafkaSettings, group_id: str, timeout: float = 10.0) -> None:
    """Delete a group without members and what it has committed. Raises KafkaUnreachableError where Kafka does not."""
    admin = AdminClient(kafka.client())  # which must live for as long as it is asked
    asked = admin.delete_consumer_groups([group_id], request_timeout=timeout)[group_id]
    try:
        async with asyncio.timeout(timeout + 1):
            await asyncio.wrap_future(asked)
    except TimeoutError as error:
        raise KafkaUnreachableError(f"Kafka does not delete {group_id}; try again later.") from error
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise KafkaUnreachableError(f"Kafka does not delete {group_id} ({error.args[0].name()}).") from error


def _committed(kafka: KafkaSettings, group_id: str, topic: str, partitions: int) -> list[TopicPartition]:
    consumer = Consumer(kafka.client(**{"group.id": group_id, "enable.auto.commit": False}))
    try:
        return _once_coordinated(consumer, [TopicPartition(topic, number) for number in range(partitions)])
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "what a group has committed") from error
    finally:
        consumer.close()


def _once_coordinated(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """Return what a group has committed, once a broker is its coordinator, as just after the cluster's start."""
    deadline = time.monotonic() + COMMITTED_LIMIT
    while True:
        try:
            return committed(consumer, places, COMMITTED_LIMIT)
        except KafkaException as error:
            if error.args[0].code() not in _BECOMING_COORDINATOR or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _unsaid(reason: str, what: str) -> KafkaUnreachableError:
    return KafkaUnreachableError(f"Kafka does not say {what} ({reason}); try again later.")
