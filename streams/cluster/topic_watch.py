"""Look again and again at whether topics are still those that they were, and which transactions hold up the log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError, TopicMadeAnewError
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import LIMIT, described
from streams.read.record_fetcher import RecordFetcher

log = structlog.get_logger()

LOOK = 2.0
"""Seconds between looks; a transaction is told of when two of them found it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransaction:
    """A transaction of a publisher that has neither ended well nor been taken back: nobody is handed what follows."""

    topic: str
    partition: int
    offset: int
    since: datetime

    @property
    def origin(self) -> Origin:
        """Where its first record stands."""
        return Origin(topic=self.topic, partition=self.partition, offset=self.offset)

    def holds_up(self, origin: Origin) -> bool:
        """Tell whether a record waits for its end."""
        return origin.partition == self.partition and origin.offset >= self.offset


def holding_up(origins: Iterable[Origin], transactions: Sequence[OpenTransaction]) -> OpenTransaction | None:
    """Return a transaction that one of these records waits for, None where none does."""
    return next((one for origin in origins for one in transactions if one.holds_up(origin)), None)


@dataclass(slots=True, kw_only=True)
class TopicWatch:
    """What a process knows of its topics; see `watched_topics`. `watching` never ends well."""

    kafka: KafkaSettings
    log: str
    """Topic of the log."""
    ids: Mapping[str, str]
    """Kafka's ids of the topics, as they were at the start."""
    watching: "asyncio.Task[None]" = field(init=False)
    _met: dict[int, OpenTransaction] = field(default_factory=dict)
    """Of each partition of the log the transaction that the last look found open."""
    _told: dict[int, OpenTransaction] = field(default_factory=dict)
    _gone: frozenset[str] = frozenset()

    @property
    def log_id(self) -> str | None:
        """The log's id, None where it is not known."""
        return self.ids.get(self.log)

    @property
    def open_transactions(self) -> Sequence[OpenTransaction]:
        """The first open transaction of each partition of the log that has one for longer than a moment."""
        return [self._told[partition] for partition in sorted(self._told)]

    def forget(self) -> None:
        """Know of no open transactions any more, as nobody looks."""
        self._told = {}

    async def ended(self) -> None:
        """Wait for what never ends well. Raises TopicMadeAnewError."""
        await asyncio.shield(self.watching)

    async def watch(self) -> None:
        """Look without end; a Kafka that does not answer is told by others. Raises TopicMadeAnewError."""
        admin = AdminClient(self.kafka.admin(error_cb=self.kafka.on_error))
        while True:
            await asyncio.sleep(LOOK)
            try:
                partitions = await self._look_at_topics(admin)
                await self._look_for_transactions(admin, partitions)
            except KafkaUnreachableError:
                continue

    async def _look_at_topics(self, admin: AdminClient) -> int:
        """Return how many partitions the log has, 0 where it is gone."""
        found = await described(admin, [self.log, *(name for name in self.ids if name != self.log)])
        made = sorted(name for name, (topic_id, _) in found.items() if topic_id not in (None, self.ids.get(name)))
        if any(name in self.ids for name in made):
            raise TopicMadeAnewError(
                f"{', '.join(made)}: deleted and made anew meanwhile; offsets of the old one count for nothing"
            )
        gone = frozenset(self.ids.keys() - found.keys())
        for name in sorted(gone - self._gone):
            log.error("A topic is gone: nothing is read or written until it is made again.", topic=name, action="wait")
        self._gone = gone
        return found[self.log][1] if self.log in found else 0

    async def _look_for_transactions(self, admin: AdminClient, partitions: int) -> None:
        if self.kafka.properties.get("isolation.level") != "read_uncommitted":
            await self._note(await _held(admin, self.log, partitions))

    async def _note(self, held: Mapping[int, int]) -> None:
        before, self._met = self._met, {}
        told, self._told = self._told, {}
        for partition, offset in held.items():
            known = before.get(partition)
            if known is None or known.offset != offset:
                self._met[partition] = self._found(partition, offset, datetime.now(UTC))
                continue
            self._met[partition] = known
            self._told[partition] = told.get(partition) or await self._tell(known)
        for ended in [one for one in told.values() if one not in self._told.values()]:
            log.info("The transaction has ended, and what waited for it is read.", **_facts(ended))

    def _found(self, partition: int, offset: int, since: datetime) -> OpenTransaction:
        return OpenTransaction(topic=self.log, partition=partition, offset=offset, since=since)

    async def _tell(self, known: OpenTransaction) -> OpenTransaction:
        """Tell of a transaction with the time of its first record, which stands where it holds up the log."""
        record = await RecordFetcher(self.kafka, is_open_too=True).fetch(known.origin)
        since = known.since if record is None or record.timestamp is None else record.timestamp
        found = self._found(known.partition, known.offset, since)
        log.warning(
            "A transaction is open in the log: what was written after it waits.", action="wait", **_facts(found)
        )
        return found


async def held_partitions(kafka: KafkaSettings, topic: str) -> Mapping[int, int]:
    """Return for each partition of a topic in which a transaction is open now, where it began.

    Raises KafkaUnreachableError.
    """
    admin = AdminClient(kafka.admin())
    found = await described(admin, [topic])
    return await _held(admin, topic, found[topic][1]) if topic in found else {}


async def _held(admin: AdminClient, topic: str, partitions: int) -> Mapping[int, int]:
    ends = await _ends(admin, topic, partitions, IsolationLevel.READ_UNCOMMITTED)
    stable = await _ends(admin, topic, partitions, IsolationLevel.READ_COMMITTED)
    return {number: stable[number] for number, end in ends.items() if stable[number] < end}


async def _ends(admin: AdminClient, topic: str, partitions: int, level: IsolationLevel) -> Mapping[int, int]:
    places = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
    asked = admin.list_offsets(places, isolation_level=level, request_timeout=LIMIT) if places else {}
    try:
        async with asyncio.timeout(LIMIT + 1):
            return {place.partition: (await asyncio.wrap_future(future)).offset for place, future in asked.items()}
    except (TimeoutError, KafkaException) as error:
        raise KafkaUnreachableError from error


def _facts(found: OpenTransaction) -> dict[str, object]:
    return {"origin": str(found.origin), "since": found.since.isoformat()}


async def anew(work: Callable[[], Awaitable[None]]) -> None:
    """Do work on topics, again from its beginning whenever one of them was made anew. Raises what it raises besides."""
    while True:
        try:
            await work()
        except TopicMadeAnewError as error:
            log.error("A topic was made anew: all begins again with the new one.", why=str(error), action="repeat")
        else:
            return


@asynccontextmanager
async def watched_topics(kafka: KafkaSettings, log_topic: str, ids: Mapping[str, str]) -> AsyncIterator[TopicWatch]:
    """Watch the log and whatever other topics have these ids while the block is entered."""
    found = TopicWatch(kafka=kafka, log=log_topic, ids=ids)
    found.watching = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        found.watching.cancel()
        await asyncio.gather(found.watching, return_exceptions=True)
        found.forget()
