"""Who is in a consumer group, and with which partitions: asked in a process of its own.

Kafka's client (librdkafka 2.16) aborts the process that describes a group when its coordinator is lost meanwhile
(confluentinc/librdkafka#4605), which would end all tests that the process has left.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from streams.client.settings import KafkaSettings
from streams.processes.child_call import in_child

LIMIT = 60.0


class Group(NamedTuple):
    """Whether a group is sorting itself out, and how many partitions each of its members has, by its id."""

    is_stable: bool
    partitions: Mapping[str, int]


async def members_of(kafka: KafkaSettings, *groups: str) -> list[Group]:
    """Return the members of groups; none of one of which Kafka does not say them, as it is new, or moves."""
    return await in_child(_described, kafka.client(), groups, limit=LIMIT)


async def shares(kafka: KafkaSettings, group: str) -> list[int]:
    """Return how many partitions the members of a group hold, in order; nothing while it sorts itself out."""
    [found] = await members_of(kafka, group)
    return sorted(found.partitions.values()) if found.is_stable else []


def _described(config: dict[str, object], groups: Sequence[str]) -> list[Group]:
    admin = AdminClient(config)  # kept, as its answers end with it
    asked = admin.describe_consumer_groups(list(groups), request_timeout=10)
    return [_group(asked[group]) for group in groups]


def _group(asked: "Future[ConsumerGroupDescription]") -> Group:
    try:
        found = asked.result(20)
    except KafkaException:
        return Group(is_stable=False, partitions={})
    return Group(
        is_stable=found.state == ConsumerGroupState.STABLE,
        partitions={member.member_id: len(member.assignment.topic_partitions) for member in found.members},
    )
