"""The status resources: what the endpoints answer, in camel case as JSON has it."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from ledger.session_runs import Mark
from schemas.records import AudienceType, Mode

TargetState = Literal["waiting", "retrying", "blocked", "delivered", "partial", "failed", "skipped"]
State = Literal["incomplete", "in_progress", "blocked", "delivered", "partial", "failed", "nobody"]
"""`nobody`: no account that is configured here takes it, so it will never be delivered."""

TERMINAL: frozenset[State] = frozenset({"delivered", "partial", "failed", "nobody"})


class UserCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """An honest ladder: who stands in the log, was sent, accepted, matched, is usable; null where nobody says.

    `open` is who was sent and is neither accepted nor rejected yet, `superseded` about whom a later record decides.
    Of a removal `accepted` is whose removal the platform took, whether or not they were in, `removed` who was, null
    where it does not say, and of `other_identifiers_unknown` only what the removal names went. Of `accepted`
    `shared_unplaced` at most were refused after all, in a call with other batches of which the platform said no more.
    """

    in_log: int
    sent: int
    accepted: int
    rejected: int
    matched: int | None
    usable: int | None = None
    """How many of them a campaign could reach; no platform that is known says so of an upload."""
    open: int = 0
    removed: int | UnsetType | None = UNSET
    superseded: int | UnsetType = UNSET
    other_identifiers_unknown: int | UnsetType = UNSET
    shared_unplaced: int | UnsetType = UNSET


class ErrorDetail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The last error, in words of the vocabulary, with the platform's own code and request id."""

    code: str
    meaning: str
    remedy: str
    platform_code: str | None
    request_id: str | None


class ReplayStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a replay did with the same records."""

    replay_id: str
    state: TargetState
    users: UserCounts


class TargetStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far one account is.

    `reasons` counts rejected users, `repaired` values that were mended by `field: kind`, `dropped` values that users
    went out without by `field: reason`. `waits_for` is where the removal stands that it waits for, `shared_calls` has
    the ids of calls in which users of other batches went, too, a bounded list.
    """

    provider: str
    account: str | None
    state: TargetState
    users: UserCounts
    reasons: dict[str, int]
    repaired: dict[str, int]
    dropped: dict[str, int]
    attempts: int
    error: ErrorDetail | None
    finished_at: datetime | None
    seconds_to_go: float | None
    replays: list[ReplayStatus]
    waits_for: str | UnsetType = UNSET
    shared_calls: list[str] | UnsetType = UNSET


class BatchStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One batch: what was uploaded, and how far each account is with it."""

    batch_id: str
    name: str
    type: AudienceType
    session_id: str | None
    sequence: int | None
    total_batches: int | None
    total_users: int | None
    users: int
    parts: int
    parts_in_log: int
    accepted_at: datetime
    source: str | None
    verdict: str
    reason: str | None
    state: State
    targets: list[TargetStatus]
    mode: Mode = "add"
    is_home: bool | None = None
    """Whether its records stand where their order is that of their effects; None where that is not known."""


class BatchOfRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """One batch of a run, in short."""

    batch_id: str
    sequence: int
    users: int
    at: datetime
    mark: Mark | None
    state: State


class RunStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One pass through a session."""

    name: str
    type: AudienceType
    state: State
    started_at: datetime
    last_at: datetime
    total_batches: int | None
    total_users: int | None
    users: int
    missing: list[int]
    are_totals_right: bool
    batches: list[BatchOfRun]
    targets: list[TargetStatus]
    mode: Mode = "add"


class SessionStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """All runs under a session's id, the newest first."""

    session_id: str
    runs: list[RunStatus]


class SessionSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session in a list: its newest run, in short."""

    session_id: str
    name: str
    type: AudienceType
    state: State
    runs: int
    started_at: datetime
    last_at: datetime
    total_batches: int | None
    total_users: int | None
    users: int
    missing: list[int]
    targets: dict[str, TargetState]
    mode: Mode = "add"


class SessionPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Sessions, the newest first; `next` is the cursor of the following page."""

    sessions: list[SessionSummary]
    next: str | None


class BatchSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """A batch in a list, in short."""

    batch_id: str
    name: str
    type: AudienceType
    mode: Mode
    state: State
    accepted_at: datetime
    source: str | None
    verdict: str
    reason: str | None
    users: int
    parts: int
    parts_in_log: int
    targets: dict[str, TargetState]


class BatchPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Batches that no session tells, the newest first; `next` is the cursor of the following page."""

    batches: list[BatchSummary]
    next: str | None


class LossReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """Records that left the log before the account had read them."""

    partition: int
    first_offset: int
    end_offset: int
    records: int
    at: datetime


class AccountStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an account stands. `behind` counts what the log has yet to hand over, null where Kafka does not say.

    What waits for an open transaction is not handed over yet.
    """

    provider: str
    account: str | None
    state: Literal["running", "throttled", "blocked"]
    since: datetime | None
    until: datetime | None
    behind: int | None
    has_consumer: bool | None
    error: ErrorDetail | None
    lost: list[LossReport]


class TransactionStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """A publisher's transaction that is open in the log: what stands there from its offset on waits for its end."""

    partition: int
    offset: int
    since: datetime


class AccountPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Every account that is configured here, what all of them may wait for, and what is not told of any.

    `unread` counts receipts and completions that this node can't read, as of a newer version. `seconds_old` is how long
    ago Kafka was asked for `behind` and `has_consumer` of all accounts; all else is of now.
    """

    accounts: list[AccountStatus]
    open_transactions: list[TransactionStatus] = []
    unread: int = 0
    seconds_old: float | None = None


class UserRejection(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user that is rejected: by which account, its index in the request, the field, why, and what to do.

    `part` numbers the record of the batch that the user stands in, `sequence` the batch in its session.
    """

    batch_id: str
    part: int
    provider: str
    account: str | None
    replay_id: str | None
    index: int
    field: str | None
    reason: str
    remedy: str
    mode: Mode = "add"
    sequence: int | None = None


class RejectedPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Rejected users of a batch.

    `unlisted` counts those of all pages that completions have no room for, `next` is the following page's cursor.
    """

    batch_id: str
    rejected: list[UserRejection]
    unlisted: int
    next: str | None


class SessionRejectedPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Rejected users of the newest run of each audience under a session's id, as those of a batch."""

    session_id: str
    rejected: list[UserRejection]
    unlisted: int
    next: str | None
