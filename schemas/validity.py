"""Whether a decoded batch is one that providers act on."""

import re

from schemas.records import AudienceBatch

MAX_NAME = 255
MAX_USERS = 250_000
MAX_WHOLE = 2**53
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def invalidity(batch: AudienceBatch) -> str | None:
    """Return what makes a batch invalid, naming the field but no value; None if it is valid.

    The endpoint never writes an invalid batch; whoever publishes to the topic directly may.
    """
    return next((reason for is_wrong, reason in _faults(batch) if is_wrong), None)


def _faults(batch: AudienceBatch) -> list[tuple[bool, str]]:
    return [
        (not is_uuid(batch.batch_id), "batchId: expected a UUID"),
        (not is_name(batch.name), f"name: expected 1 to {MAX_NAME} characters"),
        (not batch.users, "users: expected at least one"),
        (len(batch.users) > MAX_USERS, f"users: expected at most {MAX_USERS}"),
        (not 1 <= batch.part <= batch.parts, "part: expected 1 to parts"),
        (batch.first_index < 0, "firstIndex: expected 0 or more"),
        (not _in_order(batch.sequence, batch.total_batches), "sequence: expected 0 to totalBatches"),
    ]


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID in its usual form of 36 characters."""
    return _UUID.fullmatch(text) is not None


def trimmed(text: str) -> str:
    """Return a text without the line ends around it, which come from files and shells; blanks are the client's."""
    return text.strip("\r\n")


def is_name(text: str) -> bool:
    """Tell whether a text can name an audience."""
    return bool(text.strip()) and len(text) <= MAX_NAME


def _in_order(sequence: int | None, total: int | None) -> bool:
    return sequence is None or (sequence >= 0 and (total is None or sequence <= total))
