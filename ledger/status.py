"""What became of batches and sessions, as the status endpoints tell it: pure functions over the view's rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from shlex import quote

from msgspec import UNSET, UnsetType, structs

from ledger.final_outcomes import LONG_AGO, added_up, counted, last_words
from ledger.resources import (
    AccountStatus,
    BatchOfRun,
    BatchStatus,
    BatchSummary,
    ErrorDetail,
    LossReport,
    ReplayStatus,
    RunStatus,
    State,
    TargetState,
    TargetStatus,
    UserCounts,
)
from ledger.session_runs import Run
from ledger.states.rule import WORST, state_of_run, state_of_states, target_state
from ledger.view import EndRow, RecordRow, SessionKey
from schemas.error_words import VOCABULARY
from schemas.records import AccountLoss, AccountState
from schemas.target import Target
from streams.cluster.open_transactions import OpenTransaction

BY_PLATFORM = frozenset({"refused_by_platform", "not_isolated"})
"""Reasons by which users are rejected that were sent; all others keep a user from being sent."""

NO_IDENTIFIER = frozenset(
    {"no_identifier", "not_an_email", "not_a_phone", "damaged_number", "damaged_text", "hash_of_nothing"}
    | {"other_hash", "placeholder", "not_a_country", "no_letters", "hashed", "too_long"}
)
"""Reasons by which a user has nothing that the platform knows people by, so that nobody can be removed there."""

WAITING = frozenset({"", "Wait.", "Nothing."})
"""Remedies of what is tried again by itself, which do not help once it is given up."""

TRANSACTION_OPEN = "transaction_open"

REPLAY = "audience replay "

MOST_CALLS = 10
"""Calls shared with other batches that are named."""

StateOf = Callable[[Target], AccountState | None]


def target_of(status: TargetStatus) -> Target:
    """Return the account that a status is of."""
    return Target(status.provider, status.account or "")


def is_in_progress(status: TargetStatus) -> bool:
    """Tell whether an account will go on with its records, as far as is known, and nothing holds it up."""
    is_held = status.error is not None and status.error.code == TRANSACTION_OPEN
    return status.state in ("waiting", "retrying") and not is_held


def latest_in_progress(batches: Iterable[BatchStatus], times: Mapping[str, datetime]) -> dict[Target, datetime]:
    """Return of each account when the last batch was appended that it is under way with, by times of batch ids."""
    latest: dict[Target, datetime] = {}
    for batch in batches:
        for target in filter(is_in_progress, batch.targets):
            latest[target_of(target)] = max(latest.get(target_of(target), LONG_AGO), times[batch.batch_id])
    return latest


def target_status(
    target: Target, records: Sequence[RecordRow], ends: Iterable[EndRow], state_of: StateOf
) -> TargetStatus:
    """Return how far an account is with records, all of which are meant for it, by the last word on each."""
    name = str(target)
    mine = [end for end in ends if end.target == name]
    final = [word.end for word in last_words(mine)]
    account = state_of(target)
    block = account if account is not None and account.state == "blocked" else None
    state = target_state(counted(final), len(records), is_blocked=block is not None)
    reasons = added_up(end.reasons for end in final)
    return TargetStatus(
        provider=target.provider,
        account=target.account or None,
        state=state,
        users=_counts(records, final, reasons),
        reasons=reasons,
        repaired=added_up(end.repaired for end in final),
        dropped=added_up(end.dropped for end in final),
        attempts=max((end.attempts for end in final), default=0),
        error=_error_of(state, final, block, records[0].batch_id, target),
        finished_at=_finished(final, len(records)),
        seconds_to_go=None,
        replays=_replays(records, mine),
        waits_for=_waits_for(final) if state in ("waiting", "retrying", "blocked") else UNSET,
        shared_calls=shared_calls(call for end in final for call in end.shared_calls) or UNSET,
    )


def _waits_for(ends: Iterable[EndRow]) -> str | UnsetType:
    """Return where the last removal stands that is waited for."""
    origins = [end.waits_for for end in ends if end.status == "retrying" and end.waits_for is not None]
    return str(max(origins)) if origins else UNSET


def shared_calls(ids: Iterable[str]) -> list[str]:
    """Return the first ids, each once."""
    return list(dict.fromkeys(ids))[:MOST_CALLS]


def shared_unplaced(ends: Iterable[EndRow]) -> int:
    """Return how many accepted users may be refused ones, at most: of shared calls platforms may say no more."""
    return sum(min(end.shared_unplaced, end.accepted) for end in ends)


def held_up(status: TargetStatus, by: OpenTransaction) -> TargetStatus:
    """Return the status of an account that can't be handed the records before a publisher's transaction ends."""
    word = VOCABULARY[TRANSACTION_OPEN]
    meaning = f"{word.meaning} It began at {by.origin}, {by.since.isoformat(timespec='seconds')}."
    error = ErrorDetail(code=TRANSACTION_OPEN, meaning=meaning, remedy=word.remedy, platform_code=None, request_id=None)
    return structs.replace(status, error=error)


def _error_of(
    state: TargetState, ends: Iterable[EndRow], block: AccountState | None, batch_id: str, target: Target
) -> ErrorDetail | None:
    """Return what blocks the account or went wrong; of what is given up the remedy says how it is sent again."""
    error = _error(ends, block if state == "blocked" else None)
    if error is None or state != "failed" or not _may_be_sent_again(error.code):
        return error
    first = "Send it again: " if error.remedy in WAITING else f"{error.remedy} Then send it again: "
    return structs.replace(error, remedy=f"{first}{REPLAY}--batch {batch_id} --provider {target} --only failed")


def _may_be_sent_again(code: str) -> bool:
    """Whether the same may go through when somebody has seen to it, or after a while."""
    word = VOCABULARY.get(code)
    return word is None or word.action != "reject" or word.scope == "audience" or code == "bug"


def _counts(records: Sequence[RecordRow], ends: Sequence[EndRow], reasons: Mapping[str, int]) -> UserCounts:
    accepted = sum(end.accepted for end in ends)
    by_platform = sum(count for reason, count in reasons.items() if reason.rpartition(": ")[2] in BY_PLATFORM)
    matched = [end.matched for end in ends if end.matched is not None]
    is_open = sum(end.open for end in ends)
    removes, superseded = any(record.mode == "remove" for record in records), sum(end.superseded for end in ends)
    removed = [end.removed for end in ends if end.removed is not None]
    return UserCounts(
        in_log=sum(record.users for record in records),
        sent=accepted + by_platform + is_open,
        accepted=accepted,
        rejected=sum(end.rejected for end in ends),
        matched=sum(matched) if matched else None,
        open=is_open,
        removed=(sum(removed) if removed else None) if removes else UNSET,
        superseded=superseded if removes or superseded else UNSET,
        other_identifiers_unknown=sum(end.other_identifiers_unknown for end in ends) if removes else UNSET,
        shared_unplaced=shared_unplaced(ends) or UNSET,
    )


def with_identifier(reasons: Mapping[str, int]) -> int:
    """Return how many of those who were rejected for these reasons the platform could have known."""
    return sum(count for reason, count in reasons.items() if reason.rpartition(": ")[2] not in NO_IDENTIFIER)


def _error(ends: Iterable[EndRow], block: AccountState | None) -> ErrorDetail | None:
    """Return what blocks the account, else the error of a failure, else of what is tried again."""
    failures = sorted((end for end in ends if end.error_code), key=lambda end: end.status != "failed")
    found: AccountState | EndRow | None = block or (failures[0] if failures else None)
    if found is None or found.error_code is None:
        return None
    word = VOCABULARY.get(found.error_code)
    return ErrorDetail(
        code=found.error_code,
        meaning=word.meaning if word else "",
        remedy=word.remedy if word else "",
        platform_code=found.platform_code,
        request_id=found.request_id,
    )


def account_status(
    target: Target,
    state: AccountState | None,
    losses: Iterable[AccountLoss],
    now: datetime,
    *,
    behind: int | None,
    has_consumer: bool | None,
) -> AccountStatus:
    """Return how an account stands; a throttle that is over is none. The error of one that runs is a warning."""
    is_over = state is not None and state.state == "throttled" and (state.until is None or state.until <= now)
    word = "running" if state is None or is_over else state.state
    return AccountStatus(
        provider=target.provider,
        account=target.account or None,
        state=word,
        since=state.changed_at if state else None,
        until=state.until if state and word == "throttled" else None,
        behind=behind,
        has_consumer=has_consumer,
        error=_error((), state) if state and not is_over else None,
        lost=[
            LossReport(
                partition=loss.partition,
                first_offset=loss.first_offset,
                end_offset=loss.end_offset,
                records=loss.records,
                at=loss.reported_at,
            )
            for loss in losses
        ],
    )


def _finished(ends: Sequence[EndRow], records: int) -> datetime | None:
    over = [end.finished_at for end in ends if end.status != "retrying" and end.finished_at]
    return max(over) if over and len(over) == records else None


def _replays(records: Sequence[RecordRow], ends: Iterable[EndRow]) -> list[ReplayStatus]:
    by_id: dict[str, list[EndRow]] = {}
    for end in ends:
        if end.delivery != "live":
            by_id.setdefault(end.delivery, []).append(end)
    origins = {record.origin: record for record in records}
    return [
        ReplayStatus(
            replay_id=replay_id,
            state=target_state(counted(some), len(some), is_blocked=False),
            users=_counts(
                [origins[end.origin] for end in some if end.origin in origins],
                some,
                added_up(end.reasons for end in some),
            ),
        )
        for replay_id, some in by_id.items()
    ]


def state_of_targets(targets: Sequence[TargetStatus]) -> State:
    """Return one word for all accounts, see `state_of_states`."""
    return state_of_states([target.state for target in targets])


def batch_status(
    records: Sequence[RecordRow],
    targets: Sequence[Target],
    status_of: Callable[[Target, Sequence[RecordRow]], TargetStatus],
) -> BatchStatus:
    """Return the status of a batch from its records, which are at least one."""
    first = records[0]
    statuses = [status_of(target, records) for target in meant(targets, first)] if first.verdict == "valid" else []
    parts_in_log = len({record.part for record in records})
    state: State = "failed" if first.verdict != "valid" else state_of_targets(statuses)
    return BatchStatus(
        batch_id=first.batch_id,
        name=first.name,
        type=first.type,
        session_id=first.session_id,
        sequence=first.sequence,
        total_batches=first.total_batches,
        total_users=first.total_users,
        users=sum({record.part: record.users for record in records}.values()),
        parts=first.parts,
        parts_in_log=parts_in_log,
        accepted_at=first.at,
        source=first.source,
        verdict=first.verdict,
        reason=first.reason,
        state="incomplete" if first.verdict == "valid" and parts_in_log < first.parts else state,
        targets=statuses,
        mode=first.mode,
        is_home=_are_home(records),
    )


def batch_summary(status: BatchStatus) -> BatchSummary:
    """Return a batch in short."""
    return BatchSummary(
        batch_id=status.batch_id,
        name=status.name,
        type=status.type,
        mode=status.mode,
        state=status.state,
        accepted_at=status.accepted_at,
        source=status.source,
        verdict=status.verdict,
        reason=status.reason,
        users=status.users,
        parts=status.parts,
        parts_in_log=status.parts_in_log,
        targets={str(target_of(target)): target.state for target in status.targets},
    )


def _are_home(records: Iterable[RecordRow]) -> bool | None:
    """Tell whether all of these stand in their home partition, None where that is not known of all."""
    known = {record.is_home for record in records}
    return False if False in known else None if None in known else True


def meant(targets: Iterable[Target], record: RecordRow) -> list[Target]:
    """Return the targets that a record is meant for."""
    return [target for target in targets if target.is_meant_by(record.channels)]


def run_status(run: Run, key: SessionKey, batches: Mapping[str, BatchStatus]) -> RunStatus:
    """Return the status of a run from that of its batches, by their ids."""
    statuses = [batches[batch.batch_id] for batch in run.batches]
    targets = _totals([target for batch in statuses for target in batch.targets])
    if sum(batch.state == "failed" for batch in statuses) > 1:
        targets = [_sent_again_whole(target, statuses[0].session_id or "", key.name) for target in targets]
    is_whole = run.is_whole or run.total_batches is None
    states = [target.state for target in targets]
    return RunStatus(
        name=key.name,
        type=key.type,
        mode=key.mode,
        state=state_of_run(states, [batch.state for batch in statuses], is_whole=is_whole),
        started_at=run.batches[0].at,
        last_at=run.batches[-1].at,
        total_batches=run.total_batches,
        total_users=run.total_users,
        users=run.users,
        missing=run.missing,
        are_totals_right=run.are_totals_right,
        batches=[
            BatchOfRun(
                batch_id=batch.batch_id,
                sequence=batch.sequence,
                users=batch.users,
                at=batch.at,
                mark=run.marks.get(batch.batch_id),
                state=batches[batch.batch_id].state,
            )
            for batch in run.batches
        ],
        targets=targets,
    )


def _sent_again_whole(status: TargetStatus, session_id: str, name: str) -> TargetStatus:
    """Return the status of an account over several batches with a remedy that sends all of them again."""
    first, command, _ = status.error.remedy.partition(REPLAY) if status.error else ("", "", "")
    if status.error is None or not command:
        return status
    target = Target(status.provider, status.account or "")
    which = f"--session {quote(session_id)} --audience {quote(name)} --provider {target} --only failed"
    return structs.replace(status, error=structs.replace(status.error, remedy=f"{first}{REPLAY}{which}"))


def _totals(statuses: Iterable[TargetStatus]) -> list[TargetStatus]:
    """Return one status for each account over several batches: counts added up, the worst state and its error."""
    by_target: dict[tuple[str, str | None], list[TargetStatus]] = {}
    for status in statuses:
        by_target.setdefault((status.provider, status.account), []).append(status)
    return [_sum(some) for some in by_target.values()]


def _sum(some: Sequence[TargetStatus]) -> TargetStatus:
    worst = min(some, key=lambda status: WORST.index(status.state))
    matched = [status.users.matched for status in some if status.users.matched is not None]
    finished = [status.finished_at for status in some if status.finished_at is not None]
    to_go = [status.seconds_to_go for status in some if status.seconds_to_go is not None]
    return TargetStatus(
        provider=worst.provider,
        account=worst.account,
        state=worst.state,
        users=UserCounts(
            in_log=sum(status.users.in_log for status in some),
            sent=sum(status.users.sent for status in some),
            accepted=sum(status.users.accepted for status in some),
            rejected=sum(status.users.rejected for status in some),
            matched=sum(matched) if matched else None,
            open=sum(status.users.open for status in some),
            removed=_removed([status.users.removed for status in some]),
            superseded=_count(status.users.superseded for status in some),
            other_identifiers_unknown=_count(status.users.other_identifiers_unknown for status in some),
            shared_unplaced=_count(status.users.shared_unplaced for status in some),
        ),
        reasons=added_up(status.reasons for status in some),
        repaired=added_up(status.repaired for status in some),
        dropped=added_up(status.dropped for status in some),
        attempts=max(status.attempts for status in some),
        error=worst.error,
        finished_at=max(finished) if len(finished) == len(some) else None,
        seconds_to_go=max(to_go, default=None),
        replays=[replay for status in some for replay in status.replays],
        waits_for=worst.waits_for,
        shared_calls=shared_calls(call for status in some for call in status.shared_calls or ()) or UNSET,
    )


def _count(counts: Iterable[int | UnsetType]) -> int | UnsetType:
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else UNSET


def _removed(counts: Sequence[int | UnsetType | None]) -> int | UnsetType | None:
    """Return how many were removed in all; None where nobody says, UNSET where nobody was to be."""
    known = _count(count for count in counts if count is not None)
    return None if known is UNSET and None in counts else known
