"""The ladder of an account, from who was uploaded to who was matched, as steps of a funnel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.resources import TargetStatus
from schemas.error_words import VOCABULARY
from schemas.records import Mode
from schemas.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: how many users came so far; None where nobody says."""

    name: str
    label: str
    users: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why users were rejected, how many, what that means and what to do."""

    field: str
    word: str
    users: int
    meaning: str
    remedy: str


def ladder(uploaded: int, status: TargetStatus, mode: Mode) -> list[Step]:
    """Return the steps of an account; of a removal the last is who was in the audience before."""
    users = status.users
    last = (
        Step(name="removed", label="Removed", users=users.removed if isinstance(users.removed, int) else None)
        if mode == "remove"
        else Step(name="matched", label="Matched", users=users.matched)
    )
    return [
        Step(name="uploaded", label="Accepted", users=uploaded),
        Step(name="in_log", label="In the log", users=users.in_log),
        Step(name="sent", label="Sent", users=users.sent),
        Step(name="accepted", label="Taken", users=users.accepted),
        last,
    ]


def widest(steps: Sequence[Step]) -> int:
    """Return of how many users the widest step is; one at least, so that it can be divided by."""
    return max([step.users or 0 for step in steps] + [1])


def reasons(status: TargetStatus) -> list[Reason]:
    """Return why users were rejected, the most frequent first."""
    counted = sorted(status.reasons.items(), key=lambda item: (-item[1], item[0]))
    return list(_explained(counted))


def _explained(counted: Sequence[tuple[str, int]]) -> Iterator[Reason]:
    for text, users in counted:
        field, _, word = text.rpartition(": ")
        known = VOCABULARY.get(word)
        yield Reason(
            field=field,
            word=word,
            users=users,
            meaning=known.meaning if known else "",
            remedy=known.remedy if known else "",
        )


def progress(statuses: Sequence[TargetStatus]) -> tuple[int, int]:
    """Return how many users are through of how many, over all accounts; who is skipped has none to come."""
    meant = [status for status in statuses if status.state != "skipped"]
    through = sum(min(status.users.in_log, _through(status)) for status in meant)
    return through, sum(status.users.in_log for status in meant)


def _through(status: TargetStatus) -> int:
    superseded = status.users.superseded if isinstance(status.users.superseded, int) else 0
    if status.state in ("delivered", "partial", "failed"):
        return status.users.in_log
    return status.users.accepted + status.users.rejected + superseded


def blocked(statuses: Sequence[TargetStatus]) -> list[str]:
    """Return the names of the accounts that wait for somebody."""
    return [str(Target(one.provider, one.account or "")) for one in statuses if one.state == "blocked"]


def seconds_to_go(statuses: Sequence[TargetStatus]) -> float | None:
    """Return how long the slowest account takes, None where none says."""
    return max((status.seconds_to_go for status in statuses if status.seconds_to_go is not None), default=None)
