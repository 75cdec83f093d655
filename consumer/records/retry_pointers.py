"""Pointers to later attempts: what they say, and how they are written."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from consumer.delivery.outcome import Job, Outcome
from consumer.records.record_handler import Handler
from consumer.retries.attempts import History
from providers.kit.errors import PlatformError
from schemas.avro.codec import decode_retry_pointer, encode_retry_pointer
from schemas.avro.framing import Framing
from schemas.bounds import MAX_PENDING
from schemas.records import RetryPointer
from schemas.validity import pointer_fault
from streams.containment.bug_containment import sent_or_smallest
from streams.containment.quarantine import Trial
from streams.read.consumer_thread import Record

HEADERS = {"content-type": b"application/vnd.audience.retry+avro"}

LONGEST_WAIT = MAX_PENDING / 2
"""The longest that a pointer says to wait, whatever a platform asks for: clocks may differ by the other half."""

LOG_ID = "audience-log-id"
"""Header of a pointer with the id of the log that its key names a place of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPointerWriter:
    """Writes pointers to the retry topic of a group."""

    handler: Handler
    topic: str

    async def write(self, pointer: RetryPointer) -> None:
        """Have a pointer acknowledged; one without progress, so that all users are sent again, if it is too large."""

        async def write() -> None:
            await sent_or_smallest(pointer.origin, self._send, pointer, _smallest)

        await self.handler.acknowledged(write, "A pointer is not acknowledged", origin=str(pointer.origin))

    async def _send(self, pointer: RetryPointer) -> None:
        named = msgspec.structs.replace(pointer, log_id=self.handler.log_id)
        value = await asyncio.to_thread(encode_retry_pointer, named, self.handler.framing)
        named_in_header = {LOG_ID: self.handler.log_id.encode()} if self.handler.log_id else {}
        await self.handler.writer.send(self.topic, str(pointer.origin), value, HEADERS | named_in_header)


def _smallest(pointer: RetryPointer) -> RetryPointer:
    return msgspec.structs.replace(pointer, first_platform_code=None, progress=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponement:
    """Why and until when a record is postponed; `waits_for` is the offset of an earlier removal that goes first."""

    error: PlatformError
    seconds: float = 0.0
    may_take_effect_until: datetime | None = None
    """Until when calls of its may take effect that ended without an answer."""
    waits_for: int | None = None


def next_pointer(
    job: Job, outcome: Outcome, postponed: Postponement, before: RetryPointer | None, now: datetime
) -> RetryPointer:
    """Return the pointer to the next attempt after one that was postponed; `before` is the one that led to this."""
    error, first = postponed.error, before.first_attempt_at if before else job.started_at
    not_before = now + timedelta(seconds=min(postponed.seconds, LONGEST_WAIT.total_seconds()))
    waited = (before.waited if before else 0) + int(outcome.excused * 1000)
    return RetryPointer(
        origin=job.origin,
        attempt=outcome.attempts,
        not_before=not_before,
        first_attempt_at=first,
        first_failure=before.first_failure if before else error.code,
        first_platform_code=before.first_platform_code if before else error.platform_code,
        waited=max(0, min(waited, _millis(not_before - first))),
        progress=outcome.progress(),
        mode=job.batch.mode if job.batch else "add",
        may_take_effect_until=_later(before.may_take_effect_until if before else None, postponed.may_take_effect_until),
        waits_for=postponed.waits_for,
    )


def _millis(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((time for time in (one, other) if time is not None), default=None)


def waited_on(pointer: RetryPointer, now: datetime) -> RetryPointer:
    """Return a pointer after it was due and waited for an earlier removal: that is no age of its record."""
    if pointer.waits_for is None or now <= pointer.not_before:
        return pointer
    more = _millis(now - pointer.not_before)
    return msgspec.structs.replace(pointer, waited=pointer.waited + more, not_before=now)


def history_of(pointer: RetryPointer | None, now: datetime) -> History:
    """Return what was tried before, by the pointer that led to this attempt."""
    if pointer is None:
        return History()
    age = (now - pointer.first_attempt_at).total_seconds() - pointer.waited / 1000
    return History(attempts=pointer.attempt, age=max(0.0, age), progress=pointer.progress)


def log_named(record: Record) -> str | None:
    """Return the id of the log that a pointer is into, by its header, which can be read where its value can't."""
    return record.headers.get(LOG_ID, b"").decode(errors="replace") or None


def trial_of_pointers(framing: Framing) -> Trial:
    """Return what tries pointers: decoding and judging them."""
    return Trial(partial(_judged, framing=framing))


def _judged(record: Record, framing: Framing) -> str | None:
    return pointer_fault(decode_retry_pointer(record.value, framing), record.timestamp or datetime.now(UTC))
