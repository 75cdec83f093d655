"""Who is at work: consumer groups and their members."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.settings import KafkaSettings


async def groups_with_members(kafka: KafkaSettings, group_ids: Iterable[str], timeout: float = 5.0) -> set[str]:
    """Return those of the groups that have a member now; a group that can't be asked about counts as such."""
    return await asyncio.to_thread(_groups_with_members, kafka, list(group_ids), timeout)


def _groups_with_members(kafka: KafkaSettings, group_ids: list[str], timeout: float) -> set[str]:
    admin = AdminClient(kafka.client({}))
    futures = admin.describe_consumer_groups(group_ids, request_timeout=timeout)
    return {group_id for group_id, future in futures.items() if _has_members(future)}


def _has_members(future: "Future[Any]") -> bool:
    try:
        return bool(future.result().members)
    except KafkaException as error:
        return error.args[0].name() != "GROUP_ID_NOT_FOUND"
