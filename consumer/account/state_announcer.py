"""Tell all processes of a deployment how an account stands."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import structlog

from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from providers.kit.errors import PlatformError, ThrottleError
from schemas.avro.framing import Framing
from schemas.error_words import VOCABULARY
from schemas.records import AccountState
from schemas.target import Target
from streams.tables.account_states import States, write_state
from streams.write.writer import Writer

log = structlog.get_logger()


@dataclass(slots=True)
class StateAnnouncer:
    """What one process of an account says of it on the topic of accounts; returns when Kafka has it."""

    target: Target
    writer: Writer
    topic: str
    framing: Framing
    time: Time
    now: Callable[[], datetime]
    _is_blocked: bool = field(default=False, init=False)
    _warning: str | None = field(default=None, init=False)
    """What the platform warns of, a word of the vocabulary, which a running account shows."""
    _warnings: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue, init=False)

    async def block(self, error: PlatformError | None) -> None:
        """Say what parks the account, or None that it runs."""
        self._is_blocked = error is not None
        await self._write(self._state(error))

    async def throttle(self, error: ThrottleError, until: datetime) -> None:
        """Say until when calls are held, unless the account is parked, which says more."""
        if not self._is_blocked:
            state = self._state(error)
            throttled = msgspec.structs.replace(state, state="throttled", until=until, operation=error.operation)
            await self._write(throttled)

    def warn(self, word: str) -> None:
        """Note what the platform warns of, for `publish_warnings` to say it."""
        log.warning(f"The platform warns: {VOCABULARY[word].meaning} {VOCABULARY[word].remedy}", error=word)
        self._warnings.put_nowait(word)

    async def publish_warnings(self) -> None:
        """Say what is noted, without end."""
        while True:
            self._warning = await self._warnings.get()
            if not self._is_blocked:
                await self._write(self._state(None))

    def is_about(self, state: AccountState) -> bool:
        """Tell whether a state is this account's."""
        return Target(state.provider, state.account or "") == self.target

    def _state(self, error: PlatformError | None) -> AccountState:
        return AccountState(
            provider=self.target.provider,
            account=self.target.account or None,
            state="running" if error is None else "blocked",
            error_code=error.code if error else self._warning,
            platform_code=error.platform_code if error else None,
            request_id=error.request_id if error else None,
            changed_at=self.now(),
        )

    async def _write(self, state: AccountState) -> None:
        what = "The account's state is not acknowledged"
        await keep_trying(lambda: write_state(self.writer, self.topic, state, self.framing), what, self.time)


async def announce_nothing(error: PlatformError | None) -> None:
    """Say nothing: what parks us may be ours alone, and whoever serves the account finds out by itself."""
    del error


def throttle_unless_blocked(
    announcer: StateAnnouncer, states: States
) -> Callable[[ThrottleError, datetime], Awaitable[None]]:
    """Return what announces a throttle, unless the account is parked, which says more and is another's to end."""

    async def announce(error: ThrottleError, until: datetime) -> None:
        state = states.of(announcer.target)
        if state is None or state.state != "blocked":
            await announcer.throttle(error, until)

    return announce
