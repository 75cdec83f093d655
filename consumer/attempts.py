"""Try a platform call until it passes, will never pass, or is too old."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from consumer.retry import RetryPolicy
from providers.errors import RetryError, ThrottleError
from providers.pace import Pace

log = structlog.get_logger()

T = TypeVar("T")

DEFAULT_THROTTLE = 60.0
"""Seconds to wait where a platform throttles without saying for how long."""

Notice = Callable[[RetryError], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Clock, sleep and chance, for others to be put in their place."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


REAL_TIME = Time()


@dataclass(slots=True, kw_only=True)
class Attempts:
    """The attempts of one record. `most` is the highest number that one of its calls took."""

    policy: RetryPolicy
    pace: Pace
    time: Time
    notice: Notice
    context: dict[str, object]
    most: int = field(default=0, init=False)

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it returns.

        Raises what the call raised last: RetryError past the policy's limits, RejectError, StopError, or an
        error of ours. A throttle holds the account, and is neither an attempt nor age.
        """
        attempt, since, throttled = 1, self.time.clock(), 0.0
        while True:
            self.most = max(self.most, attempt)
            try:
                return await call()
            except ThrottleError as error:
                throttled += await self._wait_out(error)
            except RetryError as error:
                age = self.time.clock() - since - throttled
                await self._back_off(error, attempt, age)
                attempt += 1

    async def _wait_out(self, error: ThrottleError) -> float:
        wait = DEFAULT_THROTTLE if error.wait is None else error.wait
        self.pace.hold(wait, error.operation)
        log.warning("The platform throttles: waiting.", seconds=wait, action="throttle", **self._facts(error))
        await self.time.sleep(wait)
        return wait

    async def _back_off(self, error: RetryError, attempt: int, age: float) -> None:
        wait = self.policy.wait(attempt, age=age, asked=error.wait, chance=self.time.chance())
        if wait is None:
            raise error
        log.warning(
            "A platform call failed: trying again.",
            attempt=attempt,
            seconds=round(wait, 2),
            action="retry",
            **self._facts(error),
        )
        if attempt == 1:
            await self.notice(error)
        await self.time.sleep(wait)

    def _facts(self, error: RetryError | ThrottleError) -> dict[str, object]:
        facts = {"error": error.code, "platform_code": error.platform_code, "request_id": error.request_id}
        return {**self.context, **{name: fact for name, fact in facts.items() if fact}}
