"""Put a consumer group together, run it, and end it in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import structlog

from consumer.announcer import Announcer
from consumer.audiences import Audiences
from consumer.delivery import Delivery
from consumer.gate import Gate
from consumer.health import serve_health
from consumer.places import Places
from consumer.retry import RetryPolicy
from consumer.runner import Runner, Topics
from consumer.settings import ConsumerSettings
from consumer.throttles import Throttles
from consumer.time import REAL_TIME, Time
from providers.base import AnyProvider
from providers.errors import VOCABULARY, platform_error
from providers.pace import Pace
from providers.settings import AccountSettings
from providers.table import open_account, open_session, rates_of
from schemas.framing import Framing
from schemas.records import AccountRegistration, AccountState
from schemas.target import Target
from streams.accounts import register
from streams.directory import Directory, Owner, followed
from streams.fetch import Fetcher
from streams.reader import GroupReader
from streams.settings import KafkaSettings
from streams.states import followed_states
from streams.topics import TopicNames
from streams.writer import Writer

log = structlog.get_logger()

MOST_POINTERS = 20_000
"""Pointers to later attempts that are kept in memory, about a kilobyte each."""

SPARE = 8
"""Records that are prepared and reported while as many as there are slots are with the platform."""


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A target, the provider that serves it, and its settings."""

    target: Target
    kind: type[AnyProvider]
    settings: AccountSettings


async def consume(
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    *,
    time: Time = REAL_TIME,
) -> None:
    """Serve an account until cancelled; its topics exist.

    Cancelled, it stops reading, finishes what is in hand within the limit, commits and leaves the group.
    Raises StreamError where Kafka can't be worked with.
    """
    async with _open(account, settings, kafka, names, framing, time) as parts:
        running = asyncio.create_task(parts.runner.run())
        watched = {running, *parts.background}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        except asyncio.CancelledError:
            await parts.runner.reader.stop_reading()
            await _finish(running, parts.runner.delivery.gate, settings.shutdown_timeout)
            raise
        finally:
            if running.cancel():
                log.warning("The next start repeats what is unfinished.", action="stop")
                await asyncio.gather(running, return_exceptions=True)


async def _finish(running: "asyncio.Task[None]", gate: Gate, timeout: float) -> None:
    """Wait for what is in hand, within the limit; while the account is parked nothing would come of it."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not running.done() and not gate.is_closed and asyncio.get_running_loop().time() < deadline:
        await asyncio.wait({running}, timeout=0.2)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What makes up a consumer."""

    runner: Runner
    background: "tuple[asyncio.Task[None], ...]"
    """What never ends well."""


@asynccontextmanager
async def _open(
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    time: Time,
) -> AsyncIterator[_Parts]:
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(kafka))
        registered = (await register(kafka, writer, names, [account.target], now, framing))[account.target]
        session = await stack.enter_async_context(open_session(account.settings))
        reader, pointers = _readers(account, settings, kafka, names, registered)
        partitions = len(registered.first_offsets)
        rates = rates_of(account.kind, account.settings)
        pace = Pace(rates, time.clock, time.sleep, lambda: max(1, len(reader.partitions)) / partitions)
        provider = open_account(account.kind, account.settings, session, pace)
        following = followed(kafka, writer, names.directory, _owner(account, provider), framing)
        directory = await stack.enter_async_context(following)
        states = await stack.enter_async_context(followed_states(kafka, names.accounts, framing))
        says = Announcer(account.target, writer, names.accounts, framing, time, now)
        gate = Gate(probe=_probe(provider), announce=says.block, time=time)
        throttles = Throttles(pace=pace, tell=says.throttle, now=now)
        states.listen(lambda state: throttles.hear(state) if says.is_about(state) else None)
        _resume(states.of(account.target), gate, throttles)
        watching = await stack.enter_async_context(_running(gate.watch()))
        failing = await stack.enter_async_context(_running(writer.failure()))
        await stack.enter_async_context(reader)
        await stack.enter_async_context(pointers)
        await stack.enter_async_context(_health(settings, reader))
        delivery = _delivery(provider, directory, throttles, gate, settings, time)
        stack.push_async_callback(delivery.audiences.close)
        runner = Runner(
            target=account.target,
            delivery=delivery,
            reader=reader,
            pointers=pointers,
            fetcher=Fetcher(kafka),
            writer=writer,
            topics=Topics(completions=names.completions, retry=names.retry(account.target.group_id(names.prefix))),
            framing=framing,
            time=time,
            clock=now,
            places=Places(account.settings.slots + SPARE, settings.in_hand),
        )
        yield _Parts(runner, (directory.following, states.following, watching, failing))


def _resume(state: AccountState | None, gate: Gate, throttles: Throttles) -> None:
    """Begin as the account stands, by what its last process said."""
    if state is None:
        return
    throttles.hear(state)
    code = state.error_code or ""
    if state.state != "blocked":
        gate.adopt(None)
    elif code in VOCABULARY and code != "registry_unreachable":
        gate.adopt(platform_error(code, platform_code=state.platform_code, request_id=state.request_id))


def _readers(
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    registered: AccountRegistration,
) -> tuple[GroupReader, GroupReader]:
    """Return the readers of the log and of the pointers to later attempts."""
    group = account.target.group_id(names.prefix)
    log_reader = GroupReader(
        kafka,
        group_id=group,
        topic=names.batches,
        first_offset=registered.first_offset,
        max_in_hand_bytes=settings.in_hand,
    )
    retry = names.retry(group)
    pointers = GroupReader(
        kafka, group_id=retry, topic=retry, first_offset=lambda _: 0, max_in_hand_records=MOST_POINTERS
    )
    return log_reader, pointers


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _probe(provider: AnyProvider) -> Callable[[], Awaitable[object]]:
    """Return what asks the platform whether the account works: a look-up, which changes nothing."""
    name = provider.platform_name("probe", disable_prefix=False)
    return lambda: provider.find_audience(name)


def _health(settings: ConsumerSettings, reader: GroupReader) -> AbstractAsyncContextManager[None]:
    if settings.health_listen is None:
        return nullcontext()
    host, _, port = settings.health_listen.rpartition(":")
    return serve_health(host.strip("[]"), int(port), lambda: reader.is_member)


def _delivery(
    provider: AnyProvider,
    directory: Directory,
    throttles: Throttles,
    gate: Gate,
    settings: ConsumerSettings,
    time: Time,
) -> Delivery:
    return Delivery(
        provider=provider,
        throttles=throttles,
        gate=gate,
        policy=RetryPolicy(attempts=settings.retry_attempts, max_age=settings.retry_age),
        time=time,
        audiences=Audiences(provider=provider, directory=directory, time=time, now=now, expiry=settings.claim_expiry),
        preparing=asyncio.Lock(),
    )


def _owner(account: Account, provider: AnyProvider) -> Owner:
    """Return whose audiences they are; of the base URL host, port and path, without credentials."""
    parts = urlsplit(account.settings.base_url)
    port = f":{parts.port}" if parts.port else ""
    host = f"{parts.hostname}{port}{parts.path.rstrip('/')}"
    return Owner(provider=provider.name, host=host, platform_account_id=provider.account_id)
