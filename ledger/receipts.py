"""Write a receipt for every record of the log, whoever published it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from schemas.avro.codec import encode_batch_receipt
from schemas.avro.framing import Framing, UndecodableError
from schemas.metrics.definitions import (
    KAFKA_ACKNOWLEDGEMENT,
    LEDGER_ASSIGNED_PARTITIONS,
    LEDGER_LAG_RECORDS,
    LEDGER_LAG_SECONDS,
    RECEIPTS,
    VERDICTS,
)
from schemas.metrics.registry import Counted, Metrics, Sample
from schemas.records import AudienceBatch, BatchReceipt, LogCreation, Origin
from schemas.validity import bounded, invalidity, is_uuid, misplaced
from streams.client.settings import KafkaSettings
from streams.client.waiting import keep_trying
from streams.cluster.process_samples import member_samples
from streams.cluster.readiness import Readiness, Unready
from streams.cluster.topic_ids import topic_ids
from streams.cluster.topic_watch import TopicWatch, anew, watched_topics
from streams.cluster.topics import TopicNames
from streams.containment.batch_trial import trial_of_batches
from streams.containment.bug_containment import contained, sent_or_smallest
from streams.containment.quarantine import Trial
from streams.read.batch_decoding import batch_in, nothing
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.tables.log_creation import Homes, home_of
from streams.tables.removals import LEDGER, know_removals
from streams.write.writer import Writer

HEADERS = {"content-type": b"application/vnd.audience.receipt+avro"}

QUARANTINED = "quarantined: it ends the process that reads it"
"""Reason of a receipt whose record nobody reads."""

_SOURCE = re.compile(r"[A-Za-z0-9._/-]{1,64}")

END_LIMIT = 10.0
"""Seconds to finish what is in hand; it takes milliseconds unless Kafka is away."""

AT_ONCE = 8
"""Records that are judged at once: one of another writer's schema is decoded, and takes some ten times its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """The ledger's group at work: one receipt for each record, by the rules that the endpoint goes by."""

    reader: GroupReader
    writer: Writer
    topic: str
    framing: Framing
    trial: Trial
    """Tries records that may end our process."""
    log_id: str | None = None
    written: Counted
    creation: "asyncio.Future[LogCreation] | None" = None
    """How the log was created, by which home partitions go; not known while it is not done."""

    async def run(self) -> None:
        """Write receipts until the reader is told to stop, then finish those that are under way.

        Raises ReaderFailedError.
        """
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            async for records in self.reader.batches():
                for record in records:
                    tasks.create_task(self._handle(record, slots))

    async def _handle(self, record: Record, slots: asyncio.Semaphore) -> None:
        """1. Judge the record. 2. Have its receipt acknowledged. 3. Let its offset be committed."""
        async with slots:
            if not self.reader.holds(record):
                return
            what, origin = "A receipt is not acknowledged", str(record.origin)
            receipt = await contained(
                record.origin,
                lambda: keep_trying(lambda: self._judged(record), what, origin=origin),
                lambda: _undecodable(record, "our code fails on it"),
            )
            await keep_trying(
                lambda: sent_or_smallest(record.origin, self._write, receipt, smallest), what, origin=origin
            )
            self.reader.finish(record)
            self.written.add("quarantined" if receipt.reason == QUARANTINED else receipt.verdict)

    async def _judged(self, record: Record) -> BatchReceipt:
        """Return the receipt of a record. Raises RegistryUnavailableError."""
        if record.is_suspect and await self.trial.ends_process(record):
            return _undecodable(record, QUARANTINED)
        known = self.creation.result() if self.creation is not None and self.creation.done() else None
        found = await asyncio.to_thread(judge, record, self.framing, known)
        if found.mode == "add" or known is not None or self.creation is None:
            return found
        return await asyncio.to_thread(judge, record, self.framing, await asyncio.shield(self.creation))

    async def _write(self, receipt: BatchReceipt) -> None:
        named = msgspec.structs.replace(receipt, log_id=self.log_id)
        value = await asyncio.to_thread(encode_batch_receipt, named, self.framing)
        await self.writer.send(self.topic, receipt.key, value, HEADERS)


def judge(record: Record, framing: Framing, creation: LogCreation | None = None) -> BatchReceipt:
    """Return the receipt of a record of the log, by home partitions if they are known. Raises RegistryUnavailableError.

    A removal anywhere else than at home is invalid; an addition is not, and its receipt says where it stands.
    """
    try:
        opened = batch_in(record, framing, nothing)
    except UndecodableError as error:
        return _undecodable(record, str(error))
    batch, users, facts = opened.batch, opened.users, (record.origin, _time(record), _source(record))
    is_home = None if creation is None else home_of(creation, batch.key) == record.origin.partition
    misplacement = creation and misplaced(batch, record.origin.partition, creation.partitions)
    if fault := invalidity(batch, users) or misplacement:
        receipt = receipt_of(bounded(batch), users, *facts, is_home=is_home)
        return msgspec.structs.replace(receipt, verdict="invalid", reason=fault)
    return receipt_of(batch, users, *facts, is_home=is_home)


def _undecodable(record: Record, reason: str) -> BatchReceipt:
    return BatchReceipt(
        origin=record.origin,
        timestamp=_time(record),
        source=_source(record),
        verdict="undecodable",
        reason=reason,
    )


def _time(record: Record) -> datetime:
    return record.timestamp or datetime.now(UTC)


def smallest(receipt: BatchReceipt) -> BatchReceipt:
    """Return the least that must be said of a record: where and when it stands, how many users it has, the verdict."""
    return BatchReceipt(
        batch_id=receipt.batch_id if receipt.batch_id and is_uuid(receipt.batch_id) else None,
        origin=receipt.origin,
        timestamp=receipt.timestamp,
        users=receipt.users,
        source=receipt.source,
        verdict=receipt.verdict,
        reason=receipt.reason,
        mode=receipt.mode,
        is_home=receipt.is_home,
    )


def receipt_of(
    batch: AudienceBatch, users: int, origin: Origin, at: datetime, source: str | None, *, is_home: bool | None
) -> BatchReceipt:
    """Return the receipt of a valid batch that holds so many users, whoever has them, as it stands in the log."""
    return BatchReceipt(
        batch_id=batch.batch_id,
        part=batch.part,
        parts=batch.parts,
        session_id=batch.session_id,
        sequence=batch.sequence,
        total_batches=batch.total_batches,
        total_users=batch.total_users,
        name=batch.name,
        type=batch.type,
        disable_prefix=batch.disable_prefix,
        channels=batch.channels,
        users=users,
        content_hash=batch.content_hash,
        source=source,
        origin=origin,
        timestamp=at,
        verdict="valid",
        mode=batch.mode,
        is_home=is_home,
    )


def _source(record: Record) -> str | None:
    """Return who published a record by its header, if that is a word; anybody may write there whatever they like."""
    word = record.headers.get("audience-source", b"").decode("ascii", "replace")
    return word if _SOURCE.fullmatch(word) else None


def _reader(kafka: KafkaSettings, names: TopicNames, log_id: str | None) -> GroupReader:
    return GroupReader(
        kafka,
        group_id=names.ledger_group,
        topic=names.batches,
        first_offset=lambda _: None,
        topic_id=log_id,
        with_headers=True,
    )


async def keep_receipts(
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    is_open: Callable[[Unready], AbstractAsyncContextManager[None]],
    metrics: Metrics | None = None,
) -> None:
    """Write receipts until cancelled; then finish what is in hand, commit and leave. The topics exist.

    The group begins at the log's first record, again where that was made anew. `is_open` is entered meanwhile, with
    what tells why the ledger is not ready. Raises StreamError where Kafka can't be worked with.
    """
    process = _Process(metrics or Metrics())
    with process.metrics.reading(lambda: member_samples(process.readiness)):
        async with is_open(process.readiness.why_not):
            await anew(lambda: _keep(kafka, names, framing, process))


class _Process:
    """What outlasts a log that is made anew."""

    def __init__(self, metrics: Metrics) -> None:
        self.readiness, self.metrics = Readiness(), metrics
        self.acknowledged, self.written = metrics.observed(KAFKA_ACKNOWLEDGEMENT), metrics.counted(RECEIPTS)
        for verdict in VERDICTS:
            self.written.begin(verdict)


def _backlog(reader: GroupReader, watch: TopicWatch) -> Iterator[Sample]:
    """Yield what is yet to be done, as metrics tell it."""
    oldest = reader.oldest_in_flight
    yield Sample(LEDGER_ASSIGNED_PARTITIONS, len(reader.partitions))
    yield Sample(LEDGER_LAG_RECORDS, reader.unfinished(watch.ends))
    age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    yield Sample(LEDGER_LAG_SECONDS, max(0.0, age))


async def _keep(kafka: KafkaSettings, names: TopicNames, framing: Framing, process: _Process) -> None:
    ids = await topic_ids(kafka, [names.batches])
    async with (
        watched_topics(kafka, names.batches, ids) as watch,
        Writer(kafka, on_acknowledged=process.acknowledged.observe) as writer,
        trial_of_batches(framing) as trial,
        _reader(kafka, names, watch.log_id) as reader,
    ):
        process.readiness.reader, process.readiness.writer = reader, writer
        creation: asyncio.Future[LogCreation] = asyncio.get_running_loop().create_future()
        receipts = Receipts(
            reader=reader,
            writer=writer,
            topic=names.receipts,
            framing=framing,
            trial=trial,
            log_id=watch.log_id,
            written=process.written,
            creation=creation,
        )
        running, failing = asyncio.create_task(receipts.run()), asyncio.create_task(writer.failure())
        registering = asyncio.create_task(_register(kafka, names, framing, writer, creation))
        try:
            with process.metrics.reading(lambda: _backlog(reader, watch)):
                done, _ = await asyncio.wait({running, failing, watch.watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            await reader.stop_reading()
            await asyncio.wait({running}, timeout=END_LIMIT)
            raise
        finally:
            for task in (running, failing, registering):
                task.cancel()
            await asyncio.gather(running, failing, registering, return_exceptions=True)


async def _register(
    kafka: KafkaSettings, names: TopicNames, framing: Framing, writer: Writer, creation: "asyncio.Future[LogCreation]"
) -> None:
    """1. Tell how the log was created. 2. Tell others that removals are known here.

    The rights that this takes are newer than the ledger: without them receipts of additions are written all the same.
    """
    homes = Homes(kafka, writer, names, framing, lambda: datetime.now(UTC))
    creation.set_result(await keep_trying(homes.creation, "The log's first partitions can't be read"))
    await keep_trying(
        lambda: know_removals(kafka, writer, names.accounts, LEDGER, framing, lambda: datetime.now(UTC)),
        "It can't be noted that the ledger knows removals",
    )
