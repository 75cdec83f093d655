"""Wait for Kafka and the registry: without them nothing can be said, so nothing is given up."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TypeVar

import structlog

from consumer.gate import Gate
from consumer.retry import RetryPolicy
from consumer.time import Time
from schemas.framing import RegistryUnavailableError
from streams.errors import StreamError

log = structlog.get_logger()

PATIENCE = RetryPolicy(base=0.5, cap=10.0)

T = TypeVar("T")


async def patiently(
    call: Callable[[], Awaitable[T]], what: str, time: Time, gate: Gate | None = None, **facts: object
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log.

    While the registry is away the account of the gate counts as parked.
    """
    attempt, is_parked = 1, False
    with ExitStack() as parked:
        while True:
            try:
                return await call()
            except (StreamError, RegistryUnavailableError) as error:
                log.warning(f"{what}: trying again.", why=str(error), action="retry", **facts)
                if gate is not None and not is_parked and isinstance(error, RegistryUnavailableError):
                    is_parked = True
                    parked.enter_context(gate.without_registry())
            await time.sleep(time.chance() * PATIENCE.backoff(attempt))
            attempt += 1
