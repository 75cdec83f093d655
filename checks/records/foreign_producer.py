"""A producer as somebody else's may be: it writes whatever keys, values and headers it is given, where it is told."""

import asyncio
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from checks.records.values import Made
from schemas.records import Origin
from streams.client.settings import KafkaSettings

SERVE_EVERY = 0.005
"""Seconds between looks at what Kafka has confirmed."""

PARTITIONER = -1
END_LIMIT = 10.0

_PROPERTIES = {
    "partitioner": "murmur2_random",
    "message.timeout.ms": 20_000,
    "message.max.bytes": 4_000_000,  # of texts that are far too long; what Kafka takes is compressed
    "compression.type": "zstd",
    "linger.ms": 1,
}


class ForeignProducer:
    """Writes records, and tells where each stands once Kafka has it. To be used in one event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(kafka.client(**_PROPERTIES))

    async def __aenter__(self) -> "ForeignProducer":
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._producer.purge()
        await asyncio.to_thread(self._producer.flush, END_LIMIT)

    async def _serve(self) -> None:
        while True:
            self._producer.poll(0)
            await asyncio.sleep(SERVE_EVERY)

    async def write(self, topic: str, made: Made) -> Origin:
        """Write a record and return where it stands. Raises KafkaException where Kafka does not confirm it."""
        confirmed: asyncio.Future[Origin] = asyncio.get_running_loop().create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            if confirmed.done():
                return
            if error is not None:
                confirmed.set_exception(KafkaException(error))
            else:
                place = Origin(topic=topic, partition=message.partition(), offset=message.offset())
                confirmed.set_result(place)

        partition = PARTITIONER if made.partition is None else made.partition
        self._producer.produce(topic, made.value, made.key, partition, report, headers=list(made.headers))
        return await confirmed
