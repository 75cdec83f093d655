"""Wait for Kafka and the registry: without them nothing can be said, so nothing is given up."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from consumer.retry import RetryPolicy
from consumer.time import Time
from schemas.framing import RegistryUnavailableError
from streams.errors import StreamError

log = structlog.get_logger()

PATIENCE = RetryPolicy(base=0.5, cap=10.0)

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], what: str, time: Time, **facts: object) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log."""
    attempt = 1
    while True:
        try:
            return await call()
        except (StreamError, RegistryUnavailableError) as error:
            log.warning(f"{what}: trying again.", why=str(error), action="retry", **facts)
        await time.sleep(time.chance() * PATIENCE.backoff(attempt))
        attempt += 1
