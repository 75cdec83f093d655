"""Dead letters as text: rows and facts for people, objects for programs; values of users only as they are given."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cli.dead_letters.failures import target_of
from cli.log_records import Content
from cli.printing.masking import masked
from cli.printing.tables import Facts, listed, moment_text
from schemas.error_words import VOCABULARY
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion

COLUMNS = ("origin", "account", "reason", "users", "session", "sequence", "batch", "failed at", "attempts")

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How much of a record to show: so many users, masked or not."""

    users: int
    is_masked: bool

    def of(self, batch: AudienceBatch) -> list[dict[str, Any]]:
        """Return the first users with their index in the request."""
        chosen = enumerate(batch.users[: self.users], start=batch.first_index)
        return [{"index": index, **self._fields(user)} for index, user in chosen]

    def _fields(self, user: AudienceUser) -> dict[str, Any]:
        fields: dict[str, Any] = masked(user) if self.is_masked else msgspec.to_builtins(user)
        return fields


def cells(letter: BatchCompletion) -> list[str]:
    """Return a letter as a row of COLUMNS."""
    known = (
        str(letter.origin),
        str(target_of(letter)),
        _reason(letter),
        f"{letter.counts.received}{' to remove' if letter.mode == 'remove' else ''}",
        letter.session_id,
        letter.sequence,
        letter.batch_id,
        moment_text(letter.finished_at),
        letter.attempts,
    )
    return ["-" if fact is None else str(fact) for fact in known]


def _reason(letter: BatchCompletion) -> str:
    code = letter.error_code or UNKNOWN
    return f"{code} ({letter.platform_code})" if letter.platform_code else code


def counted(chosen: Sequence[BatchCompletion], standing: int) -> Iterator[str]:
    """Say how many letters of which account and reason there are, of all that stand."""
    counts = Counter(f"{target_of(letter)} {letter.error_code or UNKNOWN}" for letter in chosen)
    if chosen:
        listed = ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()))
        yield f"Dead letters: {len(chosen)} ({listed})."
    elif standing:
        yield f"No dead letter is meant by these filters; without them there are {standing}."
    else:
        yield "There are no dead letters."


def summary(letter: BatchCompletion) -> dict[str, object]:
    """Return a letter as an object of the list."""
    return {
        "origin": str(letter.origin),
        "delivery": letter.delivery,
        "provider": letter.provider,
        "account": letter.account,
        "mode": letter.mode,
        "reason": letter.error_code,
        "platformCode": letter.platform_code,
        "users": letter.counts.received,
        "sessionId": letter.session_id,
        "sequence": letter.sequence,
        "batchId": letter.batch_id,
        "failedAt": letter.finished_at,
        "attempts": letter.attempts,
    }


def object_of(dead_letters: Sequence[BatchCompletion], content: Content, shown: Shown) -> Facts:
    """Return the letters of one origin, and what they point at, as an object."""
    return {
        "origin": str(dead_letters[0].origin),
        "letters": [{**summary(letter), **_details(letter)} for letter in dead_letters],
        "trouble": content.trouble,
        "batch": content.batch and _batch_object(content.batch, shown),
    }


def _batch_object(batch: AudienceBatch, shown: Shown) -> Facts:
    whole = msgspec.to_builtins(msgspec.structs.replace(batch, users=[], content_hash=None))
    del whole["contentHash"]
    return {**whole, "usersInAll": len(batch.users), "users": shown.of(batch)}


def _details(letter: BatchCompletion) -> dict[str, object]:
    known = VOCABULARY.get(letter.error_code or "")
    return {
        "status": letter.status,
        "meaning": known and known.meaning,
        "remedy": known and known.remedy,
        "requestId": letter.request_id,
        "requestIds": letter.request_ids,
        "audienceId": letter.audience_id,
        "part": letter.part,
        "parts": letter.parts,
        "counts": letter.counts,
        "rejectedReasons": letter.rejected_reasons,
        "startedAt": letter.started_at,
        **({"sharedCalls": letter.shared_calls} if letter.shared_calls else {}),
        **({"sharedUnplaced": letter.shared_unplaced} if letter.shared_unplaced else {}),
    }


def lines_of(dead_letters: Sequence[BatchCompletion], content: Content, shown: Shown) -> Iterator[str]:
    """Yield the letters of one origin, and what they point at, as lines."""
    for letter in dead_letters:
        yield f"{letter.origin} to {target_of(letter)}"
        yield from listed(_facts(letter))
        yield ""
    if content.trouble:
        yield content.trouble
    if content.batch:
        yield from _batch_lines(content.batch, shown.of(content.batch))


def _batch_lines(batch: AudienceBatch, users: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "The record in the log"
    yield from listed(_batch_facts(batch))
    for user in users:
        fields = "  ".join(f"{name} {_value(value)}" for name, value in user.items() if name != "index")
        yield f"  {user['index']:>11}  {fields}"
    if len(users) < len(batch.users):
        yield f"  {len(batch.users) - len(users)} more users are in the record: --users tells how many to show."


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)


def _facts(letter: BatchCompletion) -> Facts:
    known, counts = VOCABULARY.get(letter.error_code or ""), letter.counts
    matched = "" if counts.matched is None else f", {counts.matched} known to the platform"
    return {
        "status": letter.status,
        "mode": letter.mode,
        "reason": _reason(letter),
        "meaning": known and known.meaning,
        "what to do": known and known.remedy,
        "request": letter.request_id,
        "requests": ", ".join(letter.request_ids),
        "shared calls": ", ".join(letter.shared_calls),
        "attempts": letter.attempts,
        "started": moment_text(letter.started_at),
        "failed": moment_text(letter.finished_at),
        "audience": letter.audience_id,
        "users": f"{counts.received} received, {counts.accepted} accepted, {counts.rejected} rejected{matched}",
        "rejected": ", ".join(f"{reason}: {count}" for reason, count in letter.rejected_reasons.items()),
        "batch": letter.batch_id and f"{letter.batch_id}, part {letter.part} of {letter.parts}",
        "session": letter.session_id,
        "sequence": letter.sequence,
        "delivery": letter.delivery,
    }


def _batch_facts(batch: AudienceBatch) -> Facts:
    total = "" if batch.total_batches is None else f" of {batch.total_batches}"
    return {
        "name": batch.name,
        "type": batch.type,
        "mode": batch.mode,
        "prefix": "none" if batch.disable_prefix else None,
        "channels": None if batch.channels is None else ", ".join(batch.channels),
        "batch": f"{batch.batch_id}, part {batch.part} of {batch.parts}",
        "session": batch.session_id,
        "sequence": None if batch.sequence is None else f"{batch.sequence}{total}",
        "pull date": batch.pull_date,
        "accepted": moment_text(batch.accepted_at),
        "users": len(batch.users),
    }
