"""Who is at work: consumer groups, their members, and what they have yet to do."""

import asyncio
from collections.abc import Collection

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.errors import KafkaUnreachableError
from streams.settings import KafkaSettings
from streams.tail import end_offsets

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
        found = await asyncio.wait_for(asked, timeout + 1)
    except TimeoutError as error:
        raise _unsaid("nothing", "who is in a group") from error
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "who is in a group") from error
    activity = {group.group_id: group.state not in _WITHOUT_MEMBERS for group in found.valid}
    return activity, found.errors[0] if found.errors else None


async def backlog(kafka: KafkaSettings, group_id: str, topic: str, timeout: float = 5.0) -> int:
    """Return how many records of a topic come after what a group has committed; without a commit all of a partition.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    ends = await end_offsets(kafka, topic)
    committed = await committed_offsets(kafka, group_id, topic, len(ends), timeout)
    return sum(max(0, end - max(0, offset)) for end, offset in zip(ends, committed, strict=True))


async def committed_offsets(
    kafka: KafkaSettings, group_id: str, topic: str, partitions: int, timeout: float = 5.0
) -> list[int]:
    """Return what a group has committed of the first partitions of a topic, negative where nothing.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    return await asyncio.to_thread(_committed, kafka, group_id, topic, partitions, timeout)


async def delete_group(kafka: KafkaSettings, group_id: str, timeout: float = 10.0) -> None:
    """Delete a group without members and what it has committed. Raises KafkaUnreachableError where Kafka does not."""
    admin = AdminClient(kafka.client())  # which must live for as long as it is asked
    asked = admin.delete_consumer_groups([group_id], request_timeout=timeout)[group_id]
    try:
        await asyncio.wait_for(asyncio.wrap_future(asked), timeout + 1)
    except TimeoutError as error:
        raise KafkaUnreachableError(f"Kafka does not delete {group_id}; try again later.") from error
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise KafkaUnreachableError(f"Kafka does not delete {group_id} ({error.args[0].name()}).") from error


def _committed(kafka: KafkaSettings, group_id: str, topic: str, partitions: int, timeout: float) -> list[int]:
    consumer = Consumer(kafka.client(**{"group.id": group_id, "enable.auto.commit": False}))
    try:
        found = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=timeout)
    except KafkaException as error:
        raise _unsaid(error.args[0].name(), "what a group has committed") from error
    finally:
        consumer.close()
    return [partition.offset for partition in found]


def _unsaid(reason: str, what: str) -> KafkaUnreachableError:
    return KafkaUnreachableError(f"Kafka does not say {what} ({reason}); try again later.")
