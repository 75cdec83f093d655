"""Whether a decoded batch is one that providers act on."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from schemas.bounds import (
    MAX_ATTEMPTS,
    MAX_CHANNEL,
    MAX_CHANNELS,
    MAX_INVALID_CHANNELS,
    MAX_INVALID_ID,
    MAX_NAME,
    MAX_PENDING,
    MAX_SESSION_ID,
    MAX_USERS,
    MAX_WHOLE,
)
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, Progress, RetryPointer, Span

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def invalidity(batch: AudienceBatch, users: int | None = None) -> str | None:
    """Return what makes a batch invalid, naming the field but no value; None if it is valid.

    `users` says how many it has where it comes without them. The endpoint never writes an invalid batch; whoever
    publishes to the topic directly may.
    """
    faults = _faults(batch, len(batch.users) if users is None else users)
    return next((reason for is_wrong, reason in faults if is_wrong), None)


def _faults(batch: AudienceBatch, users: int) -> list[tuple[bool, str]]:
    return [
        (not is_uuid(batch.batch_id), "batchId: expected a UUID"),
        (not is_name(batch.name), f"name: expected 1 to {MAX_NAME} characters"),
        (not users, "users: expected at least one"),
        (users > MAX_USERS, f"users: expected at most {MAX_USERS}"),
        (not 1 <= batch.part <= batch.parts, "part: expected 1 to parts"),
        (not is_whole(batch.first_index), "firstIndex: expected 0 to 2^53"),
        (not is_whole(batch.first_index + users), "firstIndex: expected no user's index above 2^53"),
        (not is_whole(batch.total_batches), "totalBatches: expected 0 to 2^53"),
        (not is_whole(batch.total_users), "totalUsers: expected 0 to 2^53"),
        (not _in_order(batch.sequence, batch.total_batches), "sequence: expected 0 to totalBatches, 2^53 at most"),
        (len(batch.session_id or "") > MAX_SESSION_ID, f"sessionId: expected at most {MAX_SESSION_ID} characters"),
        (
            not _are_channels(batch.channels),
            f"channels: expected at most {MAX_CHANNELS} of at most {MAX_CHANNEL} characters",
        ),
    ]


def misplaced(batch: AudienceBatch, partition: int, partitions: int | None) -> str | None:
    """Return what makes a removal invalid in a partition: that it is not the home partition of its audience.

    The offsets of the home partition are the order of an audience, so a removal counts only there. `partitions` says
    how many the log was created with. None for additions, and where that number is not known.
    """
    if batch.mode == "add" or partitions is None:
        return None
    home = home_partition(batch.key, partitions)
    if home == partition:
        return None
    return f"partition: wrong partition for a removal; write it to {home}, the home partition of its key type:name"


def pointer_fault(pointer: RetryPointer, written_at: datetime) -> str | None:
    """Return what makes a pointer to a later attempt invalid, naming the field; None if it is valid."""
    progress = pointer.progress or Progress()
    numbers = (
        *(pointer.origin.partition, pointer.origin.offset, pointer.attempt, pointer.waited, pointer.waits_for),
        *(progress.step, progress.accepted, progress.matched, *progress.rejected_reasons.values()),
        *(progress.shared_unplaced, *(user.index for user in progress.rejected_users)),
    )
    if not all(map(is_whole, numbers)):
        return "numbers: expected 0 to 2^53"
    if pointer.attempt > MAX_ATTEMPTS:
        return f"attempt: expected at most {MAX_ATTEMPTS}"
    if not _are_spans(progress.open):
        return f"progress.open: expected users in order, {MAX_USERS} at most"
    return _time_fault(pointer, written_at + MAX_PENDING)


def _time_fault(pointer: RetryPointer, latest: datetime) -> str | None:
    """Return the time of a pointer by which its record would never be tried, or never be given up."""
    times = {"notBefore": pointer.not_before, "mayTakeEffectUntil": pointer.may_take_effect_until}
    for name, time in times.items():
        if time is not None and time > latest:
            return f"{name}: expected a time within {MAX_PENDING.days} days"
    if timedelta(milliseconds=pointer.waited) > latest - pointer.first_attempt_at:
        return "waited: expected no more than what has passed since firstAttemptAt"
    return None


def _are_spans(spans: Sequence[Span]) -> bool:
    """Tell whether spans can be those of one record. Others could take for ever to go through."""
    if not spans:
        return True
    ends = [-1, *(span.first + span.count for span in spans)]
    is_ordered = all(before <= span.first and span.count >= 0 for before, span in zip(ends, spans, strict=False))
    return is_ordered and spans[0].first >= 0 and ends[-1] - spans[0].first <= MAX_USERS and is_whole(ends[-1])


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID in its usual form of 36 characters."""
    return _UUID.fullmatch(text) is not None


def trimmed(text: str) -> str:
    """Return a text without the line ends around it, which come from files and shells; blanks are the client's."""
    return text.strip("\r\n")


def is_name(text: str) -> bool:
    """Tell whether a text can name an audience."""
    return bool(text.strip()) and len(text) <= MAX_NAME


def is_whole(number: int | None) -> bool:
    """Tell whether a number, if there is one, fits wherever we write and show it."""
    return number is None or 0 <= number <= MAX_WHOLE


def _in_order(sequence: int | None, total: int | None) -> bool:
    return sequence is None or (is_whole(sequence) and (total is None or sequence <= total))


def _are_channels(channels: Sequence[str] | None) -> bool:
    return len(channels or ()) <= MAX_CHANNELS and all(len(channel) <= MAX_CHANNEL for channel in channels or ())


def bounded(batch: AudienceBatch) -> AudienceBatch:
    """Return an invalid batch in a form that can be shown: long texts and lists are cut, odd numbers left out."""
    channels = batch.channels
    if not _are_channels(channels):
        channels = [cut(channel, MAX_CHANNEL) for channel in (channels or ())[:MAX_INVALID_CHANNELS]]
    return msgspec.structs.replace(
        batch,
        batch_id=cut(batch.batch_id, MAX_INVALID_ID),
        name=cut(batch.name, MAX_NAME),
        session_id=batch.session_id and cut(batch.session_id, MAX_SESSION_ID),
        channels=channels,
        first_index=batch.first_index if is_whole(batch.first_index) else 0,
        sequence=batch.sequence if is_whole(batch.sequence) else None,
        total_batches=batch.total_batches if is_whole(batch.total_batches) else None,
        total_users=batch.total_users if is_whole(batch.total_users) else None,
    )


def cut(text: str, most: int) -> str:
    """Return a text of so many characters at most; one that was cut ends in an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
