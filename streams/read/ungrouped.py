"""Reading without a group. Kafka's client wants the name of one all the same, and asks who coordinates it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from confluent_kafka import Consumer

from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import DEFAULTS

_REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,  # so that positions pass what is no record
    "auto.offset.reset": "error",
}

SOON = 5
"""Milliseconds that a broker waits for more to hand over: a question waits for those of the one before."""

T = TypeVar("T")


def ungrouped(topic: str) -> dict[str, Any]:
    """Return how a topic is read without a group: nothing is ever committed.

    The name that the client gets begins as the topic's does, so that rights on groups of our prefix are enough.
    """
    return {**_REQUIRED, "group.id": f"{topic}.no-group"}


class UngroupedConsumer:
    """A consumer of one topic without a group, kept between questions: one made for each takes several times as long.

    Questions follow each other on a thread of its own. After one that failed, the next gets another consumer. With a
    `group_id` it may be asked what that group has committed; it does not join it.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, *, group_id: str | None = None, **config: object) -> None:
        self.topic = topic
        name = {"group.id": group_id} if group_id else {}
        required = kafka.client(**ungrouped(topic) | name, **config, error_cb=kafka.on_error)
        self._config = DEFAULTS | {"fetch.wait.max.ms": SOON} | required
        self._thread = ThreadPoolExecutor(1, topic)
        self._consumer: Consumer | None = None

    async def ask(self, question: Callable[[Consumer], T]) -> T:
        """Return what a question says, whatever it raises; one whose asker is gone goes on to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, question)

    def close(self) -> None:
        """Close the consumer once the question under way is answered, which is not waited for."""
        self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: Callable[[Consumer], T]) -> T:
        if self._consumer is None:
            self._consumer = Consumer(self._config)
        try:
            return question(self._consumer)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
