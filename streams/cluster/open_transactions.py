"""Transactions that are open in a topic, for whose end all that stands behind their beginning waits."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import LIMIT, described
from streams.read.record_fetcher import fetch_record

log = structlog.get_logger()


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
class OpenTransactions:
    """The open transactions of a topic, by one look after the other: one that two of them found is reported.

    A busy log has some short transaction open at any time.
    """

    kafka: KafkaSettings
    topic: str
    ends: Mapping[int, int] = field(default_factory=dict)
    """Where each partition ended for whoever reads it, when it was looked at last."""
    _met: dict[int, OpenTransaction] = field(default_factory=dict)
    """Of each partition the transaction that the last look found open."""
    _reported: dict[int, OpenTransaction] = field(default_factory=dict)

    @property
    def reported(self) -> Sequence[OpenTransaction]:
        """The first open transaction of each partition that has one for longer than a moment."""
        return [self._reported[partition] for partition in sorted(self._reported)]

    def forget(self) -> None:
        """Know of none any more, as nobody looks."""
        self._reported = {}

    async def look(self, admin: AdminClient, partitions: int) -> None:
        """Ask Kafka once; who reads what is not committed yet waits for nothing. Raises KafkaUnreachableError."""
        written = await _ends(admin, self.topic, partitions, IsolationLevel.READ_UNCOMMITTED)
        if self.kafka.properties.get("isolation.level") == "read_uncommitted":
            self.ends = written
            return
        self.ends = await _ends(admin, self.topic, partitions, IsolationLevel.READ_COMMITTED)
        await self._note(_held(written, self.ends))

    async def _note(self, held: Mapping[int, int]) -> None:
        before, self._met = self._met, {}
        reported, self._reported = self._reported, {}
        for partition, offset in held.items():
            known = before.get(partition)
            if known is None or known.offset != offset:
                self._met[partition] = self._found(partition, offset, datetime.now(UTC))
                continue
            self._met[partition] = known
            self._reported[partition] = reported.get(partition) or await self._report(known)
        for ended in [one for one in reported.values() if one not in self._reported.values()]:
            log.info("The transaction has ended, and what waited for it is read.", **_facts(ended))

    def _found(self, partition: int, offset: int, since: datetime) -> OpenTransaction:
        return OpenTransaction(topic=self.topic, partition=partition, offset=offset, since=since)

    async def _report(self, known: OpenTransaction) -> OpenTransaction:
        """Log a transaction with the time of its first record, which stands where it holds up the log; return that."""
        record = await fetch_record(self.kafka, known.origin, **{"isolation.level": "read_uncommitted"})
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
    if topic not in found:
        return {}
    written = await _ends(admin, topic, found[topic][1], IsolationLevel.READ_UNCOMMITTED)
    return _held(written, await _ends(admin, topic, found[topic][1], IsolationLevel.READ_COMMITTED))


def _held(written: Mapping[int, int], committed: Mapping[int, int]) -> Mapping[int, int]:
    """Return where what is handed over ends before what is written, which was asked for first."""
    return {number: committed[number] for number, end in written.items() if committed[number] < end}


async def _ends(admin: AdminClient, topic: str, partitions: int, level: IsolationLevel) -> Mapping[int, int]:
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
    asked = admin.list_offsets(wanted, isolation_level=level, request_timeout=LIMIT) if wanted else {}
    try:
        async with asyncio.timeout(LIMIT + 1):
            return {one.partition: (await asyncio.wrap_future(future)).offset for one, future in asked.items()}
    except (TimeoutError, KafkaException) as error:
        raise KafkaUnreachableError from error


def _facts(found: OpenTransaction) -> dict[str, object]:
    return {"origin": str(found.origin), "since": found.since.isoformat()}
