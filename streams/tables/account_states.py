"""How accounts stand, as all processes of a deployment see it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from schemas.avro.codec import decode_account_loss, decode_account_state, encode_account_loss, encode_account_state
from schemas.avro.framing import Framing, RegistryUnavailableError, UndecodableError
from schemas.records import AccountLoss, AccountState
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import Record
from streams.read.tail import Tail
from streams.read.topic_offsets import end_offsets
from streams.tables.removals import RemovalTables
from streams.write.writer import Writer

log = structlog.get_logger()

_KEY = "state:"
_LOST = "lost:"
HEADERS = {"content-type": b"application/vnd.audience.account-state+avro"}
LOSS_HEADERS = {"content-type": b"application/vnd.audience.account-loss+avro"}


@dataclass(slots=True)
class States:
    """The latest state of each account, as far as the topic was read. Use `followed_states`."""

    framing: Framing
    removals: RemovalTables = field(init=False)
    """What else stands on the topic: where removals are open, and jobs, and who knows removals."""
    following: "asyncio.Task[None]" = field(init=False)
    _asked: "asyncio.Task[int] | None" = field(default=None, init=False)
    _next: "asyncio.Task[int] | None" = field(default=None, init=False)
    _passed: int = field(default=0, init=False)
    _progress: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _latest: dict[Target, AccountState] = field(default_factory=dict)
    _losses: dict[Target, list[AccountLoss]] = field(default_factory=dict)
    _listeners: list[Callable[[AccountState], None]] = field(default_factory=list)
    _loss_listeners: list[Callable[[AccountLoss], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.removals = RemovalTables(self.framing)

    async def caught_up(self, kafka: KafkaSettings, topic: str) -> None:
        """Return when all is known that stands on the topic now. Raises KafkaUnreachableError.

        One question to Kafka serves all who ask before it goes out.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._end_after(self._asked, kafka, topic))
            self._next.add_done_callback(_look_at)
        end = await asyncio.shield(self._next)
        while self._passed < end:
            self._progress.clear()
            await self._progress.wait()

    async def _end_after(self, before: "asyncio.Task[int] | None", kafka: KafkaSettings, topic: str) -> int:
        """Ask where the topic ends once the question before is answered, which may have seen an earlier end."""
        if before is not None:
            await asyncio.wait({before})
        self._asked, self._next = self._next, None
        [end] = await end_offsets(kafka, topic)
        return end

    def of(self, target: Target) -> AccountState | None:
        """Return how an account stands; None where nothing was ever said, so that it runs."""
        return self._latest.get(target)

    def losses_of(self, target: Target) -> list[AccountLoss]:
        """Return what left the log before an account had read it, the oldest first."""
        return self._losses.get(target, [])

    def listen(self, listener: Callable[[AccountState], None]) -> None:
        """Call a function with every state that comes from now on."""
        self._listeners.append(listener)

    def listen_to_losses(self, listener: Callable[[AccountLoss], None]) -> None:
        """Call a function with every loss that comes from now on."""
        self._loss_listeners.append(listener)

    async def follow(self, tail: Tail) -> None:
        """Read without end."""
        async for records in tail.batches():
            await self.take(records)

    async def take(self, records: Iterable[Record]) -> None:
        """Note what records of the topic say of accounts."""
        for record in records:
            key = record.key or b""
            if key.startswith(_KEY.encode()) and record.value:
                await self._take(record)
            elif key.startswith(_LOST.encode()) and record.value:
                await self._take_loss(record)
            elif record.error is None:
                await self.removals.take(record)
            self._passed = record.origin.offset + 1  # of the one partition there is
            self._progress.set()

    async def _take_loss(self, record: Record) -> None:
        try:
            loss = await asyncio.to_thread(decode_account_loss, record.value, self.framing)
        except (UndecodableError, RegistryUnavailableError):
            log.warning("An account's loss can't be decoded and is ignored.", origin=str(record.origin))
            return
        known = self._losses.setdefault(Target(loss.provider, loss.account or ""), [])
        if loss in known:
            return
        known.append(loss)
        for listener in self._loss_listeners:
            listener(loss)

    async def _take(self, record: Record) -> None:
        try:
            state = await asyncio.to_thread(decode_account_state, record.value, self.framing)
        except (UndecodableError, RegistryUnavailableError):
            log.warning("An account's state can't be decoded and is ignored.", origin=str(record.origin))
            return
        self._latest[Target(state.provider, state.account or "")] = state
        for listener in self._listeners:
            listener(state)


def _look_at(asked: "asyncio.Task[int]") -> None:
    """Take notice of how a question ended, as whoever asked it may be gone."""
    if not asked.cancelled():
        asked.exception()


@asynccontextmanager
async def followed_states(kafka: KafkaSettings, topic: str, framing: Framing) -> AsyncIterator[States]:
    """Follow the accounts' states while the block is entered, which begins when all that stands was read.

    `states.following` never ends well. Raises KafkaUnreachableError, ReaderFailedError.
    """
    states = States(framing)
    async with Tail(kafka, topic, from_beginning=True, with_ends=True) as tail:
        await states.take(await tail.standing())
        states.following = asyncio.create_task(states.follow(tail))
        try:
            yield states
        finally:
            states.following.cancel()
            await asyncio.gather(states.following, return_exceptions=True)


async def write_state(writer: Writer, topic: str, state: AccountState, framing: Framing) -> None:
    """Write how an account stands. Raises what `Writer.send` raises, RegistryUnavailableError."""
    value = await asyncio.to_thread(encode_account_state, state, framing)
    await writer.send(topic, f"{_KEY}{Target(state.provider, state.account or '')}", value, HEADERS)


async def write_loss(writer: Writer, topic: str, loss: AccountLoss, framing: Framing) -> None:
    """Write what an account has lost. Raises what `Writer.send` raises, RegistryUnavailableError."""
    value = await asyncio.to_thread(encode_account_loss, loss, framing)
    target = Target(loss.provider, loss.account or "")
    await writer.send(topic, f"{_LOST}{target}:{loss.partition}@{loss.first_offset}", value, LOSS_HEADERS)
