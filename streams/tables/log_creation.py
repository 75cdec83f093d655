"""With how many partitions the log was created: noted once, by whoever needs it first, and the same ever after."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from confluent_kafka.admin import AdminClient

from schemas.avro.codec import decode_log_creation, encode_log_creation
from schemas.avro.framing import SINGLE_OBJECT, Framing, UndecodableError
from schemas.home_partition import home_partition
from schemas.records import LogCreation, is_of_log
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import described
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end
from streams.write.writer import Writer

log = structlog.get_logger()

_KEY = "log:"


@dataclass(slots=True)
class Homes:
    """The home partitions of a log's audiences, also of one that is made anew under its name.

    Each call may read the topic of accounts, until it knows how the log was created, and writes that there where
    nobody has.
    """

    kafka: KafkaSettings
    writer: Writer
    names: TopicNames
    framing: Framing
    now: Callable[[], datetime]
    _known: LogCreation | None = field(default=None, init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def creation(self, log_id: str | None = None) -> LogCreation:
        """Return how the log with this id was created, None for the one that there is.

        Raises what `log_creation` raises.
        """
        async with self._asking:
            if self._known is None or not is_of_log(self._known.log_id, log_id):
                self._known = await log_creation(self.kafka, self.writer, self.names, self.now, self.framing)
            return self._known

    def forget(self) -> None:
        """Ask again next time, as the log may be another one."""
        self._known = None


def home_of(creation: LogCreation, key: str) -> int:
    """Return the partition whose offsets are the order of an audience's records."""
    return home_partition(key, creation.partitions)


async def log_creation(
    kafka: KafkaSettings,
    writer: Writer,
    names: TopicNames,
    now: Callable[[], datetime],
    framing: Framing = SINGLE_OBJECT,
) -> LogCreation:
    """Return with how many partitions the log was created, as it was first noted.

    1. Read what is noted. 2. Where that is nothing of this log, note what it has now: a log of before there were such
    notes had none added, as far as anybody knows. 3. Read again: the first on the topic wins. 4. Where the last is
    another one, write the first once more: compaction keeps the last.
    Raises KafkaUnreachableError, NotAcknowledgedError, ReaderFailedError, RegistryUnavailableError.
    """
    named, partitions = await _present(kafka, names.batches)
    topic = _Creations(kafka, writer, names, framing, named)
    found = await topic.read()
    if not found:
        noted = LogCreation(topic=names.batches, log_id=named, partitions=partitions, written_at=now())
        await topic.write(noted)
        log.info("The partitions of the log are noted.", partitions=partitions, action="register")
        found = await topic.read() or [noted]
    if found[0] != found[-1]:
        await topic.write(found[0])
    return found[0]


async def _present(kafka: KafkaSettings, topic: str) -> tuple[str | None, int]:
    """Return id and partitions of the log as it is. Raises KafkaUnreachableError."""
    admin = AdminClient(kafka.admin())  # which must live for as long as it is asked
    found = await described(admin, [topic])
    if topic not in found:
        raise KafkaUnreachableError(f"Kafka does not describe {topic}.")
    return found[topic]


@dataclass(frozen=True, slots=True)
class _Creations:
    """What stands on the topic of accounts about how the log with an id was created."""

    kafka: KafkaSettings
    writer: Writer
    names: TopicNames
    framing: Framing
    log_id: str | None

    @property
    def key(self) -> str:
        return f"{_KEY}{self.names.batches}"

    async def write(self, creation: LogCreation) -> None:
        value = await asyncio.to_thread(encode_log_creation, creation, self.framing)
        await self.writer.send(self.names.accounts, self.key, value)

    async def read(self) -> list[LogCreation]:
        """Return what is noted of the log, in its order."""
        records = await read_to_end(self.kafka, self.names.accounts)
        return [found for found in await self._decoded(records) if is_of_log(found.log_id, self.log_id)]

    async def _decoded(self, records: Iterable[Record]) -> list[LogCreation]:
        ours = [record for record in records if record.key == self.key.encode() and record.value]
        found = [await asyncio.to_thread(_creation, record, self.framing) for record in ours]
        return [creation for creation in found if creation is not None and creation.partitions > 0]


def _creation(record: Record, framing: Framing) -> LogCreation | None:
    try:
        return decode_log_creation(record.value, framing)
    except UndecodableError as error:
        log.warning("A note of the log is undecodable and ignored.", origin=str(record.origin), reason=str(error))
        return None
