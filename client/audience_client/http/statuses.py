"""What the server says of batches, sessions and accounts; words and members of newer servers are taken, too.

docs/status.md says what each means.
"""

from datetime import datetime

from msgspec import Struct

TERMINAL = frozenset({"delivered", "partial", "failed", "nobody"})
"""States of a batch or a run in which nothing more will come."""


class UserCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many users stand in the log, were sent, accepted, matched, are usable; None where nobody says."""

    in_log: int
    sent: int
    accepted: int
    rejected: int
    matched: int | None
    usable: int | None = None
    open: int = 0
    removed: int | None = None
    superseded: int = 0
    other_identifiers_unknown: int = 0
    shared_unplaced: int = 0


class ErrorDetail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The last error of an account, what it means and what to do."""

    code: str
    meaning: str
    remedy: str
    platform_code: str | None = None
    request_id: str | None = None


class ReplayReference(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a replay did with the same records."""

    replay_id: str
    state: str
    users: UserCounts


class TargetStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far one account is. `reasons` counts rejected users by `field: reason`."""

    provider: str
    account: str | None
    state: str
    users: UserCounts
    reasons: dict[str, int] = {}
    repaired: dict[str, int] = {}
    dropped: dict[str, int] = {}
    attempts: int = 0
    error: ErrorDetail | None = None
    finished_at: datetime | None = None
    seconds_to_go: float | None = None
    replays: list[ReplayReference] = []
    waits_for: str | None = None
    shared_calls: list[str] = []


class BatchStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One batch: what was uploaded, and how far each account is with it."""

    batch_id: str
    name: str
    type: str
    session_id: str | None
    sequence: int | None
    total_batches: int | None
    total_users: int | None
    users: int
    parts: int
    parts_in_log: int
    accepted_at: datetime
    state: str
    targets: list[TargetStatus]
    source: str | None = None
    verdict: str | None = None
    reason: str | None = None
    mode: str = "add"
    is_home: bool | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in TERMINAL


class BatchOfRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """One batch of a run; `mark` says that it is repeated, late or contradictory."""

    batch_id: str
    sequence: int
    users: int
    at: datetime
    mark: str | None
    state: str


class RunStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One pass through a session; `missing` are the first hundred of its sequences that did not come."""

    name: str
    type: str
    state: str
    started_at: datetime
    last_at: datetime
    total_batches: int | None
    total_users: int | None
    users: int
    missing: list[int]
    batches: list[BatchOfRun]
    targets: list[TargetStatus]
    are_totals_right: bool = True
    mode: str = "add"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in TERMINAL


class SessionStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """The runs of a session, the newest first; there is at least one."""

    session_id: str
    runs: list[RunStatus]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of the newest run."""
        return self.runs[0].is_over


class SessionSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session in a list: its newest run, in short."""

    session_id: str
    name: str
    type: str
    state: str
    runs: int
    started_at: datetime
    last_at: datetime
    total_batches: int | None
    total_users: int | None
    users: int
    missing: list[int] = []
    targets: dict[str, str] = {}
    mode: str = "add"


class SessionPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Sessions, the newest first; `next` is the cursor of the following page."""

    sessions: list[SessionSummary]
    next: str | None = None


class Rejection(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user that an account rejected: `index` counts from 0 in its batch; never a value.

    `sequence` is that of the batch, None where the server does not say it. `replay_id` names the replay that had it.
    """

    batch_id: str
    provider: str
    account: str | None
    index: int
    field: str | None
    reason: str
    remedy: str
    sequence: int | None = None
    part: int | None = None
    replay_id: str | None = None
    mode: str = "add"


class RejectedPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Rejected users; `unlisted` counts those of all pages for which the records had no room."""

    rejected: list[Rejection]
    session_id: str | None = None
    unlisted: int = 0
    next: str | None = None


class AccountLoss(Struct, frozen=True, kw_only=True, rename="camel"):
    """Records that left the log before the account had read them."""

    partition: int
    first_offset: int
    end_offset: int
    records: int
    at: datetime


class AccountStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an account stands; `behind` counts records that it has yet to read."""

    provider: str
    account: str | None
    state: str
    since: datetime | None = None
    until: datetime | None = None
    behind: int | None = None
    has_consumer: bool | None = None
    error: ErrorDetail | None = None
    lost: list[AccountLoss] = []


class OpenTransaction(Struct, frozen=True, kw_only=True, rename="camel"):
    """A publisher's transaction that is open in the log; what stands behind it waits."""

    partition: int
    offset: int
    since: datetime


class AccountPage(Struct, frozen=True, kw_only=True, rename="camel"):
    """Every account of the server, and what all of them may wait for.

    `seconds_old` is how long ago the server asked Kafka for `behind` and `has_consumer`, None of an earlier version.
    """

    accounts: list[AccountStatus]
    open_transactions: list[OpenTransaction] = []
    unread: int = 0
    seconds_old: float | None = None
