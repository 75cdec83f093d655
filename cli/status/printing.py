"""What the server says of batches, sessions and accounts, as rows and lines for people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from cli.printing.tables import Facts, listed, moment_text
from ledger.resources import (
    AccountPage,
    AccountStatus,
    BatchPage,
    BatchStatus,
    BatchSummary,
    ErrorDetail,
    RunStatus,
    SessionPage,
    SessionStatus,
    SessionSummary,
    TargetStatus,
    UserCounts,
)
from ledger.session_runs import Mark
from schemas.records import Mode
from schemas.target import Target

SESSION_COLUMNS = ("session", "name", "type", "state", "users", "missing", "accounts")
BATCH_COLUMNS = ("batch", "name", "type", "state", "users", "accepted", "accounts")
ACCOUNT_COLUMNS = ("account", "state", "since", "until", "behind", "consumer", "error", "lost")
TARGET_COLUMNS = ("account", "state", "in the log", "sent", "accepted", "matched", "rejected", "to go", "attempts")
REMOVAL_COLUMNS = ("account", "state", "in the log", "sent", "taken", "removed", "rejected", "to go", "attempts")
"""Of a removal: whose removal the platform took, and who was in before, where it says so."""

MOST_SPANS = 6
"""Spans of missing batches that are named."""

AWAY = "by time: it stands outside its home partition, see publishing"

NOBODY = "none: its channels name no account that is configured here"

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Rows:
    """What is printed as a table where it fits."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = str | Rows
"""A line, or a table."""


def session_list_blocks(page: SessionPage) -> Iterator[Block]:
    """Yield sessions, a row each, where there are any."""
    if page.sessions:
        yield Rows(SESSION_COLUMNS, [_session_cells(one) for one in page.sessions])


def batch_list_blocks(page: BatchPage) -> Iterator[Block]:
    """Yield batches that no session tells, a row each, where there are any."""
    if page.batches:
        yield Rows(BATCH_COLUMNS, [_batch_cells(one) for one in page.batches])


def _batch_cells(one: BatchSummary) -> list[str]:
    state = one.state if one.verdict == "valid" else f"{one.state}, {one.verdict}"
    facts = (one.batch_id, one.name, _kind(one), state, one.users, moment_text(one.accepted_at))
    return [*_cells(facts), _accounts(one)]


def _session_cells(one: SessionSummary) -> list[str]:
    users, missing = _of(one.users, one.total_users), spans(one.missing) or "-"
    return [one.session_id, one.name, _kind(one), one.state, users, missing, _accounts(one)]


def _kind(one: SessionSummary | BatchSummary) -> str:
    return f"{one.type}{', removal' if one.mode == 'remove' else ''}"


def _accounts(one: SessionSummary | BatchSummary) -> str:
    return ", ".join(f"{target} {state}" for target, state in one.targets.items()) or "-"


def _of(count: int, total: int | None) -> str:
    return str(count) if total is None else f"{count} of {total}"


def spans(numbers: Iterable[int]) -> str:
    """Return ascending numbers, neighbours as a span, and how many there are beyond the first MOST_SPANS spans."""
    found = [
        [number for _, number in run] for _, run in groupby(enumerate(numbers), key=lambda item: item[1] - item[0])
    ]
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in found[:MOST_SPANS]]
    beyond = sum(map(len, found[MOST_SPANS:]))
    return ", ".join(shown) + (f" and {beyond} more" if beyond else "")


def account_list_blocks(page: AccountPage) -> Iterator[Block]:
    """Yield accounts, a row each, then what is wrong with one and what to do, and what one has lost."""
    if page.accounts:
        yield Rows(ACCOUNT_COLUMNS, [_account_cells(one) for one in page.accounts])
    if page.accounts and page.seconds_old is not None:
        yield f"What is behind, and whether a consumer runs, is of {span_text(page.seconds_old)} ago."
    for one in page.accounts:
        name = _name(one.provider, one.account)
        yield from _error_lines(name, one.error)
        for lost in one.lost:
            span = f"partition {lost.partition} from offset {lost.first_offset} to {lost.end_offset}"
            at = f" at {moment_text(lost.at)}" if lost.at else ""
            yield f"{name}: {lost.records} records of {span} left the log before they were read{at}."
    for open_one in page.open_transactions:
        yield (
            f"A publisher's transaction is open in partition {open_one.partition} since {moment_text(open_one.since)}: "
            f"what stands there from offset {open_one.offset} on waits until it ends."
        )
    if page.unread:
        yield (
            f"The server can't read {page.unread} receipts or completions, as of a newer version: what they say is "
            "missing here until it is updated."
        )


def _account_cells(one: AccountStatus) -> list[str]:
    facts = (
        _name(one.provider, one.account),
        one.state,
        moment_text(one.since),
        moment_text(one.until),
        one.behind,
        None if one.has_consumer is None else "running" if one.has_consumer else "none",
        one.error and one.error.code,
        sum(lost.records for lost in one.lost) or None,
    )
    return _cells(facts)


def _cells(facts: Iterable[object]) -> list[str]:
    return ["-" if fact is None else str(fact) for fact in facts]


def _name(provider: str, account: str | None) -> str:
    return str(Target(provider, account or ""))


def _error_lines(name: str, error: ErrorDetail | None) -> Iterator[str]:
    """Yield what is wrong in the words of the vocabulary, what to do, and the platform's code and request id."""
    if error is None:
        return
    request = error.request_id and f"request {error.request_id}"
    facts = ", ".join(fact for fact in (error.platform_code, request) if fact)
    words = " ".join(word for word in (error.meaning, error.remedy) if word)
    yield f"{name}: {error.code}{f' ({facts})' if facts else ''}{f': {words}' if words else ''}"


def session_blocks(session: SessionStatus) -> Iterator[Block]:
    """Yield all runs under a session's id, the newest first."""
    for number, run in enumerate(session.runs):
        if number:
            yield ""
        yield f"Session {session.session_id}: {_named(run)}"
        yield from listed(_run_facts(run))
        yield from _target_blocks(run.targets, run.mode)


def _run_facts(run: RunStatus) -> Facts:
    return {
        "state": run.state,
        "began": moment_text(run.started_at),
        "last batch": moment_text(run.last_at),
        "batches": _of(len({batch.sequence for batch in run.batches}), run.total_batches),
        "missing": spans(run.missing),
        "users": _of(run.users, run.total_users),
        "totals": None if run.are_totals_right else "wrong: the batches, or the users, do not agree with them",
        "repeated": _marked(run, "repeated"),
        "contradicts": _marked(run, "contradictory"),
        "late": _marked(run, "late"),
    }


def _marked(run: RunStatus, mark: Mark) -> str:
    return ", ".join(f"{batch.sequence} ({batch.batch_id})" for batch in run.batches if batch.mark == mark)


def batch_blocks(batch: BatchStatus) -> Iterator[Block]:
    """Yield one batch."""
    yield f"Batch {batch.batch_id}: {_named(batch)}"
    yield from listed(_batch_facts(batch))
    yield from _target_blocks(batch.targets, batch.mode)


def _named(one: BatchStatus | RunStatus) -> str:
    return f"{'removal from ' if one.mode == 'remove' else ''}{one.name} ({one.type})"


def _batch_facts(batch: BatchStatus) -> Facts:
    return {
        "state": batch.state,
        "accounts": NOBODY if batch.state == "nobody" else None,
        "verdict": None if batch.verdict == "valid" else f"{batch.verdict}: {batch.reason}",
        "accepted": moment_text(batch.accepted_at),
        "source": batch.source,
        "session": batch.session_id,
        "sequence": None if batch.sequence is None else _of(batch.sequence, batch.total_batches),
        "users": batch.users,
        "order": AWAY if batch.is_home is False and batch.verdict == "valid" else None,
        "in the log": None if batch.parts_in_log == batch.parts else f"{batch.parts_in_log} of {batch.parts} parts",
    }


def _target_blocks(targets: Sequence[TargetStatus], mode: Mode) -> Iterator[Block]:
    """Yield a row for each account and each replay, then what became of users and values, and the last error."""
    if targets:
        columns = REMOVAL_COLUMNS if mode == "remove" else TARGET_COLUMNS
        yield Rows(columns, [cells for target in targets for cells in _target_rows(target, mode)])
    for target in targets:
        name = _name(target.provider, target.account)
        yield from (f"{name}: {word}" for word in _words_of(target))
        yield from _error_lines(name, target.error)


def _words_of(target: TargetStatus) -> Iterator[str]:
    """Yield what an account waits for, and what became of users and values."""
    users = target.users
    if target.waits_for:
        yield f"waits for the removal at {target.waits_for}"
    if users.open:
        yield f"{users.open} open: those that the platform refuses are still being looked for"
    if users.superseded:
        yield f"{users.superseded} left as they are, as a later record decides about them"
    if users.other_identifiers_unknown:
        count = users.other_identifiers_unknown
        yield f"of {count} only what the removal names was taken out, as the log knows no more of them"
    yield from _shared(target)
    for word, counted in {"rejected": target.reasons, "left out": target.dropped, "repaired": target.repaired}.items():
        if counted:
            yield f"{word} {', '.join(f'{what}: {count}' for what, count in counted.items())}"


def _shared(target: TargetStatus) -> Iterator[str]:
    """Yield which calls carried users of other batches, too, and what is not known for it."""
    if target.users.shared_unplaced:
        count = target.users.shared_unplaced
        yield f"{count} at most of the accepted were refused: the platform did not say whom of a call with others"
    if target.shared_calls:
        yield f"in calls with other batches: {', '.join(target.shared_calls)}"


def _target_rows(target: TargetStatus, mode: Mode) -> Iterator[list[str]]:
    name = _name(target.provider, target.account)
    to_go = None if target.seconds_to_go is None else span_text(target.seconds_to_go)
    yield _cells((name, target.state, *_ladder(target.users, mode), to_go, target.attempts))
    for replay in target.replays:
        yield _cells((f"{name}, replay {replay.replay_id}", replay.state, *_ladder(replay.users, mode), None, None))


def _ladder(users: UserCounts, mode: Mode) -> tuple[int | None, ...]:
    removed = users.removed if isinstance(users.removed, int) else None
    known = removed if mode == "remove" else users.matched
    return users.in_log, users.sent, users.accepted, known, users.rejected


def span_text(seconds: float) -> str:
    """Return how long something takes, in the unit that tells it best."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.0f} h"
