"""Which rights we have on a topic, by Kafka's own word."""

import asyncio
import time
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from streams.client.refusals import EVERY, Refusal, Refusals, is_of_rights, refusal_of
from streams.client.settings import KafkaSettings

log = structlog.get_logger()

LIMIT = 5.0
"""Seconds that a question may take."""

ASK_EVERY = 2.0
"""Seconds between questions whether what was refused is granted now."""


class Rights:
    """Asks for the rights of these settings' user; makes a client of its own, once there is something to ask."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin: AdminClient | None = None

    async def may_write(self, topic: str) -> bool:
        """Tell whether a topic may be written to; False where Kafka does not say."""
        try:
            async with asyncio.timeout(LIMIT + 1):
                found = await asyncio.wrap_future(self._ask(topic))
        except (KafkaException, TimeoutError):
            return False
        return AclOperation.WRITE in (found.authorized_operations or ())

    def may_read(self, topic: str) -> bool:
        """Tell whether a topic may be read, as `may_write` does; blocks."""
        try:
            found = self._ask(topic).result(LIMIT + 1)
        except (KafkaException, TimeoutError):
            return False
        return AclOperation.READ in (found.authorized_operations or ())

    def _ask(self, topic: str) -> "Future[Any]":
        if self._admin is None:  # which is not asked for its truth: it has a length, mostly 0
            self._admin = AdminClient(self._kafka.admin())
        topics = TopicCollection([topic])
        return self._admin.describe_topics(topics, include_authorized_operations=True, request_timeout=LIMIT)[topic]


async def ask_again(rights: Rights, refusals: Refusals) -> None:
    """Find out when a topic that took nothing may be written to, without end: who is not ready gets nothing to try."""
    while True:
        await asyncio.sleep(ASK_EVERY)
        for topic in [topic for topic, refusal in refusals.standing.items() if refusal.is_of_all]:
            if await rights.may_write(topic) and topic in refusals.standing:
                refusals.granted(topic)


class ReadingRights:
    """Whether Kafka lets a reader read its topic; to be used on its consumer's thread. `facts` are for the log."""

    def __init__(self, kafka: KafkaSettings, topic: str, **facts: str) -> None:
        self._rights = Rights(kafka)
        self._topic = topic
        self._facts = {"topic": topic, **facts}
        self._next_look = 0.0
        self._logged_at = -EVERY
        self.refusal: Refusal | None = None

    def note(self, error: KafkaError) -> bool:
        """Take down an error where it is a right that is missing, and tell it once a minute; False for any other."""
        if not is_of_rights(error):
            return False
        now = time.monotonic()
        if self.refusal is None:
            self._next_look = now + ASK_EVERY
        self.refusal = refusal = refusal_of(error, self._topic, 0)
        if refusal is not None and now - self._logged_at >= EVERY:
            self._logged_at = now
            facts = {"kafka": refusal.error, "words": refusal.words, "error": refusal.kind}
            log.error("Kafka does not let us read; waiting does not help.", **self._facts, **facts)
        return True

    def readable(self, messages: list[Message]) -> list[Message]:
        """Return messages without those by which the client says that a right is missing."""
        readable = [message for message in messages if not (message.error() and self.note(message.error()))]
        if any(message.error() is None for message in readable):
            self.granted()
        return readable

    def __str__(self) -> str:
        """Return what is missing, in Kafka's word; nothing where nothing is."""
        refusal = self.refusal
        return f"Kafka does not let us read {self._topic} ({refusal.error}: {refusal.words})" if refusal else ""

    def joined(self) -> None:
        """Note that the group gives out partitions, which says nothing of the topic."""
        if self.refusal is not None and self.refusal.error.startswith("GROUP_"):
            self.granted()

    def granted(self) -> None:
        """Note that records come."""
        if self.refusal is not None:
            self.refusal = None
            log.info("Kafka lets us read again.", **self._facts)

    def look(self) -> None:
        """Ask, if it is time, whether the topic may be read: the client says nothing while nothing comes."""
        is_of_topic = self.refusal is not None and self.refusal.error.startswith("TOPIC_")
        if is_of_topic and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + ASK_EVERY
            if self._rights.may_read(self._topic):
                self.granted()
