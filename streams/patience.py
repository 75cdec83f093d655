"""Wait for Kafka and the registry: without them nothing can be said, so nothing is given up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

import structlog

from schemas.framing import RegistryUnavailableError
from streams.errors import StreamError

log = structlog.get_logger()

BASE = 0.5
CAP = 10.0
"""Seconds between tries at most: the first wait, and the longest."""

T = TypeVar("T")


async def patiently(
    call: Callable[[], Awaitable[T]],
    what: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
    without_registry: Callable[[], AbstractContextManager[None]] = nullcontext,
    **facts: object,
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log.

    `without_registry` is entered from the registry's first failure until the call returns. The line says for how
    long the call has failed, by which the log leaves out what many calls say of one outage.
    """
    wait, is_without, begun = BASE, False, time.monotonic()
    with ExitStack() as stack:
        while True:
            try:
                return await call()
            except (StreamError, RegistryUnavailableError) as error:
                lasts = round(time.monotonic() - begun, 1)
                log.warning(f"{what}: trying again.", why=str(error), action="retry", outage_seconds=lasts, **facts)
                if not is_without and isinstance(error, RegistryUnavailableError):
                    is_without = True
                    stack.enter_context(without_registry())
            await sleep(chance() * wait)
            wait = min(CAP, wait * 2)
