"""Wait for Kafka and the registry: without them nothing can be said, so nothing is given up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

import structlog

from schemas.avro.framing import RegistryUnavailableError
from streams.client.errors import RecordRefusedError, StreamError

log = structlog.get_logger()

BASE = 0.5
CAP = 10.0
"""Seconds between tries at most: the first wait, and the longest."""

T = TypeVar("T")


async def keep_trying(
    call: Callable[[], Awaitable[T]],
    what: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
    while_blocked: Callable[[Exception], AbstractContextManager[None]] = lambda _: nullcontext(),
    **facts: object,
) -> T:
    """Call until it returns, however long Kafka or the registry take; `what` failed is the line of the log.

    `while_blocked` is entered with what somebody must see to, a registry that is away or what Kafka refuses, from
    the first such failure until the call returns. The line says for how
    long the call has failed, by which the log leaves out what many calls say of one outage.
    """
    wait, is_blocked, begun = BASE, False, time.monotonic()
    with ExitStack() as stack:
        while True:
            try:
                return await call()
            except (StreamError, RegistryUnavailableError) as error:
                lasts = round(time.monotonic() - begun, 1)
                log.warning(f"{what}: trying again.", why=str(error), action="retry", outage_seconds=lasts, **facts)
                if not is_blocked and isinstance(error, RegistryUnavailableError | RecordRefusedError):
                    is_blocked = True
                    stack.enter_context(while_blocked(error))
            await sleep(chance() * wait)
            wait = min(CAP, wait * 2)
