"""Records that no publisher should write, beside the uploads of a run."""

import asyncio
import contextlib
from dataclasses import dataclass

from checks.records.values import make_value
from streams.client.errors import StreamError
from streams.client.settings import KafkaSettings
from streams.write.writer import Writer

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
        async with Writer(self.kafka) as writer, asyncio.TaskGroup() as tasks:
            number = 0
            while not is_over.is_set():
                tasks.create_task(self._write(writer, number))
                number += 1
                await asyncio.sleep(1 / PER_SECOND)

    async def _write(self, writer: Writer, number: int) -> None:
        with contextlib.suppress(StreamError):
            await writer.send(self.topic, STRAY.decode(), make_value(self.seed, number).value)
