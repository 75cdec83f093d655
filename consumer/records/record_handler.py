"""From one record of the log to its completion, acknowledged by Kafka."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
import structlog

from consumer.delivery.delivery import FRESH, Delivery
from consumer.delivery.outcome import Job, Outcome, smallest
from consumer.delivery.platform_outcome import PlatformOutcome
from consumer.ordering.audience_key import audience_key
from consumer.ordering.standing import Standing
from consumer.retries.attempts import History
from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from providers.kit.errors import PlatformError, RejectError
from schemas.avro.codec import OpenedBatch, encode_batch_completion, is_todays_batch
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import LIVE, AudienceBatch, BatchCompletion, Origin
from schemas.target import Target
from schemas.tracebacks import place_of
from schemas.validity import bounded, invalidity, misplaced
from streams.containment.bug_containment import contained, is_of_one_record, sent_or_smallest
from streams.containment.quarantine import Trial
from streams.read.batch_decoding import batch_in
from streams.read.consumer_thread import Record
from streams.write.writer import Writer

T = TypeVar("T")

log = structlog.get_logger()

SMALL = 4 * 1024
"""Bytes of a record that is decoded in some tens of microseconds."""

FEW = 10
"""Rejected users of a completion that is encoded in as little."""

HEADERS = {"content-type": b"application/vnd.audience.completion+avro"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """What an account does with one record, live or in a replay."""

    target: Target
    delivery: Delivery
    writer: Writer
    completions: str
    """Topic of completions."""
    framing: Framing
    time: Time
    clock: Callable[[], datetime]
    trial: Trial
    """Tries records that may end our process."""
    on_reported: Callable[[BatchCompletion], None] = lambda _: None
    """Is told of each completion that Kafka has."""
    called: str = LIVE
    """What completions call this delivery: `live`, or the id of a replay."""
    log_id: str | None = None
    """Kafka's id of the topic that origins are in."""
    created_with: int | None = None
    """Partitions that the log was created with, None where that is not known."""

    async def opened(self, record: Record) -> tuple[Job, AudienceBatch] | BatchCompletion:
        """Return the job that a record is and its batch, or how it ends where there is nothing to deliver."""
        job = self.job(record.origin)
        if record.is_suspect and await self.trial.ends_process(record):
            return logged(job.completion("failed", error_code="quarantined"))
        try:
            opened = await self._batch_in(record)
        except UndecodableError as error:
            return logged(job.completion("failed", error_code="undecodable"), because=str(error))
        batch = opened.batch
        fault = invalidity(batch, opened.users) or misplaced(batch, record.origin.partition, self.created_with)
        if fault:
            job = dataclasses.replace(job, batch=bounded(batch), users=opened.users)
            return logged(job.completion("skipped", error_code="invalid_batch"), because=fault)
        job = dataclasses.replace(job, batch=batch, users=opened.users)
        if not self.is_meant(batch):
            return logged(job.completion("skipped"))
        return job, batch

    async def _batch_in(self, record: Record) -> OpenedBatch:
        """Decode a batch, in place where that is done sooner than handed to another thread, and nobody is asked."""
        if len(record.value) <= SMALL and is_todays_batch(record.value):
            return batch_in(record, self.framing, self.is_meant)
        return await self.decoded(lambda: batch_in(record, self.framing, self.is_meant))

    def is_meant(self, head: AudienceBatch) -> bool:
        """Tell whether a batch is for this account, whose users alone are needed."""
        return self.target.is_meant_by(head.channels)

    def audience_of(self, head: AudienceBatch) -> str | None:
        """Return what a batch's audience is known by, None where our code fails on that, as it will again."""
        try:
            return audience_key(self.delivery.provider, head)
        except Exception:  # a provider may be anybody's
            return None

    async def contained(
        self, origin: Origin, work: Callable[[], Awaitable[BatchCompletion | None]]
    ) -> BatchCompletion | None:
        """Return what came of work on one record; it ends as `failed: bug` where our code fails on it."""
        return await contained(origin, work, lambda: logged(self.job(origin).completion("failed", error_code="bug")))

    def job(self, origin: Origin) -> Job:
        """Return the job of a record of which no more is known than where it stands."""
        return Job(target=self.target, origin=origin, started_at=self.clock(), delivery=self.called)

    async def decoded(self, decode: Callable[[], T]) -> T:
        """Decode on another thread, as the registry may have to be asked; wait for one that is unreachable.

        Raises UndecodableError.
        """
        what, breaker = "The schema registry does not answer", self.delivery.breaker
        return await keep_trying(lambda: asyncio.to_thread(decode), what, self.time, breaker)

    async def deliver(
        self,
        job: Job,
        batch: AudienceBatch,
        is_held: Callable[[], bool],
        history: History = FRESH,
        only: Collection[int] | None = None,
        standing: Standing | None = None,
    ) -> Outcome:
        """Deliver a batch, or of its users only those with these indexes; why it is tried again is reported.

        `standing` says where it stands in the order of its audience, None where it has no place.
        """

        async def notice(error: PlatformError, outcome: Outcome) -> None:
            await self.report(job.progress(error, outcome))

        try:
            return await self.delivery.deliver(batch, notice, history, is_held, only, standing)
        except Exception as error:
            if not is_of_one_record(error):
                raise
            log.error("Delivery failed by a bug.", at=place_of(error), **facts_of(job.completion("failed")))
            return Outcome(
                mode=batch.mode,
                received=job.users,
                progress_before=history.progress,
                platform=PlatformOutcome.after(history.progress),
                error=RejectError("bug"),
            )

    async def report(self, completion: BatchCompletion) -> None:
        """Have a completion acknowledged, however long Kafka takes; the smallest one if it can't be written."""
        ended = msgspec.structs.replace(completion, finished_at=self.clock())

        async def write() -> None:
            await sent_or_smallest(ended.origin, self._send, ended, smallest)

        await self.acknowledged(write, "A completion is not acknowledged", **facts_of(ended))
        self.on_reported(ended)

    async def _send(self, completion: BatchCompletion) -> None:
        named = msgspec.structs.replace(completion, log_id=self.log_id)
        is_quick = self.framing.registry is None and len(named.rejected_users) <= FEW
        value = (
            encode_batch_completion(named, self.framing)
            if is_quick
            else await asyncio.to_thread(encode_batch_completion, named, self.framing)
        )
        await self.writer.send(self.completions, completion.key, value, HEADERS)

    async def acknowledged(self, write: Callable[[], Awaitable[None]], what: str, **facts: object) -> None:
        """Write until Kafka has it, however long that takes; `what` failed is the line of the log."""
        await keep_trying(write, what, self.time, self.delivery.breaker, **facts)


def facts_of(completion: BatchCompletion) -> dict[str, object]:
    """Return which record a line of the log is about."""
    return {
        "batch_id": completion.batch_id,
        "provider": completion.provider,
        "account": completion.account,
        "origin": str(completion.origin),
    }


def _removal_facts(completion: BatchCompletion) -> dict[str, object]:
    counts = completion.counts
    removed = {"mode": "remove", "removed": counts.removed} if completion.mode == "remove" else {}
    superseded = {"superseded": counts.superseded} if counts.superseded else {}
    return {**removed, **superseded}


def logged(completion: BatchCompletion, because: str | None = None) -> BatchCompletion:
    """Log how a record ended, in one line, and return its completion."""
    facts = facts_of(completion) | {
        "status": completion.status,
        "accepted": completion.counts.accepted,
        "rejected": completion.counts.rejected,
        **_removal_facts(completion),
        **({"open": completion.counts.open} if completion.counts.open else {}),
        "attempts": completion.attempts,
    }
    reasons = {
        "error": completion.error_code,
        "platform_code": completion.platform_code,
        "request_id": completion.request_id,
        "because": because,
    }
    facts |= {name: reason for name, reason in reasons.items() if reason}
    log_line = log.error if completion.status == "failed" else log.warning if completion.error_code else log.info
    log_line("Record handled.", **facts)
    return completion
