"""Who is at work: consumer groups and their members."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from streams.errors import KafkaUnreachableError
from streams.settings import KafkaSettings


async def groups_with_members(kafka: KafkaSettings, group_ids: Iterable[str], timeout: float = 5.0) -> set[str]:
    """Return those of the groups that have a member now; one that does not exist has none.

    Raises KafkaUnreachableError where Kafka does not say.
    """
    return await asyncio.to_thread(_groups_with_members, kafka, list(group_ids), timeout)


def _groups_with_members(kafka: KafkaSettings, group_ids: list[str], timeout: float) -> set[str]:
    if not group_ids:
        return set()
    admin = AdminClient(kafka.client())
    futures = admin.describe_consumer_groups(group_ids, request_timeout=timeout)
    return {group_id for group_id, future in futures.items() if _has_members(future)}


def _has_members(future: "Future[ConsumerGroupDescription]") -> bool:
    try:
        found = future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return False
        raise KafkaUnreachableError(
            f"Kafka does not say who is in a group ({error.args[0].name()}); try again later."
        ) from error
    return found.state != ConsumerGroupState.DEAD and bool(found.members)
