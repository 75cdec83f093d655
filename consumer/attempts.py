"""Try a platform call until it passes, will never pass, or is better tried later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from consumer.gate import Gate
from consumer.retry import InPlace, RetryPolicy
from consumer.time import Time
from providers.errors import PlatformError, RetryError, StopError, ThrottleError
from providers.pace import Pace

log = structlog.get_logger()

T = TypeVar("T")

DEFAULT_THROTTLE = 60.0
"""Seconds to wait where a platform throttles without saying for how long."""

Notice = Callable[[PlatformError], Awaitable[None]]


class PostponedError(Exception):
    """The call is better tried later: `error` was its last failure, `seconds` how much later."""

    def __init__(self, error: RetryError, seconds: float) -> None:
        super().__init__(error.code)
        self.error = error
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was tried of a record before: attempts, and how old the first one is, without what does not count."""

    attempts: int = 0
    age: float = 0.0


@dataclass(slots=True, kw_only=True)
class Attempts:
    """The attempts of one record. `most` is the highest number that one of its calls took."""

    policy: RetryPolicy
    pace: Pace
    gate: Gate
    time: Time
    notice: Notice
    context: dict[str, object]
    history: History
    most: int = field(default=0, init=False)
    excused: float = field(default=0.0, init=False)
    """Seconds that were spent throttled or parked, of the call where it was most."""

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it returns; while the account is parked, wait.

        Raises RetryError past the policy's age, RejectError, an error of ours, or PostponedError. Throttles and
        what parks the account are neither attempts nor age.
        """
        attempt, since, excused = self.history.attempts + 1, self.time.clock() - self.history.age, 0.0
        while True:
            self.most = max(self.most, attempt)
            excused += await self.gate.enter()
            self.excused = max(self.excused, excused)
            try:
                result = await call()
            except ThrottleError as error:
                self.gate.passed()
                excused += await self._wait_out(error)
            except StopError as error:
                await self.notice(error)
                self.gate.failed(error)
            except RetryError as error:
                self.gate.failed(error)
                await self._back_off(error, attempt, self.time.clock() - since - excused)
                attempt += 1
            except Exception:
                self.gate.passed()
                raise
            else:
                self.gate.passed()
                return result

    async def _wait_out(self, error: ThrottleError) -> float:
        wait = DEFAULT_THROTTLE if error.wait is None else error.wait
        self.pace.hold(wait, error.operation)
        log.warning("The platform throttles: waiting.", seconds=wait, action="throttle", **self._facts(error))
        await self.time.sleep(wait)
        return wait

    async def _back_off(self, error: RetryError, attempt: int, age: float) -> None:
        decision = self.policy.decide(attempt, age=age, asked=error.wait, chance=self.time.chance())
        if decision is None:
            raise error
        is_now = isinstance(decision, InPlace)
        text = "A platform call failed: trying again." if is_now else "A platform call failed: trying again later."
        facts = {"attempt": attempt, "seconds": round(decision.seconds, 2), "action": "retry", **self._facts(error)}
        log.warning(text, **facts)
        if not is_now:
            raise PostponedError(error, decision.seconds)
        if attempt == self.history.attempts + 1:
            await self.notice(error)
        await self.time.sleep(decision.seconds)

    def _facts(self, error: PlatformError) -> dict[str, object]:
        facts = {"error": error.code, "platform_code": error.platform_code, "request_id": error.request_id}
        return {**self.context, **{name: fact for name, fact in facts.items() if fact}}
