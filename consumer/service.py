"""Put a consumer group together, run it, and end it in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

from consumer.ending import tended
from consumer.health import Unready, serve_health
from consumer.losses import Losses
from consumer.places import Places
from consumer.retry import RetryPolicy
from consumer.runner import Runner
from consumer.settings import ConsumerSettings
from consumer.share import share_of
from consumer.time import REAL_TIME, Time
from consumer.way import Account, Manner, Where, now, opened_way, running
from schemas.framing import Framing
from schemas.records import AccountRegistration
from streams.accounts import register
from streams.fetch import Fetcher
from streams.member import OnLoss
from streams.partitions import followed_partitions
from streams.reader import GroupReader
from streams.readiness import unready
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from streams.writer import Writer

MOST_POINTERS = 20_000
"""Pointers to later attempts that are kept in memory, about a kilobyte each."""

SPARE = 8
"""Records that are prepared and reported while as many as there are slots are with the platform."""


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
    where = Where(kafka=kafka, names=names, framing=framing, time=time)
    async with _open(account, settings, where) as parts:
        runner, gate = parts.runner, parts.runner.handler.delivery.gate
        await tended(runner.run(), parts.background, runner.reader.stop_reading, gate, settings.finishing)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What makes up a consumer."""

    runner: Runner
    background: "tuple[asyncio.Task[None], ...]"
    """What never ends well."""


@asynccontextmanager
async def _open(account: Account, settings: ConsumerSettings, where: Where) -> AsyncIterator[_Parts]:
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(where.kafka))
        everyone = await register(where.kafka, writer, where.names, [account.target], now, where.framing)
        registered = everyone[account.target]
        losses = Losses(account.target, writer, where, now)
        reader, pointers = _readers(account, settings, where.kafka, where.names, registered, losses.note)
        known = len(registered.first_offsets)
        partitions = await stack.enter_async_context(followed_partitions(where.kafka, where.names.batches, known))
        manner = Manner(
            share=lambda: share_of(reader.partitions, partitions.count),
            policy=RetryPolicy(attempts=settings.retry_attempts, max_age=settings.retry_age),
        )
        way = await stack.enter_async_context(opened_way(account, settings, where, writer, manner))
        telling = await stack.enter_async_context(running(losses.tell()))
        await stack.enter_async_context(reader)
        await stack.enter_async_context(pointers)
        await stack.enter_async_context(health_of(settings, lambda: unready(reader, writer)))
        runner = Runner(
            handler=way.handler,
            reader=reader,
            pointers=pointers,
            fetcher=Fetcher(where.kafka),
            batches=where.names.batches,
            retry=where.names.retry(account.target.group_id(where.names.prefix)),
            places=Places(account.settings.slots + SPARE, settings.in_hand),
        )
        yield _Parts(runner, (*way.background, telling, partitions.following))


def _readers(
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    registered: AccountRegistration,
    on_loss: OnLoss,
) -> tuple[GroupReader, GroupReader]:
    """Return the readers of the log and of the pointers to later attempts."""
    group = account.target.group_id(names.prefix)
    log_reader = GroupReader(
        kafka,
        group_id=group,
        topic=names.batches,
        first_offset=registered.first_offset,
        max_in_hand_bytes=settings.in_hand,
        on_loss=on_loss,
    )
    retry = names.retry(group)
    pointers = GroupReader(
        kafka, group_id=retry, topic=retry, first_offset=lambda _: 0, max_in_hand_records=MOST_POINTERS
    )
    return log_reader, pointers


def health_of(settings: ConsumerSettings, unready: Unready) -> AbstractAsyncContextManager[None]:
    """Return what serves a group's health while it is entered, if the settings ask for it."""
    if settings.health_listen is None:
        return nullcontext()
    host, _, port = settings.health_listen.rpartition(":")
    return serve_health(host.strip("[]"), int(port), unready)
