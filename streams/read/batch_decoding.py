"""The batch that a record of the log holds."""

from collections.abc import Callable

from schemas.avro.codec import OpenedBatch, open_audience_batch, open_batch_head
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import AudienceBatch
from streams.read.consumer_thread import Record

ID_IN_HEADER = "__value_schema_id"
"""Where serializers of Confluent's clients may put the schema's id, and then leave the value without any mark."""


def anything(head: AudienceBatch) -> bool:
    """Want the users of any batch."""
    del head
    return True


def nothing(head: AudienceBatch) -> bool:
    """Want the users of no batch."""
    del head
    return False


def batch_in(record: Record, framing: Framing, is_wanted: Callable[[AudienceBatch], bool] = anything) -> OpenedBatch:
    """Return the batch in a record, with its users if it is wanted by what else it says.

    Users are gone through to their end either way, so that whoever reads a record says the same of it. Raises
    UndecodableError, which says why there is no batch; RegistryUnavailableError.
    """
    if record.error is not None:
        raise UndecodableError(f"the client can't read it ({record.error})")
    try:
        return open_audience_batch(record.value, framing, is_wanted)
    except UndecodableError as error:
        if ID_IN_HEADER in record.headers:
            raise UndecodableError("schema id in a header; it is read before the value only") from error
        raise


def head_in(record: Record, framing: Framing) -> AudienceBatch | None:
    """Return what the batch in a record says besides its users, None where it can't be read. It may prove invalid.

    Raises RegistryUnavailableError.
    """
    if record.error is not None:
        return None
    try:
        return open_batch_head(record.value, framing)
    except UndecodableError:
        return None
