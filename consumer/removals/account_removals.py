"""What one process of an account knows of its removals, and lets others know: entries on the topic of accounts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from consumer.ordering.log_position import LogPosition
from consumer.removals.log_memory import LogMemory
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from providers.kit.provider import AnyProvider
from schemas.avro.framing import Framing
from schemas.hash_keys import VARIABLE, HashKeys, HashKeysMissingError
from schemas.records import AudienceBatch, Origin, PlatformJob, RemovedAudience, is_of_log
from schemas.target import Target
from streams.read.record_fetcher import RecordFetcher
from streams.tables.account_states import States
from streams.tables.removals import RemovalTables, delete_entry, write_entry
from streams.write.writer import Writer

T = TypeVar("T")

log = structlog.get_logger()


def check_hash_keys(target: Target, tables: RemovalTables, keys: HashKeys | None) -> None:
    """Raises HashKeysMissingError where an account has removals under a key that is not set."""
    used = {entry.key_id for entry in tables.removed_audiences(target)}
    lacking = sorted(used) if keys is None else list(keys.lacks(used))
    if lacking:
        raise HashKeysMissingError(
            f"{VARIABLE}: lacks {_keys(lacking)}, by which {target} remembers who was removed; "
            f"set {'it' if len(lacking) == 1 else 'them'}, behind the one that is to be used from now on"
        )


def _keys(ids: Sequence[str]) -> str:
    *others, last = ids
    return f"the keys with the ids {', '.join(others)} and {last}" if others else f"the key with the id {last}"


@dataclass(slots=True, kw_only=True)
class AccountRemovals:
    """The removals of one account: where people were removed, and which jobs of the platform are under way."""

    target: Target
    provider: AnyProvider
    states: States
    accounts: str
    """Topic of accounts."""
    writer: Writer
    framing: Framing
    keys: HashKeys | None
    memory: LogMemory
    fetcher: RecordFetcher
    time: Time
    now: Callable[[], datetime]
    breaker: CircuitBreaker
    found_in_log: set[str] = field(default_factory=set)
    """Audiences whose removals count although this account may not have met them: of a replay."""
    _entered: set[tuple[str, int]] = field(default_factory=set)
    _partitions: tuple[int, dict[str, set[int]]] = (-1, {})
    """The partitions with removals of each audience, as of so many changes of the table."""
    _jobs: dict[str, PlatformJob] = field(default_factory=dict)

    @property
    def log_id(self) -> str | None:
        """Kafka's id of the log's topic."""
        return self.memory.log_id

    async def is_known(self, audience: str) -> bool:
        """Tell whether anybody was removed from an audience, by all that any process has written until now."""
        if audience in self.found_in_log:
            return True
        await self._caught_up()
        return any(entry.audience == audience for entry in self._entries())

    def has_elsewhere(self, audience: str, partition: int) -> bool:
        """Tell whether anybody was removed from an audience in another partition, as far as this process knows."""
        changes = self.states.removals.removed_changes
        if self._partitions[0] != changes:
            partitions: dict[str, set[int]] = {}
            for entry in self._entries():
                partitions.setdefault(entry.audience, set()).add(entry.partition)
            self._partitions = changes, partitions
        return not self._partitions[1].get(audience, set()) <= {partition}

    async def enter(self, audience: str, place: LogPosition) -> None:
        """Let all processes know that people are removed from an audience, before any is; by the key that is used.

        Returns when Kafka has it.
        """
        assert self.keys is not None  # noqa: S101 -- who has none is not to remove anybody
        key_id, at = self.keys.first.id, (audience, place.partition)
        known = (entry for entry in self._entries() if (entry.audience, entry.partition) == at)
        if at in self._entered or any(entry.key_id == key_id for entry in known):
            return
        entry = RemovedAudience(
            provider=self.target.provider,
            account=self.target.account or None,
            audience=audience,
            partition=place.partition,
            first_offset=place.offset,
            log_id=self.log_id,
            key_id=key_id,
            written_at=self.now(),
        )
        await self._written(lambda: write_entry(self.writer, self.accounts, entry, self.framing))
        self._entered.add(at)

    async def job_taken(self, job_id: str, audience: str, origin: Origin) -> None:
        """Note a job that the platform has taken, and return when Kafka has that."""
        job = PlatformJob(
            provider=self.target.provider,
            account=self.target.account or None,
            job_id=job_id,
            audience=audience,
            origin=origin,
            log_id=self.log_id,
            started_at=self.now(),
        )
        self._jobs[job_id] = job
        await self._written(lambda: write_entry(self.writer, self.accounts, job, self.framing))

    async def job_ended(self, job_id: str) -> None:
        """Note that a job has ended."""
        if job := self._jobs.pop(job_id, None):
            await self._forgotten(job)

    async def is_free(self, audience: str, place: LogPosition) -> bool:
        """Tell whether no job that began for an earlier record, or for one elsewhere, is under way in an audience.

        Those that have ended are forgotten. Raises PlatformError.
        """
        await self._caught_up()
        jobs = [job for job in self.states.removals.jobs(self.target) if job.audience == audience]
        earlier = [job for job in jobs if not _is_later(job, place)]
        ended = [await self._has_ended(job) for job in earlier]
        return all(ended)

    async def _has_ended(self, job: PlatformJob) -> bool:
        if not await self.provider.has_ended(job.job_id):
            return False
        self._jobs.pop(job.job_id, None)
        await self._forgotten(job)
        return True

    async def fetched(self, partition: int, offset: int) -> tuple[AudienceBatch, LogPosition] | None:
        """Return a batch of the log, None where it has left it."""
        origin = Origin(topic=self.memory.topic, partition=partition, offset=offset)
        record = await self._written(lambda: self.fetcher.fetch(origin))
        if record is None:
            return None
        batch = await asyncio.to_thread(self.memory.batch_of, record)
        return None if batch is None else (batch, self.memory.place_of(record))

    def _entries(self) -> list[RemovedAudience]:
        found = self.states.removals.removed_audiences(self.target)
        return [entry for entry in found if is_of_log(entry.log_id, self.log_id)]

    async def _caught_up(self) -> None:
        await self._written(self.states.caught_up)

    async def _forgotten(self, job: PlatformJob) -> None:
        await self._written(lambda: delete_entry(self.writer, self.accounts, job))

    async def _written(self, call: Callable[[], Awaitable[T]]) -> T:
        return await keep_trying(call, "Kafka can't be asked about removals", self.time, self.breaker)


def _is_later(job: PlatformJob, place: LogPosition) -> bool:
    """Tell whether a job began for a record behind a place of the same partition and log."""
    is_there = job.origin.partition == place.partition and is_of_log(job.log_id, place.log_id)
    return is_there and job.origin.offset > place.offset
