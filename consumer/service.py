"""Put a consumer group together, run it, and end it in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import structlog

from consumer.attempts import REAL_TIME, Time
from consumer.audiences import Audiences
from consumer.delivery import Delivery
from consumer.health import serve_health
from consumer.retry import RetryPolicy
from consumer.runner import Runner
from consumer.settings import ConsumerSettings
from providers.base import AnyProvider
from providers.pace import Pace
from providers.settings import AccountSettings
from providers.table import open_account, open_session, rates_of
from schemas.framing import Framing
from schemas.target import Target
from streams.accounts import register
from streams.directory import Directory, Owner, followed
from streams.reader import GroupReader
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from streams.writer import Writer

log = structlog.get_logger()


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
    async with _open(account, settings, kafka, names, framing, time) as (runner, directory):
        running = asyncio.create_task(runner.run())
        try:
            await asyncio.wait({running, directory.following}, return_when=asyncio.FIRST_COMPLETED)
            await (directory.following if directory.following.done() else running)
        except asyncio.CancelledError:
            await runner.reader.stop_reading()
            await asyncio.wait({running}, timeout=settings.shutdown_timeout)
            raise
        finally:
            if running.cancel():
                log.warning("The time to end is over: the next start repeats what is unfinished.", action="stop")
                await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def _open(
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    time: Time,
) -> AsyncIterator[tuple[Runner, Directory]]:
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(kafka))
        registered = (await register(kafka, writer, names, [account.target], now, framing))[account.target]
        session = await stack.enter_async_context(open_session(account.settings))
        pace = Pace(rates_of(account.kind, account.settings), time.clock, time.sleep)
        provider = open_account(account.kind, account.settings, session, pace)
        following = followed(kafka, writer, names.directory, _owner(account, provider), framing)
        directory = await stack.enter_async_context(following)
        reader = GroupReader(
            kafka,
            group_id=account.target.group_id(names.prefix),
            topic=names.batches,
            first_offset=registered.first_offset,
            max_in_hand_bytes=settings.in_hand,
        )
        await stack.enter_async_context(reader)
        await stack.enter_async_context(_health(settings, reader))
        runner = Runner(
            target=account.target,
            delivery=_delivery(provider, directory, pace, settings, time),
            reader=reader,
            writer=writer,
            completions=names.completions,
            framing=framing,
            time=time,
            clock=now,
            partitions=len(registered.first_offsets),
            at_once=account.settings.slots,
        )
        yield runner, directory


def _health(settings: ConsumerSettings, reader: GroupReader) -> AbstractAsyncContextManager[None]:
    if settings.health_listen is None:
        return nullcontext()
    host, _, port = settings.health_listen.rpartition(":")
    return serve_health(host.strip("[]"), int(port), lambda: reader.is_member)


def _delivery(
    provider: AnyProvider, directory: Directory, pace: Pace, settings: ConsumerSettings, time: Time
) -> Delivery:
    return Delivery(
        provider=provider,
        pace=pace,
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
