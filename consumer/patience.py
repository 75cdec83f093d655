"""Wait for Kafka and the registry by a consumer's clock; without the registry its account counts as parked."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

from consumer.gate import Gate
from consumer.time import Time
from streams.patience import patiently as _patiently

T = TypeVar("T")


async def patiently(
    call: Callable[[], Awaitable[T]], what: str, time: Time, gate: Gate | None = None, **facts: object
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log."""
    away = gate.without_registry if gate is not None else nullcontext
    return await _patiently(call, what, sleep=time.sleep, chance=time.chance, without_registry=away, **facts)
