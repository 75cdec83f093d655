"""`audience preview --explain`: how each column of one user's row comes about, with values masked."""

import re
from collections.abc import Iterable, Iterator, Sequence

from cli.mask import DOTS, mask
from cli.preview import made_up_provider
from consumer.way import Account
from producer.users_json import PayloadError
from providers.reasons import reason_of
from providers.traces import Explained, Trace, explained
from schemas.records import AudienceUser

_DIGEST = re.compile(r"[0-9a-f]{64}|[A-Za-z0-9+/]{43}=")


def explain(accounts: Iterable[Account], users: Sequence[AudienceUser], index: int) -> Iterator[str]:
    """Yield lines: for each account whether the user at this index makes a row, and each column's way.

    A value shows its first character; its SHA-256 is shown as previews show it. Raises PayloadError for a user that
    there is not.
    """
    if index >= len(users):
        raise PayloadError(f"users: there is no user {index}; the last one is {len(users) - 1}")
    for account in accounts:
        provider = made_up_provider(account)
        found = explained(provider, users[index])
        yield f"{account.target}: user {index} {_verdict(found)}\n"
        if not provider.is_declared():
            yield "  its rows are made by code; there are no columns to tell of\n"
        width = max((len(trace.column) for trace in found.traces), default=0)
        yield from (f"  {trace.column:{width}}  {_way(trace)}\n" for trace in found.traces)


def _verdict(found: Explained) -> str:
    return "makes a row" if found.rejection is None else f"is rejected: {reason_of(found.rejection)}"


def _way(trace: Trace) -> str:
    """Return a column's way on one line: what was uploaded, each step with what came of it, why nothing did."""
    if not trace.steps and (trace.given is None or not str(trace.given).strip()):
        return f"{trace.field}: not given"
    parts = [f"{trace.field} {_masked(trace.given)}" if trace.field else "of the account"]
    parts += [f"{step.says}: {_masked(step.value)}" for step in trace.steps]
    return " -> ".join([*parts, *([trace.reason] if trace.reason else [])])


def _masked(value: object) -> str:
    if value is None or value in ("", ()):
        return "nothing"
    if isinstance(value, str):
        return value if _DIGEST.fullmatch(value) else mask(value)
    return ", ".join(map(_masked, value)) if isinstance(value, tuple) else DOTS
