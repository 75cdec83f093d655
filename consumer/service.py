"""Put a consumer group together, run it, and end it in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import structlog

from consumer.attempts import Time
from consumer.audiences import Audiences
from consumer.delivery import Delivery
from consumer.health import serve_health
from consumer.retry import RetryPolicy
from consumer.runner import Runner
from consumer.settings import ConsumerSettings
from providers.base import AnyProvider
from providers.pace import Pace
from providers.settings import AccountSettings
from providers.table import open_account, pace_of
from schemas.framing import Framing
from schemas.target import Target
from streams.accounts import register
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
    account: Account, settings: ConsumerSettings, kafka: KafkaSettings, names: TopicNames, framing: Framing
) -> None:
    """Serve an account until cancelled; its topics exist.

    Cancelled, it stops reading, finishes what is in hand within the limit, commits and leaves the group.
    Raises StreamError where Kafka can't be worked with.
    """
    async with _open(account, settings, kafka, names, framing) as runner:
        running = asyncio.create_task(runner.run())
        try:
            await asyncio.shield(running)
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
    account: Account, settings: ConsumerSettings, kafka: KafkaSettings, names: TopicNames, framing: Framing
) -> AsyncIterator[Runner]:
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(kafka))
        registered = (await register(kafka, writer, names, [account.target], now, framing))[account.target]
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        reader = GroupReader(
            kafka,
            group_id=account.target.group_id(names.prefix),
            topic=names.batches,
            first_offset=registered.first_offset,
            max_in_hand_bytes=settings.in_hand,
        )
        await stack.enter_async_context(reader)
        if settings.health_listen:
            host, _, port = settings.health_listen.rpartition(":")
            health = serve_health(host.strip("[]"), int(port), lambda: reader.is_member)
            await stack.enter_async_context(health)
        time = Time()
        pace = pace_of(account.kind, account.settings)
        yield Runner(
            target=account.target,
            delivery=_delivery(account, settings, session, pace, time),
            reader=reader,
            writer=writer,
            completions=names.completions,
            framing=framing,
            time=time,
            clock=now,
            partitions=len(registered.first_offsets),
            at_once=account.settings.slots,
        )


def _delivery(
    account: Account, settings: ConsumerSettings, session: aiohttp.ClientSession, pace: Pace, time: Time
) -> Delivery:
    provider = open_account(account.kind, account.settings, session, pace)
    return Delivery(
        provider=provider,
        pace=pace,
        policy=RetryPolicy(attempts=settings.retry_attempts, max_age=settings.retry_age),
        time=time,
        audiences=Audiences(provider),
        preparing=asyncio.Lock(),
    )
