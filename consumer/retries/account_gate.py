"""The gate of an account: each call waits there while the account is throttled or parked, and says how it ended."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from consumer.retries.circuit_breaker import CircuitBreaker, Permit
from consumer.retries.throttles import Throttles
from providers.kit.errors import PlatformError, StopError, ThrottleError
from schemas.metrics.definitions import OK
from schemas.tracebacks import without_frames

log = structlog.get_logger()

T = TypeVar("T")


class GivenUpError(Exception):
    """The record is another process's by now: nothing is to be said of it."""


class ShutOutError(Exception):
    """The account was parked while the call waited for others behind the gate: it is to wait there again."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What a call knows that has passed the gate."""

    is_parked: Callable[[], bool]
    """Tells whether the account was parked since then."""
    waited: float
    """Seconds for which it waited at the gate."""


@dataclass(slots=True, kw_only=True)
class Caller:
    """A record that has a call to make, by itself or together with others."""

    is_wanted: Callable[[], bool]
    """Whether the record is still ours: asked last, right before the bytes of a call go."""
    called: Callable[[], None]
    """To be called when bytes of a call have gone."""
    doubt: Callable[[], None]
    """To be called when a call ended without an answer, so that it may take effect later."""
    context: Mapping[str, object]
    """What lines of the log say of the record."""
    batch_id: str | None = None
    stopped_at: int | None = None
    """How many calls of the account had passed when a stop met this one."""
    most_records: int | None = None
    """How many records its call may hold, this one among them; None: any number."""

    async def look(self) -> None:
        """Raise GivenUpError where the record is not ours any more; else the bytes go."""
        if not self.is_wanted():
            raise GivenUpError
        self.called()


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Generic[T]):
    """How a call ended: by its result, or by an error."""

    result: T | None = None
    error: Exception | None = None
    waited: float = 0.0
    """Seconds for which it waited at the gate."""
    held: float = 0.0
    """Seconds for which the platform throttles from now on."""
    passes: int = 0
    """Calls of the account that had passed before it failed."""
    is_lone: bool = False
    """Whether a stop met one of its records again while others passed, so that it is this audience's."""
    is_parked: bool = False
    """Whether our own code failed, as on nearly every call: the account is parked, and the call may wait."""
    records: int = 1
    """How many records the call was for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets the calls of one account out. It counts calls, whatever number of records each is for."""

    throttles: Throttles
    breaker: CircuitBreaker

    async def go(self, call: Callable[[Passage], Awaitable[T]], callers: Callable[[], Iterable[Caller]]) -> End[T]:
        """Make a call once the account is neither held nor parked, and return how it ended.

        `callers` are the records that it is for by then. Raises GivenUpError where nobody wants it any more.
        """
        waited = 0.0
        while True:
            waited += await self.throttles.pace.unheld()
            first = next((caller for caller in callers() if caller.is_wanted()), None)
            if first is None:
                raise GivenUpError
            permit = await self.breaker.enter(first.batch_id)
            waited += permit.waited
            try:
                return await self._made(call, callers, permit, waited)
            except ShutOutError:
                self.breaker.withdrew(permit)
            except GivenUpError:
                self.breaker.withdrew(permit)
                raise

    async def _made(
        self,
        call: Callable[[Passage], Awaitable[T]],
        callers: Callable[[], Iterable[Caller]],
        permit: Permit,
        waited: float,
    ) -> End[T]:
        try:
            result = await call(Passage(lambda: self.breaker.is_parked_since(permit), waited))
        except (GivenUpError, ShutOutError):
            raise
        except PlatformError as error:
            self.breaker.on_call(error.code)
            return await self._failed(without_frames(error), permit, waited, list(callers()))
        except Exception as error:
            self.breaker.on_call("bug")
            if len(list(callers())) > 1:  # whose fault it is, smaller calls tell: it says nothing of the account
                self.breaker.withdrew(permit)
                return End(error=error, waited=waited)
            return End(error=error, waited=waited, is_parked=self.breaker.broke(permit))
        self.breaker.on_call(OK)
        self.breaker.passed(permit)
        return End(result=result, waited=waited)

    async def _failed(self, error: PlatformError, permit: Permit, waited: float, callers: list[Caller]) -> End[T]:
        """Say that the platform did not do it.

        A stop that meets a call again, while others pass, is not the account's but this audience's.
        """
        breaker, passes, held = self.breaker, self.breaker.passes, 0.0
        is_lone = any(caller.stopped_at is not None and passes > caller.stopped_at for caller in callers)
        if isinstance(error, ThrottleError) or is_lone:
            breaker.passed(permit)
        else:
            breaker.failed(permit, error)
        if isinstance(error, ThrottleError):
            held = await self.throttles.hold(error)
            log.warning(
                "The platform throttles: waiting.",
                seconds=held,
                action="throttle",
                **facts_of(error, callers[0].context if callers else {}),
            )
        return End(
            error=error, waited=waited, held=held, passes=passes, is_lone=is_lone and isinstance(error, StopError)
        )


def facts_of(error: PlatformError, context: Mapping[str, object]) -> dict[str, object]:
    """Return what a line of the log says of an error."""
    facts = {"error": error.code, "platform_code": error.platform_code, "request_id": error.request_id}
    return {**context, **{name: fact for name, fact in facts.items() if fact}}
