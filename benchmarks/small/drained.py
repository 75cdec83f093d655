"""One run: records of one user that a tree's consumer has before it all at once, until it has ended them."""

import asyncio
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from benchmarks.small.load import AUDIENCES, PROVIDER, Load, made_records
from benchmarks.whole.run import Surroundings
from benchmarks.whole.sink import Counts
from benchmarks.whole.trees import Process, Tree, environment, started
from benchmarks.whole.usage import peak_of, processes, seconds_of
from schemas.avro.codec import decode_batch_completion
from schemas.records import TERMINAL
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import Tail
from streams.write.writer import producer_properties

LIMIT = 240.0
"""Seconds after which a run ends; how long the rest would take is reckoned."""

CONSUMER = f"consumer {PROVIDER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a run came to: seconds, the consumer's processor time and memory in bytes, and what the sink counted."""

    records: int
    ended: int
    took: float
    processor: float
    peak: int
    rows: int
    calls: int
    unknown: int
    failures: Counter[str] = field(default_factory=Counter)
    """Records that did not end as delivered, by status and error."""

    @property
    def is_through(self) -> bool:
        """Whether all records have ended."""
        return self.ended == self.records

    @property
    def is_right(self) -> bool:
        """Whether all went well, and the sink has each user of the records that ended, once."""
        is_counted = self.rows == self.records if self.is_through else self.ended <= self.rows <= self.records
        return is_counted and not self.failures and not self.unknown

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.ended / self.took

    @property
    def cost(self) -> float:
        """Microseconds of the consumer's processor time a record."""
        return 1e6 * self.processor / self.ended

    @property
    def seconds(self) -> float:
        """What all records take; reckoned where not all have ended."""
        return self.records / self.rate


@dataclass(slots=True)
class Ends:
    """Records that ended so far, and when the last one did, by the system's clock.

    Completions are decoded when there may be enough of them, so that this costs little while the consumer works.
    """

    ended: int = 0
    last: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    _values: list[bytes] = field(default_factory=list)
    _judged: int = 0

    async def follow(self, tail: Tail) -> None:
        """Take completions without end."""
        async for records in tail.batches():
            self._values += (record.value for record in records)
            times = (record.timestamp.timestamp() for record in records if record.timestamp is not None)
            self.last = max(times, default=self.last)

    async def until(self, number: int, process: Process, limit: float = LIMIT) -> None:
        """Return when so many have ended, or when the time is over. Raises RuntimeError where the process ends."""
        deadline = time.monotonic() + limit
        while self.ended < number and time.monotonic() < deadline:
            process.check()
            await asyncio.sleep(0.05)
            if self.ended + len(self._values) - self._judged >= number:
                self._judge()
        self._judge()

    def _judge(self) -> None:
        for value in self._values[self._judged :]:
            completion = decode_batch_completion(value)
            is_end = completion.status in TERMINAL
            self.ended += is_end
            if is_end and completion.status != "delivered":
                self.failures[f"{completion.status} ({completion.error_code})"] += 1
        self._judged = len(self._values)


async def drain(tree: Tree, load: Load, around: Surroundings) -> Drained:
    """Run a tree's consumer on topics of its own, let it create the audiences, then give it all records at once."""
    async with _running(tree, load, around) as (consumer, names, ends):
        await _write(around.kafka, names, list(made_records(range(AUDIENCES))))
        await ends.until(AUDIENCES, consumer)
        if ends.ended < AUDIENCES:
            raise RuntimeError("the first record of each audience did not end")
        records = list(made_records(range(AUDIENCES, AUDIENCES + load.records)))
        counted, used = await _counted(around), _used(consumer)
        began = time.time()
        await _write(around.kafka, names, records)
        await ends.until(AUDIENCES + load.records, consumer)
        if ends.ended == AUDIENCES:
            raise RuntimeError("no record has ended")
        now = await _counted(around)
        return Drained(
            records=load.records,
            ended=ends.ended - AUDIENCES,
            took=ends.last - began,
            processor=_used(consumer) - used,
            peak=peak_of(consumer.popen.pid, processes()),
            rows=now.rows[PROVIDER] - counted.rows[PROVIDER],
            calls=now.calls[PROVIDER] - counted.calls[PROVIDER],
            unknown=now.unknown - counted.unknown,
            failures=ends.failures,
        )


@asynccontextmanager
async def _running(tree: Tree, load: Load, around: Surroundings) -> AsyncIterator[tuple[Process, TopicNames, Ends]]:
    names = TopicNames(f"small-{secrets.token_hex(4)}")
    await ensure_topics(around.kafka, layout(names, [Target(PROVIDER).group_id(names.prefix)]))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        values = environment(around.kafka, names.prefix, around.sink, folder, [PROVIDER])
        if load.is_paced:
            del values[f"{PROVIDER.upper()}_PACE"]
        commands = {CONSUMER: ["consume", "--provider", PROVIDER]}
        [consumer] = await stack.enter_async_context(started(tree, values, folder, commands))
        tail, ends = await stack.enter_async_context(Tail(around.kafka, names.completions)), Ends()
        following = asyncio.create_task(ends.follow(tail))
        try:
            yield consumer, names, ends
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _write(kafka: KafkaSettings, names: TopicNames, records: Sequence[tuple[str, bytes]]) -> None:
    """Write records at the pace of Kafka's client, which is not what is measured."""

    def write() -> None:
        producer = Producer(producer_properties(kafka) | {"linger.ms": 20})
        for key, value in records:
            producer.produce(names.batches, value, key)
        if producer.flush(LIMIT):
            raise RuntimeError("Kafka did not take all records")

    await asyncio.to_thread(write)


async def _counted(around: Surroundings) -> Counts:
    async with around.session.get(f"{around.sink}/") as response:
        return msgspec.json.decode(await response.read(), type=Counts)


def _used(consumer: Process) -> float:
    return seconds_of({CONSUMER: consumer.popen.pid}, processes())[CONSUMER]
