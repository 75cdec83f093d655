"""Wait for Kafka and the registry by a consumer's clock; while they need somebody its account counts as parked."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from consumer.retries.circuit_breaker import Gate
from consumer.retries.clock import Time
from streams.client.errors import RecordRefusedError
from streams.client.waiting import patiently as _patiently

T = TypeVar("T")


async def patiently(
    call: Callable[[], Awaitable[T]], what: str, time: Time, gate: Gate | None = None, **facts: object
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log."""

    def while_blocked(error: Exception) -> AbstractContextManager[None]:
        if gate is None:
            return nullcontext()
        refusal = error.refusal if isinstance(error, RecordRefusedError) else None
        return gate.without_registry() if refusal is None else gate.unreported(refusal.kind, refusal.error)

    return await _patiently(call, what, sleep=time.sleep, chance=time.chance, while_blocked=while_blocked, **facts)
