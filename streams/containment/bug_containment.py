"""The rule that one record ends one record: whatever goes wrong with its data ends that record and nothing else."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from schemas.avro.framing import RegistryUnavailableError, UnencodableError
from schemas.records import Origin
from schemas.tracebacks import place_of
from streams.client.errors import RecordTooLargeError, StreamError

log = structlog.get_logger()

T = TypeVar("T")

_OF_ALL = (StreamError, RegistryUnavailableError)


async def contained(origin: Origin, work: Callable[[], Awaitable[T]], ended: Callable[[], T]) -> T:
    """Return what came of work on one record, else `ended()`: how a record ends that our code fails on.

    What concerns no single record is raised: Kafka that can't be worked with, a registry that is away.
    """
    try:
        return await work()
    except Exception as error:
        if not is_of_one_record(error):
            raise
        log.error("A record is ended by a bug.", origin=str(origin), at=place_of(error))
        return ended()


def is_of_one_record(error: Exception) -> bool:
    """Tell whether an unexpected error is about the record in hand, and no word of Kafka or the registry."""
    if isinstance(error, ExceptionGroup):
        return error.subgroup(_OF_ALL) is None
    return not isinstance(error, _OF_ALL)


async def sent_or_smallest(
    origin: Origin, send: Callable[[T], Awaitable[None]], whole: T, smallest: Callable[[T], T]
) -> None:
    """Send what is to be said of a record; where that can't be written, the smallest that can.

    Raises what `send` raises: what refuses the smallest one, too, is the cluster's fault.
    """
    try:
        await send(whole)
    except (UnencodableError, RecordTooLargeError) as error:
        log.error("What is said of a record can't be written, only that it ended.", origin=str(origin), why=str(error))
        await send(smallest(whole))
