"""Removals and additions as records of the log, and a consumer that remembers who was removed."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from world import UNLIMITED, World, consuming_one, sandbox_account, world

from consumer.retries.clock import REAL_TIME, Time
from sandbox import SandboxOptions
from schemas.avro.codec import decode_batch_completion, encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion, Mode, Origin
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end
from streams.write.writer import Writer

KEYS = {"AUDIENCE_HASH_KEYS": "made up for tests only"}


def person(number: int, **more: str) -> AudienceUser:
    """Return somebody made up."""
    return AudienceUser(email=f"person{number}@example.com", **more)


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
        told = await found.completions(count)
        for one in told:
            if one.origin == origin and one.delivery == delivery:
                return one
        count = len(told) + 1


async def done(found: World, mode: Mode, users: Sequence[AudienceUser], **head: Any) -> BatchCompletion:
    """Write a record and return how it ended."""
    return await end_of(found, await publish(found, mode, users, **head))


async def told_of(found: World, origin: Origin) -> list[BatchCompletion]:
    """Return all that was reported of a record."""
    records = await read_to_end(found.kafka, found.names.completions)
    return [one for one in map(decode_batch_completion, (record.value for record in records)) if one.origin == origin]


@asynccontextmanager
async def remembering(  # noqa: PLR0913 -- a builder: a test names what it cares for
    kafka: KafkaSettings,
    prefix: str,
    *providers: str,
    options: SandboxOptions = UNLIMITED,
    time: Time = REAL_TIME,
    changed: Mapping[str, object] = KEYS,
    **settings: str,
) -> AsyncIterator[World]:
    """Run ingestion and a consumer of each account, all with keys unless that is changed."""
    async with world(kafka, prefix, providers=providers, consuming=(), options=options) as found:
        async with AsyncExitStack() as stack:
            for target in map(parse_target, providers):
                served = sandbox_account(target, found.sandbox_url, **settings)
                await stack.enter_async_context(consuming_one(served, kafka, found.names, time=time, changed=changed))
            yield found
