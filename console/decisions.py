"""The log of decisions: what the topics tell of states, retries, ends, losses and replays, the newest first; pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from console.formats import number
from ledger.recent_ends import RecentEnd
from schemas.records import AccountLoss, AccountState
from schemas.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line: when, whose, what kind it is, what was decided, and of which session."""

    at: datetime
    account: str
    kind: str
    state: str
    text: str
    session_id: str | None = None
    name: str | None = None


def decisions(
    ends: Iterable[RecentEnd], states: Iterable[AccountState], losses: Iterable[AccountLoss], most: int
) -> list[Decision]:
    """Return so many decisions."""
    found = [*_of_ends(ends), *map(_of_state, states), *map(_of_loss, losses)]
    return sorted(found, key=lambda one: one.at, reverse=True)[:most]


def _of_ends(ends: Iterable[RecentEnd]) -> Iterator[Decision]:
    for end in ends:
        if end.at is None:
            continue
        is_replay = end.delivery != "live"
        yield Decision(
            at=end.at,
            account=end.target,
            kind="replay" if is_replay else "retry" if end.status == "retrying" else "end",
            state=end.status,
            text=_end_text(end),
            session_id=end.session_id,
            name=end.name,
        )


def _end_text(end: RecentEnd) -> str:
    counts = f"{number(end.accepted)} of {number(end.received)} users taken"
    rejected = f", {number(end.rejected)} rejected" if end.rejected else ""
    error = f"; {end.error_code}" if end.error_code else ""
    tries = f"; {end.attempts} attempts" if end.attempts > 1 else ""
    return f"{counts}{rejected}{error}{tries}"


def _of_state(state: AccountState) -> Decision:
    error = f": {state.error_code}" if state.error_code else ""
    return Decision(
        at=state.changed_at,
        account=str(Target(state.provider, state.account or "")),
        kind="state",
        state=state.state,
        text=f"The account is {state.state}{error}",
    )


def _of_loss(loss: AccountLoss) -> Decision:
    return Decision(
        at=loss.reported_at,
        account=str(Target(loss.provider, loss.account or "")),
        kind="loss",
        state="failed",
        text=f"{number(loss.records)} records of partition {loss.partition} left the log before they were read",
    )
