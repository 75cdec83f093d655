"""Add up what happened to the users of a record, and make its completion."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

import msgspec

from consumer.delivery.platform_outcome import MAX_REJECTED_USERS, MAX_REQUEST_IDS, PlatformOutcome
from consumer.ordering.standing import NEVER
from consumer.retries.attempts import PostponedError
from providers.kit.errors import PlatformError
from providers.kit.provider import Rejection, Sent
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.rows_per_call import RowGroup
from schemas.records import (
    LIVE,
    AudienceBatch,
    BatchCompletion,
    Counts,
    Mode,
    Origin,
    Progress,
    RejectedUser,
    Span,
    Status,
)
from schemas.target import Target
from schemas.tracebacks import without_frames
from schemas.validity import is_uuid, is_whole

NOBODY = Span(first=0, count=0)

MAX_SHARED_CALLS = 10
"""Calls shared with other records that a completion names."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened to the users of one record so far."""

    mode: Mode = "add"
    received: int = 0
    span: Span = NOBODY
    """The record's users, by their indexes in the request."""
    progress_before: Progress | None = None
    platform: PlatformOutcome = field(default_factory=PlatformOutcome)
    attempts: int = 0
    audience_id: str | None = None
    error: PlatformError | None = None
    postponed: PostponedError | None = None
    step: int = 0
    """Users of a call with which the search for refused ones goes on in a later try; 0: there is none."""
    is_given_up: bool = False
    """Whether the record is another process's by now, so that nothing is to be said of it."""
    is_sent: bool = False
    """Whether a call of it may have reached the platform."""
    doubtful_until: float = NEVER
    """Until when a call that ended without an answer may take effect, by the consumer's clock."""
    superseded: int = 0
    """Users about whom a later record decides, so that they were left as they are."""
    other_identifiers_unknown: int = 0
    """Users of a removal of whom the log has no row, so that the platform may know them by more."""
    excused: float = 0.0
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unusable: list[tuple[int, Rejection]] = field(default_factory=list)
    shared_calls: list[str] = field(init=False, default_factory=list)
    """Ids of calls that carried rows of other records, too, and were taken or refused, over all tries."""
    shared_unplaced: int = field(init=False, default=0)
    """Rows of such calls that the platform refused without saying which, over all tries; they count as accepted."""
    _unusable_reasons: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Begin with what the tries before this one came to."""
        before = self.progress_before or Progress()
        self.shared_calls, self.shared_unplaced = list(before.shared_calls), before.shared_unplaced

    def note_shared(self, call_id: str, unplaced: int = 0) -> None:
        """Note that a call carried rows of other records, too, and how many of all it left unplaced for good."""
        if len(self.shared_calls) < MAX_SHARED_CALLS and call_id not in self.shared_calls:
            self.shared_calls.append(call_id)
        self.shared_unplaced += unplaced

    def reject(self, index: int, rejection: Rejection) -> None:
        """Count a user that makes no row; `index` is the user's place in the request."""
        self._unusable_reasons[reason_of(rejection)] += 1
        if len(self.unusable) < MAX_REJECTED_USERS:
            self.unusable.append((index, rejection))

    def add(self, group: RowGroup, sent: Sent) -> None:
        """Count what the platform did with one group of rows."""
        self.platform.take(group, sent)

    def fail(self, error: PlatformError) -> None:
        """Note why users were left behind; the first reason stays."""
        self.error = self.error or without_frames(error)

    def postpone(self, postponed: PostponedError) -> None:
        """Note that some calls are better made later; the longest wait stays."""
        if self.postponed is None or postponed.seconds > self.postponed.seconds:
            self.postponed = without_frames(postponed)

    @property
    def accepted(self) -> int:
        """Users that the platform took."""
        return self.platform.accepted

    @property
    def reasons(self) -> Counter[str]:
        """How many users were rejected for which reason, by us or by the platform."""
        return self._unusable_reasons + self.platform.reasons

    @property
    def rejected_users(self) -> list[RejectedUser]:
        """The first users that were rejected, in order."""
        known = sorted([*self.unusable, *self.platform.listed.items()], key=itemgetter(0))
        return [
            RejectedUser(index=index, field=rejection.field, reason=rejection.reason)
            for index, rejection in known[:MAX_REJECTED_USERS]
        ]

    @property
    def is_through(self) -> bool:
        """Whether the record has ended, and not by a failure."""
        return self.error is None and self.postponed is None and not self.is_given_up

    @property
    def removed(self) -> int | None:
        """Who left the audience, None where the platform does not say; 0 is a success."""
        return self.platform.removed if self.mode == "remove" else None

    @property
    def is_begun(self) -> bool:
        """Whether the platform settled some users, or a search has begun among them."""
        return bool(self.progress_before or self.step or self.accepted or self.platform.reasons)

    @property
    def status(self) -> Status:
        """How the delivery ended."""
        if self.error is not None:
            return "failed"
        return "partial" if self.reasons else "delivered"

    def progress(self) -> Progress | None:
        """Return what a later try needs to know, None where it begins anew.

        Users that it is to send although they were settled count as open from then on.
        """
        if not self.is_begun:
            return None
        before = self.progress_before
        progress = self.platform.progress(before.open if before else [self.span], self.step)
        return msgspec.structs.replace(progress, shared_calls=self.shared_calls, shared_unplaced=self.shared_unplaced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One record of the log as this account met it; `batch` is None where it could not be decoded."""

    target: Target
    origin: Origin
    started_at: datetime
    delivery: str = LIVE
    """`live`, or the id of a replay."""
    batch: AudienceBatch | None = None
    users: int = 0
    """How many the record holds; they are not in the batch where the account has no use for them."""

    def progress(self, error: PlatformError, outcome: Outcome) -> BatchCompletion:
        """Return the completion that says why the record is tried again, and how far it is."""
        completion = self._completion_of("retrying", outcome, error)
        counts = completion.counts
        settled = counts.accepted + counts.rejected + counts.superseded
        is_open = counts.received - settled if outcome.is_begun else 0
        return msgspec.structs.replace(completion, counts=msgspec.structs.replace(counts, open=is_open))

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
            counts=Counts(received=self.users),
            started_at=self.started_at,
            mode=batch.mode if batch else "add",
        )

    def completed(self, outcome: Outcome) -> BatchCompletion:
        """Return the completion that tells what happened to each user."""
        return self._completion_of(outcome.status, outcome, outcome.error)

    def _completion_of(self, status: Status, outcome: Outcome, error: PlatformError | None) -> BatchCompletion:
        reasons = outcome.reasons
        return msgspec.structs.replace(
            self.completion(status, error_code=error.code if error else None),
            counts=Counts(
                received=outcome.received,
                accepted=outcome.accepted,
                rejected=reasons.total(),
                matched=None if outcome.shared_calls else outcome.platform.matched,
                removed=outcome.removed,
                superseded=outcome.superseded,
                other_identifiers_unknown=outcome.other_identifiers_unknown,
            ),
            rejected_users=outcome.rejected_users,
            rejected_reasons=dict(reasons),
            repaired=dict(outcome.repaired),
            dropped=dict(outcome.dropped),
            platform_code=error.platform_code if error else None,
            audience_id=outcome.audience_id,
            request_id=error.request_id if error else None,
            request_ids=outcome.platform.request_ids[:MAX_REQUEST_IDS],
            attempts=outcome.attempts,
            shared_calls=list(outcome.shared_calls),
            shared_unplaced=outcome.shared_unplaced,
        )


def smallest(completion: BatchCompletion) -> BatchCompletion:
    """Return the least that must be said of a record's end: where it stands, how it ended, and the counts."""
    counts = completion.counts
    numbers = [number for number in msgspec.structs.astuple(counts) if number is not None]
    return BatchCompletion(
        batch_id=completion.batch_id,
        origin=completion.origin,
        delivery=completion.delivery,
        provider=completion.provider,
        account=completion.account,
        status=completion.status,
        counts=counts if all(map(is_whole, numbers)) else Counts(),
        error_code=completion.error_code,
        started_at=completion.started_at,
        finished_at=completion.finished_at,
        mode=completion.mode,
        shared_unplaced=completion.shared_unplaced if is_whole(completion.shared_unplaced) else 0,
    )
