"""Which rights we have on a topic, by Kafka's own word."""

import asyncio

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from streams.settings import KafkaSettings

LIMIT = 5.0
"""Seconds that a question may take."""


class Rights:
    """Asks for the rights of these settings' user; makes a client of its own, once there is something to ask."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin: AdminClient | None = None

    async def may_write(self, topic: str) -> bool:
        """Tell whether a topic may be written to; False where Kafka does not say."""
        self._admin = self._admin or AdminClient(self._kafka.client())
        topics = TopicCollection([topic])
        asked = self._admin.describe_topics(topics, include_authorized_operations=True, request_timeout=LIMIT)[topic]
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(asked), LIMIT + 1)
        except (KafkaException, TimeoutError):
            return False
        return AclOperation.WRITE in (found.authorized_operations or ())
