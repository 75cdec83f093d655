"""Records that no publisher should write, removals among them, beside the uploads of a run."""

import asyncio
import contextlib
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException

from checks.records.foreign_producer import ForeignProducer
from checks.records.generator import make_record
from streams.client.settings import KafkaSettings

STRAY = b"stray"
"""The key of these records: whatever is in them, one can tell that nobody uploaded them."""

PER_SECOND = 10


@dataclass(slots=True)
class Strays:
    """A publisher that writes whatever it likes; what Kafka did not acknowledge it does not write again."""

    kafka: KafkaSettings
    topic: str
    seed: int

    async def run(self, is_over: asyncio.Event) -> None:
        """Write until told to end."""
        async with ForeignProducer(self.kafka) as producer, asyncio.TaskGroup() as tasks:
            number = 0
            while not is_over.is_set():
                tasks.create_task(self._write(producer, number))
                number += 1
                await asyncio.sleep(1 / PER_SECOND)

    async def _write(self, producer: ForeignProducer, number: int) -> None:
        """Write one; a removal goes where it would with its own key, at home or not."""
        with contextlib.suppress(KafkaException):
            await producer.write(self.topic, replace(make_record(self.seed, number), key=STRAY))
