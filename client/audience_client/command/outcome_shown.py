"""What became of an upload, for people as a table and for programs as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audience_client.command.mapping_shown import counted
from audience_client.command.text_table import printable, table
from audience_client.upload.engine import Uploaded
from audience_client.upload.outcome import Outcome, PlatformOutcome
from audience_client.upload.rejected_rows import RejectedRows

COLUMNS = ("platform", "state", "in the log", "accepted", "rejected", "matched")
MOST_REASONS = 5


def sent_line(uploaded: Uploaded) -> str:
    """Return that all of a file is in the log, and under which session."""
    plan = uploaded.plan
    again = f"; {counted(uploaded.stood, 'batch')} of it stood there before" if uploaded.stood else ""
    return (
        f"{uploaded.prepared.table.name}: {counted(plan.total_users, 'user')} in "
        f"{counted(plan.total_batches, 'batch')} {'is' if plan.total_users == 1 else 'are'} in the log, "
        f"session {uploaded.session_id}{again}"
    )


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """Yield a row for each platform, then why users were rejected and what is wrong with an account."""
    if not outcome.platforms:
        yield f"{outcome.state}: no account takes this audience"
        return
    yield from table([COLUMNS, *map(_cells, outcome.platforms)])
    for one in outcome.platforms:
        yield from (f"{one.account}: {line}" for line in _words(one))
    if outcome.unreached:
        yield f"{counted(outcome.unreached, 'batch')} reached no account, as none is configured for them"
    if not outcome.is_over:
        yield "It is not over: this is how far it is."


def rejected_line(place: str, rejected: RejectedRows) -> str:
    """Return how many rows were written to be corrected, and how many could not."""
    if not rejected.users and not rejected.unlisted:
        return f"{place}: not written, as nobody was rejected"
    unlisted = f"; {rejected.unlisted:,} more rejections are listed nowhere" if rejected.unlisted else ""
    return f"{place}: {counted(rejected.users, 'user')} to be corrected and uploaded again{unlisted}"


def outcome_object(uploaded: Uploaded, outcome: Outcome | None, rejected: RejectedRows | None) -> dict[str, Any]:
    """Return the same for a program; what was not waited for is null."""
    plan = uploaded.plan
    return {
        "file": printable(uploaded.prepared.table.name),
        "sessionId": uploaded.session_id,
        "users": plan.total_users,
        "batches": plan.total_batches,
        "notConsented": uploaded.prepared.counted.not_consented,
        "closingRows": uploaded.prepared.counted.closing_rows,
        "state": outcome and outcome.state,
        "platforms": outcome and [_object(one) for one in outcome.platforms],
        "isOver": outcome and outcome.is_over,
        "rejectedRows": rejected and rejected.users,
        "unlisted": rejected and rejected.unlisted,
    }


def _object(one: PlatformOutcome) -> dict[str, Any]:
    return {
        "account": one.account,
        "state": one.state,
        "inLog": one.in_log,
        "accepted": one.accepted,
        "rejected": one.rejected,
        "matched": one.matched,
        "open": one.open,
        "reasons": dict(one.reasons),
        "dropped": dict(one.dropped),
        "error": one.error,
    }


def _cells(one: PlatformOutcome) -> Sequence[str]:
    counts = (one.in_log, one.accepted, one.rejected, one.matched)
    return [one.account, one.state, *("-" if count is None else f"{count:,}" for count in counts)]


def _words(one: PlatformOutcome) -> Iterator[str]:
    if one.reasons:
        yield f"rejected {_listed(one.reasons)}"
    if one.dropped:
        yield f"sent without values that can't be read: {_listed(one.dropped)}"
    if one.open:
        yield f"{one.open:,} open: those that the platform refuses are still being looked for"
    if one.error:
        yield one.error


def _listed(reasons: Mapping[str, int]) -> str:
    """Return the most frequent reasons, each with the users that it is of."""
    found = sorted(reasons.items(), key=lambda reason: -reason[1])
    listed = ", ".join(f"{reason} ({count:,})" for reason, count in found[:MOST_REASONS])
    return f"{listed} and {len(found) - MOST_REASONS} more" if len(found) > MOST_REASONS else listed
