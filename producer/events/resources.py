"""What events say: the status resources in short, without anything of a person."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from ledger.resources import BatchStatus, ErrorDetail, SessionSummary, State, TargetState
from producer.events.change_log import Reset
from schemas.records import AudienceType, Mode

Kind = Literal["session", "batch", "account", "loss", "change"]

SessionEvent = SessionSummary
"""A session is told as the list of sessions has it, so that a row can be replaced by it."""


class AccountOfBatch(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far one account is with a batch. `error` is a word of the vocabulary."""

    provider: str
    account: str | None
    state: TargetState
    sent: int
    accepted: int
    rejected: int
    error: str | None


class BatchEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a batch stands."""

    batch_id: str
    session_id: str | None
    sequence: int | None
    name: str
    type: AudienceType
    mode: Mode
    users: int
    accepted_at: datetime
    verdict: str
    state: State
    targets: list[AccountOfBatch]


class AccountEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an account stands, as `/audience/accounts` has it."""

    provider: str
    account: str | None
    state: Literal["running", "throttled", "blocked"]
    since: datetime | None
    until: datetime | None
    behind: int | None
    has_consumer: bool | None
    error: ErrorDetail | None


class LossEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """Records left the log before an account had read them."""

    provider: str
    account: str | None
    partition: int
    first_offset: int
    end_offset: int
    records: int
    at: datetime


class ChangeEvent(Struct, frozen=True):
    """Something changed, whatever it is: for who asks for all it shows anew. Nothing is read to tell it."""


class ResetEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """Changes may be missing before this: ask anew how all stands, and go on from here."""

    reason: Reset


def batch_event(batch: BatchStatus) -> BatchEvent:
    """Return a batch in short."""
    return BatchEvent(
        batch_id=batch.batch_id,
        session_id=batch.session_id,
        sequence=batch.sequence,
        name=batch.name,
        type=batch.type,
        mode=batch.mode,
        users=batch.users,
        accepted_at=batch.accepted_at,
        verdict=batch.verdict,
        state=batch.state,
        targets=[
            AccountOfBatch(
                provider=target.provider,
                account=target.account,
                state=target.state,
                sent=target.users.sent,
                accepted=target.users.accepted,
                rejected=target.users.rejected,
                error=target.error.code if target.error else None,
            )
            for target in batch.targets
        ],
    )
