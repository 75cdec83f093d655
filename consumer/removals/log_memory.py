"""The removal memory of an account: read from the log, where somebody needs it and as far as that is."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from consumer.ordering.log_position import LogPosition
from consumer.removals.audience_memory import AudienceMemory
from consumer.removals.identifiers import Hashes, Identifiers
from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import AudienceBatch, AudienceUser
from schemas.validity import invalidity
from streams.containment.scan_trial import ScanTrial
from streams.read.batch_decoding import batch_in
from streams.read.consumer_thread import Record
from streams.read.tail import scan_by
from streams.read.ungrouped import UngroupedConsumer

Wanted = Callable[[AudienceBatch], bool]


@dataclass(slots=True, kw_only=True)
class LogMemory:
    """The memories of an account's audiences, each read from the log when it is first asked for.

    One scan serves all who ask meanwhile. It decodes and normalises on a thread of its own, and of users only those of
    audiences that are asked for.
    """

    reader: UngroupedConsumer
    """Reads the log, for nobody else."""
    framing: Framing
    log_id: str | None
    identifiers: Identifiers
    audience_of: Callable[[AudienceBatch], str]
    """What the platform calls a batch's audience."""
    is_counted: Callable[[AudienceBatch, LogPosition], bool]
    """Whether a valid batch is for this account, and in its place."""
    trial: ScanTrial
    """Tells which records are left out as they would end our process."""
    time: Time
    _audiences: dict[str, AudienceMemory] = field(default_factory=dict)
    _running: "asyncio.Task[None] | None" = None
    _next: "asyncio.Task[None] | None" = None

    @property
    def topic(self) -> str:
        """The topic of the log."""
        return self.reader.topic

    async def caught_up(self, audience: str) -> AudienceMemory:
        """Return the memory of an audience, read up to the log's end as it is now."""
        memory = self._audiences.setdefault(audience, AudienceMemory(self.log_id))
        if self._next is None:
            self._next = asyncio.create_task(self._scan_after(self._running))
        await asyncio.shield(self._next)
        return memory

    async def close(self) -> None:
        """End what is still being read, and the reader."""
        tasks = [task for task in (self._running, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.reader.close()

    def audiences_of(self, batches: Iterable[AudienceBatch]) -> set[str]:
        """Return the audiences of batches."""
        return set(map(self.audience_of, batches))

    async def _scan_after(self, before: "asyncio.Task[None] | None") -> None:
        """Scan once the scan that is under way has ended, which may have seen an earlier end."""
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        await keep_trying(self._scan, "The log can't be read for who was removed", self.time, topic=self.topic)

    async def _scan(self) -> None:
        audiences = dict(self._audiences)
        start = _start(audiences.values())
        spans = await scan_by(self.reader, lambda record: self._note(record, audiences), start=start)
        for memory in audiences.values():
            for partition, (first, end) in spans.items():
                memory.read_to[partition] = max(end, memory.read_to.get(partition, 0))
                memory.forget_before(partition, first)

    def _note(self, record: Record, audiences: Mapping[str, AudienceMemory]) -> None:
        """Note a record, on the scan's thread."""
        partition, offset = record.origin.partition, record.origin.offset

        def is_wanted(head: AudienceBatch) -> bool:
            memory = audiences.get(self.audience_of(head))
            return memory is not None and memory.read_to.get(partition, 0) <= offset

        batch = self._batch(record, is_wanted)
        if batch is None:
            return
        memory = audiences[self.audience_of(batch)]
        memory.note(self.place_of(record), batch.mode, self.identifiers.of_users(batch.users))
        memory.read_to[partition] = offset + 1

    def _batch(self, record: Record, is_wanted: Wanted) -> AudienceBatch | None:
        """Return the batch of a record that counts and is wanted; to be called on another thread than the loop's."""
        if self.trial.ends_process(record):
            return None
        try:
            opened = batch_in(record, self.framing, is_wanted)
        except UndecodableError:
            return None
        batch, place = opened.batch, self.place_of(record)
        is_valid = is_wanted(batch) and not invalidity(batch, opened.users)
        return batch if is_valid and self.is_counted(batch, place) else None

    def batch_of(self, record: Record) -> AudienceBatch | None:
        """Return the batch of a record, None where that does not count."""
        return self._batch(record, lambda _: True)

    def place_of(self, record: Record) -> LogPosition:
        """Return where a record of the log stands in the order of its audience."""
        return place_of(record, self.log_id)

    async def rows_that_name(
        self, audience: str, place: LogPosition, identifiers: Collection[bytes]
    ) -> list[tuple[AudienceUser, Hashes]]:
        """Return the users of earlier additions who have one of some identifiers, those with the same ones once."""
        memory = self._audiences[audience]
        found: dict[Hashes, AudienceUser] = {}
        offsets = memory.additions_before(place)

        def take(record: Record) -> None:
            if record.origin.offset in wanted.get(record.origin.partition, ()):
                found.update(self._naming(record, identifiers))

        wanted = {partition: frozenset(some) for partition, some in offsets.items()}
        start = {partition: some[0] for partition, some in offsets.items()}
        end = {partition: some[-1] + 1 for partition, some in offsets.items()}
        await keep_trying(
            lambda: self._scan_between(take, start, end), "The log can't be read for who was added", self.time
        )
        return [(user, hashes) for hashes, user in found.items()]

    async def _scan_between(
        self, take: Callable[[Record], None], start: Mapping[int, int], end: Mapping[int, int]
    ) -> None:
        if start:
            others = {partition: 0 for memory in self._audiences.values() for partition in memory.read_to}
            await scan_by(self.reader, take, start=start, end={**others, **end})

    def _naming(self, record: Record, identifiers: Collection[bytes]) -> dict[Hashes, AudienceUser]:
        batch = self.batch_of(record)
        users = batch.users if batch is not None else []
        hashed = self.identifiers.of_users(users)
        return {
            hashes: user
            for user, hashes in zip(users, hashed, strict=True)
            if any(identifier in identifiers for identifier in hashes)
        }


def place_of(record: Record, log_id: str | None) -> LogPosition:
    """Return where a record of a log stands in the order of its audience."""
    moment = record.timestamp
    return LogPosition(
        partition=record.origin.partition,
        offset=record.origin.offset,
        appended_at=int(moment.timestamp() * 1000) if moment else 0,
        log_id=log_id,
    )


def _start(memories: Collection[AudienceMemory]) -> dict[int, int]:
    """Return where a scan begins that tells all memories what they lack."""
    known = [memory.read_to for memory in memories]
    partitions = {partition for read_to in known for partition in read_to}
    return {partition: min(read_to.get(partition, 0) for read_to in known) for partition in partitions}
