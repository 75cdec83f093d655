"""What became of an upload at each platform."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from audience_client.http.async_client import AsyncServerClient
from audience_client.http.calls import Which
from audience_client.http.statuses import RunStatus, SessionStatus, TargetStatus
from audience_client.upload.engine import Uploaded

DONE = frozenset({"delivered", "partial", "skipped"})
"""States of an account that took what it could use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOutcome:
    """One line of the table: an account, and what it did with the users."""

    account: str
    """Such as `facebook` or `facebook/eu`."""

    state: str
    in_log: int
    accepted: int
    rejected: int
    matched: int | None
    """None where the platform does not say."""

    open: int
    reasons: Mapping[str, int]
    """`field: reason`, and how many users."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """`field: reason`, and of how many users that were taken such a value was left out."""

    error: str | None = None
    """What is wrong with the account, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An upload as a whole; `is_over` says whether nothing more will come."""

    state: str
    is_over: bool
    platforms: tuple[PlatformOutcome, ...]
    unreached: int = 0
    """Batches that reached no account."""

    @property
    def is_success(self) -> bool:
        """Tell whether each platform took what it could use; users that are not usable are no failure."""
        is_taken = all(platform.state in DONE and not platform.open for platform in self.platforms)
        return self.is_over and self.state in DONE and not self.unreached and is_taken


OnOutcome = Callable[[Outcome], None]


async def wait_for_outcome(
    uploaded: Uploaded, client: AsyncServerClient, *, timeout: float | None = None, on_outcome: OnOutcome | None = None
) -> Outcome:
    """Return when each platform is through, or what is known after `timeout` seconds.

    `on_outcome` is called with what is known meanwhile.
    """
    state = uploaded.state

    def report(status: SessionStatus) -> None:
        if on_outcome is not None:
            on_outcome(_outcome(status))

    which = Which(name=state.name, type=state.type, mode=state.mode)
    return _outcome(await client.wait(uploaded.session_id, timeout=timeout, on_status=report, **which))


def _outcome(status: SessionStatus) -> Outcome:
    run = status.runs[0]
    return Outcome(
        state=run.state,
        is_over=run.is_over,
        platforms=tuple(map(_platform, run.targets)),
        unreached=_unreached(run),
    )


def _unreached(run: RunStatus) -> int:
    return sum(batch.state == "nobody" for batch in run.batches)


def _platform(target: TargetStatus) -> PlatformOutcome:
    users = target.users
    return PlatformOutcome(
        account=account_name(target.provider, target.account),
        state=target.state,
        in_log=users.in_log,
        accepted=users.accepted,
        rejected=users.rejected,
        matched=users.matched,
        open=users.open,
        reasons=target.reasons,
        dropped=target.dropped,
        error=f"{target.error.meaning} {target.error.remedy}" if target.error else None,
    )


def account_name(provider: str, account: str | None) -> str:
    """Return an account's name as `channels` takes it."""
    return provider if account is None else f"{provider}/{account}"
