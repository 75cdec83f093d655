"""Wait for Kafka and the registry by a consumer's clock; while they need somebody its account counts as parked."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from streams.client.errors import RecordRefusedError
from streams.client.waiting import keep_trying as _keep_trying

T = TypeVar("T")


async def keep_trying(
    call: Callable[[], Awaitable[T]], what: str, time: Time, breaker: CircuitBreaker | None = None, **facts: object
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log."""

    def while_blocked(error: Exception) -> AbstractContextManager[None]:
        if breaker is None:
            return nullcontext()
        refusal = error.refusal if isinstance(error, RecordRefusedError) else None
        return breaker.without_registry() if refusal is None else breaker.unreported(refusal.kind, refusal.error)

    return await _keep_trying(call, what, sleep=time.sleep, chance=time.chance, while_blocked=while_blocked, **facts)
