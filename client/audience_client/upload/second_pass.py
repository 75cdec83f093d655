"""The second pass: a file's batches, cut at the planned borders, without those that stand already."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from audience_client.errors import FileError
from audience_client.upload.plan import MAX_BYTES, Plan
from audience_client.upload.prepare import Prepared
from audience_client.users.user_reader import SpooledBatch


@dataclass(frozen=True, slots=True)
class Cut:
    """A batch and its place in the session."""

    sequence: int
    batch: SpooledBatch


def cuts(prepared: Prepared, plan: Plan, stood: Set[int]) -> Iterator[Cut]:
    """Yield the batches that do not stand yet, each one exactly as it was planned.

    Raises FileError before a batch is handed on where the file is not what the first pass read.
    """
    name = prepared.table.name
    sequence = 0
    for sequence, batch in enumerate(prepared.reader.spooled_batches(plan.batch_size), 1):
        if sequence in stood:
            batch.users.close()
            continue
        prepared.table.check_unchanged()
        if sequence > plan.total_batches or len(batch.rows) != plan.users_of(sequence):
            raise _changed(name)
        if len(batch.users) > MAX_BYTES:
            problem = f"the users from here on are more than a server takes at once ({MAX_BYTES >> 20} MiB)"
            raise FileError(name, f"{problem}; begin anew with a smaller --batch-size", row=batch.rows[0])
        yield Cut(sequence, batch)
    if sequence != plan.total_batches:
        raise _changed(name)


def _changed(name: str) -> FileError:
    return FileError(name, "changed while it was uploaded; begin anew when nothing writes to it")
