"""Let work run to its end, or be told to end in order."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

import structlog

from consumer.retries.circuit_breaker import CircuitBreaker

log = structlog.get_logger()

SAID_AFTER = 1.0
"""Seconds from which it is said what is waited for."""


async def tended(
    work: Coroutine[Any, Any, None],
    background: "Collection[asyncio.Task[None]]",
    stop: Callable[[], Awaitable[None]],
    breaker: CircuitBreaker,
    timeout: float,
) -> None:
    """Run work to its end. Raises what it raises, and what the background raises, which never ends well.

    Cancelled, 1. `stop` it from taking anything new, 2. let it finish what is in hand within `timeout` seconds,
    3. leave the rest.
    """
    handling = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({handling, *background}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    except asyncio.CancelledError:
        await stop()
        await _finish(handling, breaker, timeout)
        raise
    finally:
        if handling.cancel():
            log.warning("The next start repeats what is unfinished.", action="stop")
            await asyncio.gather(handling, return_exceptions=True)


async def _finish(handling: "asyncio.Task[None]", breaker: CircuitBreaker, timeout: float) -> None:
    """Wait for what is in hand, within the limit; while the account is parked nothing would come of it."""
    clock = asyncio.get_running_loop().time
    begun, is_said = clock(), False
    while not handling.done() and not breaker.is_parked and clock() < begun + timeout:
        await asyncio.wait({handling}, timeout=0.2)
        if not handling.done() and not is_said and clock() > begun + SAID_AFTER:
            is_said = True
            log.info("Waiting for the records in hand.", seconds_left=round(begun + timeout - clock(), 1))
