"""`audience preview --explain`: how each column of one user's row comes about, with values masked."""

import re
from collections.abc import Iterable, Iterator, Sequence

from cli.dry_run.requests import made_up_provider
from cli.dry_run.verbs import VERBS, Verb
from cli.printing.masking import DOTS, mask
from consumer.account.account import Account
from producer.request.users_json import PayloadError
from providers.kit.errors import RejectError
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.row_explanation import Explained, Trace
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser

_DIGEST = re.compile(r"[0-9a-f]{64}|[A-Za-z0-9+/]{43}=")


def explain(
    accounts: Iterable[Account], users: Sequence[AudienceUser], index: int, verb: Verb = VERBS["add"]
) -> Iterator[str]:
    """Yield lines: for each account whether the user at this index makes a row, and each column's way.

    A value shows its first character, also one that looks like a hash; the hash that is sent is shown as previews show
    it. Raises PayloadError for a user that there is not.
    """
    if index >= len(users):
        raise PayloadError(f"users: there is no user {index}; the last one is {len(users) - 1}")
    for account in accounts:
        provider = made_up_provider(account)
        try:
            found = verb.explained(provider, users[index])
        except RejectError as error:
            yield f"{account.target}: {error.code}: {VOCABULARY[error.code].meaning}\n"
            continue
        yield f"{account.target}: user {index} {_verdict(found)}\n"
        if not found.is_declared:
            yield "  its rows are made by code; there are no columns to tell of\n"
        width = max((len(trace.column) for trace in found.traces), default=0)
        yield from (f"  {trace.column:{width}}  {_trace_line(trace)}\n" for trace in found.traces)


def _verdict(found: Explained) -> str:
    return "makes a row" if found.rejection is None else f"is rejected: {reason_of(found.rejection)}"


def _trace_line(trace: Trace) -> str:
    """Return a column's way on one line: what was uploaded, each step with what came of it, why nothing did."""
    given = [(field, value) for field, value in trace.given if value is not None and str(value).strip()]
    if not trace.steps and not given:
        return f"{', '.join(field for field, _ in trace.given)}: not given"
    parts = [", ".join(f"{field} {_masked(value)}" for field, value in trace.given) or "of the account"]
    parts += [f"{step.says}: {_masked(step.value, is_hash=step.is_hash)}" for step in trace.steps]
    return " -> ".join([*parts, *([trace.reason] if trace.reason else [])])


def _masked(value: object, *, is_hash: bool = False) -> str:
    if value is None or value in ("", ()):
        return "nothing"
    if isinstance(value, str):
        return value if is_hash and _DIGEST.fullmatch(value) else mask(value)
    return ", ".join(_masked(one, is_hash=is_hash) for one in value) if isinstance(value, tuple) else DOTS
