"""Who is at work: consumer groups and their members."""

import asyncio
from collections.abc import Collection

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import KafkaUnreachableError
from streams.settings import KafkaSettings
from streams.tail import end_offsets

_WITHOUT_MEMBERS = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


async def groups_with_members(kafka: KafkaSettings, group_ids: Collection[str], timeout: float = 5.0) -> set[str]:
    """Return those of the groups that have a member now; one that does not exist has none.

    Asks all brokers which groups there are. To describe groups would ask their coordinators, which aborts the
    process where one is lost meanwhile (confluentinc/librdkafka#4605). No thread waits, as many may ask while
    brokers are away.
    Raises KafkaUnreachableError where Kafka does not say.
    """
    wanted = set(group_ids)
    admin = AdminClient(kafka.client())
    try:
        found = await asyncio.wrap_future(admin.list_consumer_groups(request_timeout=timeout))
    except KafkaException as error:
        raise _unknown(error.args[0]) from error
    active = {group.group_id for group in found.valid if group.state not in _WITHOUT_MEMBERS} & wanted
    if found.errors and active != wanted:
        raise _unknown(found.errors[0])
    return active


def _unknown(error: KafkaError) -> KafkaUnreachableError:
    return KafkaUnreachableError(f"Kafka does not say who is in a group ({error.name()}); try again later.")


async def backlog(kafka: KafkaSettings, group_id: str, topic: str, timeout: float = 5.0) -> int:
    """Return how many records of a topic come after what a group has committed; without a commit all of a partition.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    committed = await asyncio.to_thread(_committed, kafka, group_id, topic, timeout)
    ends = await end_offsets(kafka, topic)
    return sum(max(0, end - committed.get(partition, 0)) for partition, end in enumerate(ends))


def _committed(kafka: KafkaSettings, group_id: str, topic: str, timeout: float) -> dict[int, int]:
    admin = AdminClient(kafka.client())
    asked = [ConsumerGroupTopicPartitions(group_id)]
    try:
        found = admin.list_consumer_group_offsets(asked, request_timeout=timeout)[group_id].result()
    except KafkaException as error:
        raise KafkaUnreachableError(
            f"Kafka does not say what a group has committed ({error.args[0].name()}); try again later."
        ) from error
    return {at.partition: at.offset for at in found.topic_partitions if at.topic == topic and at.offset >= 0}
