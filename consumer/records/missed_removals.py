"""Removals that an older version has ended as undecodable, as it knew none: they are found and carried out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from consumer.records.open_removals import OpenRemovals
from consumer.records.record_handler import Handler
from consumer.records.retry_pointers import RetryPointerWriter
from consumer.retries.kafka_retries import keep_trying
from schemas.records import BatchCompletion, RetryPointer
from streams.client.settings import KafkaSettings
from streams.containment.scan_trial import ScanTrial
from streams.read.consumer_thread import Assignment, Record
from streams.read.group_reader import GroupReader
from streams.read.partition_scan import scan_partition

log = structlog.get_logger()

MISSED = "undecodable"
"""The first failure by a pointer that was written for a removal which an older version has ended unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedRemovals:
    """Finds them in partitions that a consumer of an older version has committed, and writes a pointer for each.

    By their pointers they are carried out late, so who was added after them stays in. One that was carried out already
    is carried out once more. Only then is the partition committed as one that has been looked through.
    """

    handler: Handler
    reader: GroupReader
    open_removals: OpenRemovals
    writer: RetryPointerWriter
    kafka: KafkaSettings
    topic: str
    first_offset: Callable[[int], int | None]
    """Where the group begins in a partition, None for with its first record."""
    assigned: "asyncio.Queue[Assignment]" = field(default_factory=asyncio.Queue)
    """The partitions that are taken over."""

    async def run(self) -> None:
        """See to partitions without end, one after the other."""
        while True:
            assignment = await self.assigned.get()
            if assignment.unmarked is not None:
                await self._see_to(assignment, *assignment.unmarked)

    async def _see_to(self, assignment: Assignment, committed: int, finished: frozenset[int]) -> None:
        start = max(assignment.first_offset, self.first_offset(assignment.partition) or 0)
        end = max(finished, default=committed - 1) + 1
        for record in await self._removals(assignment.partition, (start, max(committed, end))):
            if record.origin.offset < committed or record.origin.offset in finished:
                await self.handler.contained(record.origin, partial(self._carry_out, record))
        self.reader.mark(assignment)

    async def _removals(self, partition: int, span: tuple[int, int]) -> list[Record]:
        found: list[Record] = []
        framing = self.handler.framing
        trial = ScanTrial(framing, self.handler.trial)

        def take(record: Record) -> None:
            is_read = record.error is None and not trial.has_deadly_schema(record)
            if is_read and framing.is_of("AudienceRemoval", record.value):
                found.append(replace(record, is_suspect=True))  # nobody who knows removals has read it

        async def scan() -> None:
            found.clear()
            await scan_partition(self.kafka, self.topic, partition, span, take)

        if span[0] < span[1]:
            await keep_trying(scan, "The removals of a partition are not known yet", self.handler.time)
        return found

    async def _carry_out(self, record: Record) -> BatchCompletion | None:
        """Let all processes know that the removal is open, then have a pointer to it acknowledged."""
        opened = await self.handler.opened(record)
        if isinstance(opened, BatchCompletion) or record.origin.offset in self.open_removals.of(
            record.origin.partition
        ):
            return None
        _, batch = opened
        await self.open_removals.open(record.origin, self.handler.audience_of(batch) or "")
        now = self.handler.clock()
        pointer = RetryPointer(
            origin=record.origin,
            attempt=0,
            not_before=now,
            first_attempt_at=now,
            first_failure=MISSED,
            mode="remove",
        )
        await self.writer.write(pointer)
        log.info("A removal that an older version could not read is carried out.", origin=str(record.origin))
        return None
