"""Removals and additions as records of the log, and a consumer that remembers who was removed."""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from test_replay import Seen, ledger
from world import KEYS, UNLIMITED, World, consuming_one, sandbox_account, world

from cli.replay.log_scan import planned
from cli.replay.saved_replays import Replay
from cli.replay.selection import LONG_AGO, Choice
from consumer.account.account import Account
from consumer.account.runtime import Deployment, Serving, opened_runtime, pace_of
from consumer.account.settings import ConsumerSettings
from consumer.delivery.outcome import Outcome
from consumer.ordering.standing import Standing
from consumer.removals.log_memory import place_of
from consumer.replay.replayer import ReplayOrder, replay
from consumer.retries.clock import REAL_TIME, Time
from consumer.retries.retry_policy import RetryPolicy
from sandbox import SandboxOptions
from schemas.avro.codec import decode_batch_completion, encode_audience_batch
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion, Mode, Origin
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.read.record_fetcher import fetch_record
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets
from streams.write.writer import Writer


def person(number: int, phone: str | None = None) -> AudienceUser:
    """Return somebody made up."""
    return AudienceUser(email=f"person{number}@example.com", phone=phone)


def people(*numbers: int) -> list[AudienceUser]:
    """Return some made-up users, each with an e-mail address."""
    return [person(number) for number in numbers]


def phone(number: int) -> str:
    """Return a made-up number that could be one."""
    return f"+1415555{number:04}"


async def publish(found: World, mode: Mode, users: Sequence[AudienceUser], **head: Any) -> Origin:
    """Write a record of the log and return where it stands."""
    batch = AudienceBatch(batch_id=str(uuid.uuid4()), users=list(users), mode=mode, **{"name": "VIP", **head})
    async with Writer(found.kafka) as writer:
        return await writer.send(found.names.batches, batch.key, encode_audience_batch(batch))


async def end_of(found: World, origin: Origin, delivery: str = "live") -> BatchCompletion:
    """Return how a record ended."""
    count = 1
    while True:
        ended = await found.completions(count)
        for one in ended:
            if one.origin == origin and one.delivery == delivery:
                return one
        count = len(ended) + 1


async def done(found: World, mode: Mode, users: Sequence[AudienceUser], **head: Any) -> BatchCompletion:
    """Write a record and return how it ended."""
    return await end_of(found, await publish(found, mode, users, **head))


async def completions_of(found: World, origin: Origin) -> list[BatchCompletion]:
    """Return all that was reported of a record."""
    records = await read_to_end(found.kafka, found.names.completions)
    return [one for one in map(decode_batch_completion, (record.value for record in records)) if one.origin == origin]


async def late(
    found: World,
    served: Account,
    origin: Origin,
    *,
    standing: Mapping[str, Any] | None = None,
    is_held: Callable[[], bool] = lambda: True,
    time: Time = REAL_TIME,
) -> Outcome:
    """Deliver a record of the log once more, as a process does that comes to it late."""
    record = await fetch_record(found.kafka, origin)
    assert record is not None
    settings = ConsumerSettings.model_validate(KEYS)
    deployment = Deployment(kafka=found.kafka, names=found.names, framing=SINGLE_OBJECT, time=time)
    serving = Serving(pace=pace_of(served, time), policy=RetryPolicy())
    async with Writer(found.kafka) as writer, opened_runtime(served, settings, deployment, writer, serving) as runtime:
        opened = await runtime.handler.opened(record)
        assert isinstance(opened, tuple)
        about = Standing(**{"place": place_of(record, None), "is_late": True, **(standing or {})})
        return await runtime.handler.deliver(*opened, is_held, standing=about)


async def replayed(found: World, served: Account, *origins: Origin, replay_id: str = "r-00000001") -> Seen:
    """Replay records of the log to an account, by their receipts."""
    deployment = Deployment(kafka=found.kafka, names=found.names, framing=SINGLE_OBJECT)
    async with ledger(found):
        everything = Replay(
            id=replay_id,
            created_at=datetime.now(UTC),
            log=found.names.batches,
            ends=await end_offsets(found.kafka, found.names.batches),
            targets=[str(served.target)],
            choice=Choice(since=LONG_AGO),
            rate=1.0,
        )
        [part] = (await planned(everything, [served.target], deployment)).parts
    wishes = {origin: part.wishes[origin] for origin in origins}
    order = ReplayOrder(replay_id=replay_id, wishes=wishes, rate=1.0, removed=part.removed)
    seen = Seen()
    await replay(served, ConsumerSettings.model_validate(KEYS), deployment, order, seen)
    return seen


@asynccontextmanager
async def remembering(
    kafka: KafkaSettings,
    prefix: str,
    *providers: str,
    options: SandboxOptions = UNLIMITED,
    time: Time = REAL_TIME,
    changed: Mapping[str, object] | None = None,
    **settings: str,
) -> AsyncIterator[World]:
    """Run ingestion and a consumer of each account."""
    async with AsyncExitStack() as stack:
        running = world(kafka, prefix, providers=providers, consuming=(), options=options)
        found = await stack.enter_async_context(running)
        for target in map(parse_target, providers):
            served = sandbox_account(target, found.sandbox_url, **settings)
            await stack.enter_async_context(consuming_one(served, kafka, found.names, time=time, changed=changed))
        yield found
