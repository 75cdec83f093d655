"""The records of the topics as types; each mirrors the `.avsc` of its name."""

import re
from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas.bounds import MAX_TEXT, Int

AudienceType = Literal["custom", "primary"]
Verdict = Literal["valid", "invalid", "undecodable"]
Status = Literal["retrying", "delivered", "partial", "failed", "skipped"]
Mode = Literal["add", "remove"]

Text = Annotated[str, Meta(max_length=MAX_TEXT)]

RESUMED = "http/resumed"
"""Source of a batch that is of its session's newest run, however long ago that was."""

LIVE = "live"
"""What completions call a delivery that is no replay."""

TERMINAL: frozenset[Status] = frozenset({"delivered", "partial", "failed", "skipped"})


class Purchase(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a customer spent, in units of the currency."""

    currency: Text | None = None
    profit: float | None = None
    total_7_days: float | None = field(default=None, name="total7Days")


class AudienceUser(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """One customer, as uploaded: nothing is normalised before a provider does it by its platform's rules."""

    edge_tag_id: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    country: Text | None = None
    postal_code: Text | None = None
    purchase: Purchase | None = None


class AudienceBatch(Struct, frozen=True, kw_only=True, rename="camel"):
    """A batch of users for one audience; one part of a request.

    Its mode is no field of a schema: who is to be taken out stands in an AudienceRemoval, of the same fields.
    """

    batch_id: str
    content_hash: bytes | None = None
    part: Int = 1
    parts: Int = 1
    first_index: int = 0
    session_id: str | None = None
    sequence: int | None = None
    total_batches: int | None = None
    total_users: int | None = None
    pull_date: date | None = None
    name: str
    type: AudienceType = "custom"
    disable_prefix: bool = False
    channels: list[str] | None = None
    accepted_at: datetime | None = None
    users: list[AudienceUser]
    mode: Mode = "add"

    @property
    def key(self) -> str:
        """Key of the record on the log; one audience stays in one partition."""
        return f"{self.type}:{self.name}"


class Origin(Struct, frozen=True, kw_only=True, order=True):
    """Where a record stands in the log."""

    topic: str
    partition: Int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


_ORIGIN = re.compile(r"([A-Za-z0-9._-]{1,249})-([0-9]{1,10})@([0-9]{1,19})")


def parse_origin(text: str) -> Origin | None:
    """Return the place that `str(origin)` says, None where a text says none."""
    match = _ORIGIN.fullmatch(text)
    partition, offset = (int(match[2]), int(match[3])) if match else (-1, -1)
    if match is None or partition >= 2**31 or offset >= 2**63:
        return None
    return Origin(topic=match[1], partition=partition, offset=offset)


def is_of_log(named: str | None, log_id: str | None) -> bool:
    """Tell whether offsets that were noted in the log with the id `named` count in the log with the id `log_id`.

    They do where the ids are the same, or one of them is not known. A topic that is made anew has another id, and
    begins with offset 0 once more.
    """
    return named is None or log_id is None or named == log_id


class Counts(Struct, frozen=True, kw_only=True):
    """Users of a record; `matched` and `removed` are None where the platform does not say.

    `open` are those who are neither in nor out yet, `superseded` those about whom a later record decides.
    """

    received: int = 0
    accepted: int = 0
    rejected: int = 0
    matched: int | None = None
    open: int = 0
    removed: int | None = None
    superseded: int = 0
    other_identifiers_unknown: int = field(default=0, name="otherIdentifiersUnknown")


class RejectedUser(Struct, frozen=True, kw_only=True):
    """Why one user was rejected: the index in the request, the field, a word of the vocabulary."""

    index: int
    field: str | None = None
    reason: str


class BatchCompletion(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one provider account did with one record of the log.

    `shared_calls` carried rows of other records, too. Of such calls the platform refused `shared_unplaced` rows without
    saying which, so that nobody knows whose they were: they count as accepted.
    """

    batch_id: str | None = None
    part: Int | None = None
    parts: Int | None = None
    origin: Origin
    delivery: str = LIVE
    session_id: str | None = None
    sequence: int | None = None
    provider: str
    account: str | None = None
    status: Status
    counts: Counts = Counts()
    rejected_users: list[RejectedUser] = []
    rejected_reasons: dict[str, int] = {}
    repaired: dict[str, int] = {}
    dropped: dict[str, int] = {}
    error_code: str | None = None
    platform_code: str | None = None
    request_id: str | None = None
    audience_id: str | None = None
    request_ids: list[str] = []
    attempts: Int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    log_id: str | None = None
    mode: Mode = "add"
    waits_for: int | None = None
    shared_calls: list[str] = []
    shared_unplaced: int = 0

    @property
    def key(self) -> str:
        """Key of the record on the completions topic."""
        return self.batch_id or str(self.origin)


class BatchReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the ledger knows of one record of the log; of an undecodable one only its origin and time."""

    batch_id: str | None = None
    part: Int | None = None
    parts: Int | None = None
    session_id: str | None = None
    sequence: int | None = None
    total_batches: int | None = None
    total_users: int | None = None
    name: str | None = None
    type: AudienceType | None = None
    disable_prefix: bool | None = None
    channels: list[str] | None = None
    users: int = 0
    content_hash: bytes | None = None
    source: str | None = None
    origin: Origin
    timestamp: datetime
    verdict: Verdict
    reason: str | None = None
    log_id: str | None = None
    mode: Mode = "add"
    is_home: bool | None = None

    @property
    def key(self) -> str:
        """Key of the record on the receipts topic: that of the audience."""
        return f"{self.type}:{self.name}" if self.name is not None else str(self.origin)


class Claim(Struct, frozen=True, kw_only=True, rename="camel"):
    """Right to create an audience, for as long as from the entry's `written_at` to `expires_at`."""

    nonce: str
    expires_at: datetime


class DirectoryEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which audience of a platform bears a name: its id, or a claim of a process that is about to create it.

    With both, the audience with this id is gone, and the claim is for its successor.
    """

    provider: str
    host: str
    platform_account_id: str
    platform_name: str
    type: AudienceType
    audience_id: str | None = None
    claim: Claim | None = None
    written_at: datetime


class AccountState(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an account stands: a throttle ends by itself, a block is probed and may wait for a person."""

    provider: str
    account: str | None = None
    state: Literal["running", "throttled", "blocked"]
    until: datetime | None = None
    error_code: str | None = None
    platform_code: str | None = None
    request_id: str | None = None
    operation: str | None = None
    changed_at: datetime


class AccountLoss(Struct, frozen=True, kw_only=True, rename="camel"):
    """Records that left the log before an account had read them: the offsets from `first_offset` to `end_offset`."""

    provider: str
    account: str | None = None
    partition: Int
    first_offset: int
    end_offset: int
    records: int
    reported_at: datetime


class Span(Struct, frozen=True, kw_only=True, order=True):
    """Neighbouring users of a request, by the index of the first one."""

    first: int
    count: int


class Progress(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the platform did with a record in the tries so far; the users in the `open` spans are yet to be sent.

    Users who make no row are not counted here, as each try finds them again.
    """

    open: list[Span] = []
    step: int = 0
    accepted: int = 0
    matched: int | None = None
    rejected_users: list[RejectedUser] = []
    rejected_reasons: dict[str, int] = {}
    request_ids: list[str] = []
    shared_calls: list[str] = []
    shared_unplaced: int = 0


class RetryPointer(Struct, frozen=True, kw_only=True, rename="camel"):
    """A record of the log that a group tries again later; `waited` is in milliseconds."""

    origin: Origin
    attempt: Int
    not_before: datetime
    first_attempt_at: datetime
    first_failure: str
    first_platform_code: str | None = None
    waited: int = 0
    progress: Progress | None = None
    log_id: str | None = None
    mode: Mode = "add"
    may_take_effect_until: datetime | None = None
    waits_for: int | None = None


class OpenRemoval(Struct, frozen=True, kw_only=True, rename="camel"):
    """A removal that an account tries again later, for which later records of its audience wait."""

    provider: str
    account: str | None = None
    origin: Origin
    log_id: str | None = None
    audience: str
    written_at: datetime


class PlatformJob(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job that a platform has taken and not ended: its effect is still to come."""

    provider: str
    account: str | None = None
    job_id: str
    audience: str
    origin: Origin
    log_id: str | None = None
    started_at: datetime


class RemovedAudience(Struct, frozen=True, kw_only=True, rename="camel"):
    """That people were removed from an audience, by its name at the platform, from an offset of a partition on."""

    provider: str
    account: str | None = None
    audience: str
    partition: Int
    first_offset: int
    log_id: str | None = None
    key_id: str
    written_at: datetime


class RemovalReader(Struct, frozen=True, kw_only=True, rename="camel"):
    """That a reader of the log, an account or the ledger, can read removals."""

    reader: str
    written_at: datetime


class LogCreation(Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of partitions that the log had when it was first seen."""

    topic: str
    log_id: str | None = None
    partitions: Int
    written_at: datetime


class AccountRegistration(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the group of an account starts in the log: an offset for each partition."""

    provider: str
    account: str | None = None
    first_offsets: list[int]
    registered_at: datetime
    log_id: str | None = None

    def first_offset(self, partition: int, log_id: str | None = None) -> int:
        """First offset of the group in the log with this id.

        What came later is read from its beginning: a partition that was added, a log that was made anew.
        """
        is_known = partition < len(self.first_offsets) and is_of_log(self.log_id, log_id)
        return self.first_offsets[partition] if is_known else 0
