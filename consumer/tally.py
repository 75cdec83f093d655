"""Add up what happened to the users of a record, and make its completion."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

import msgspec

from consumer.attempts import PostponedError
from providers.base import Rejection, Sent
from providers.errors import PlatformError
from providers.reasons import reason_of
from providers.rows import RowGroup
from schemas.records import LIVE, AudienceBatch, BatchCompletion, Counts, Origin, RejectedUser, Status
from schemas.target import Target
from schemas.validity import is_uuid

MAX_REJECTED_USERS = 1000
"""Rejected users that a completion lists; with 100 bytes each it stays far below a record's limit."""

MAX_REQUEST_IDS = 100


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened to the users of one record so far."""

    received: int = 0
    accepted: int = 0
    matched: int | None = None
    attempts: int = 0
    audience_id: str | None = None
    error: PlatformError | None = None
    postponed: PostponedError | None = None
    is_given_up: bool = False
    """Whether the record is another process's by now, so that nothing is to be said of it."""
    excused: float = 0.0
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    request_ids: list[str] = field(default_factory=list)

    def reject(self, index: int, rejection: Rejection) -> None:
        """Count a user that was rejected; `index` is the user's place in the request."""
        self.reasons[reason_of(rejection)] += 1
        if len(self.rejected) < MAX_REJECTED_USERS:
            self.rejected.append((index, rejection))

    def add(self, group: RowGroup, sent: Sent) -> None:
        """Count what the platform did with one group of rows."""
        for position, rejection in sent.rejected.items():
            self.reject(group.indexes[position], rejection)
        for rejection, count in sent.unplaced.items():
            self.reasons[reason_of(rejection)] += count
        self.accepted += len(group.rows) - len(sent.rejected) - sum(sent.unplaced.values())
        if sent.matched is not None:
            self.matched = (self.matched or 0) + sent.matched
        self.request_ids.extend(sent.request_ids)

    def fail(self, error: PlatformError) -> None:
        """Note why users were left behind; the first reason stays."""
        self.error = self.error or error

    def postpone(self, postponed: PostponedError) -> None:
        """Note that some calls are better made later; the longest wait stays."""
        if self.postponed is None or postponed.seconds > self.postponed.seconds:
            self.postponed = postponed

    @property
    def status(self) -> Status:
        """How the delivery ended."""
        if self.error is not None:
            return "failed"
        return "partial" if self.reasons else "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One record of the log as this account met it; `batch` is None where it could not be decoded."""

    target: Target
    origin: Origin
    started_at: datetime
    delivery: str = LIVE
    """`live`, or the id of a replay."""
    batch: AudienceBatch | None = None

    def progress(self, error: PlatformError, attempts: int = 0) -> BatchCompletion:
        """Return the completion that says why the record is tried again."""
        return msgspec.structs.replace(
            self.completion("retrying", error_code=error.code),
            platform_code=error.platform_code,
            request_id=error.request_id,
            attempts=attempts,
        )

    def completion(self, status: Status, *, error_code: str | None = None) -> BatchCompletion:
        """Return a completion that says no more than how the record stands."""
        batch = self.batch
        return BatchCompletion(
            batch_id=batch.batch_id if batch and is_uuid(batch.batch_id) else None,
            part=batch.part if batch else None,
            parts=batch.parts if batch else None,
            session_id=batch.session_id if batch else None,
            sequence=batch.sequence if batch else None,
            origin=self.origin,
            delivery=self.delivery,
            provider=self.target.provider,
            account=self.target.account or None,
            status=status,
            error_code=error_code,
            counts=Counts(received=len(batch.users) if batch else 0),
            started_at=self.started_at,
        )

    def outcome(self, tally: Tally) -> BatchCompletion:
        """Return the completion that tells what happened to each user."""
        error = tally.error
        return msgspec.structs.replace(
            self.completion(tally.status, error_code=error.code if error else None),
            counts=Counts(
                received=tally.received,
                accepted=tally.accepted,
                rejected=tally.reasons.total(),
                matched=tally.matched,
            ),
            rejected_users=[
                RejectedUser(index=index, field=rejection.field, reason=rejection.reason)
                for index, rejection in sorted(tally.rejected, key=itemgetter(0))
            ],
            rejected_reasons=dict(tally.reasons),
            repaired=dict(tally.repaired),
            dropped=dict(tally.dropped),
            platform_code=error.platform_code if error else None,
            audience_id=tally.audience_id,
            request_id=error.request_id if error else None,
            request_ids=tally.request_ids[:MAX_REQUEST_IDS],
            attempts=tally.attempts,
        )
