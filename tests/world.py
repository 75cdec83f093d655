"""The product in one process, on a real Kafka, against the sandbox: built by each test as it needs it."""

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

import sandbox.app
from consumer.account.account import Account
from consumer.account.service import consume
from consumer.account.settings import ConsumerSettings
from consumer.retries.clock import REAL_TIME, Time
from producer.additions import Add, nothing_added
from producer.server import serving
from producer.settings import ServerSettings
from providers.installed import installed
from providers.kit.settings import account_values, variable
from sandbox import CREDENTIALS, SandboxOptions
from schemas.avro.codec import decode_batch_completion
from schemas.avro.framing import SINGLE_OBJECT, Framing
from schemas.records import BatchCompletion
from schemas.target import Target, parse_target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import read_to_end

KEYS = {"AUDIENCE_HASH_KEYS": "made up for tests only"}
ALL = ("facebook", "tiktok", "klaviyo")
UNLIMITED = SandboxOptions(limits=False, latency=0.001, job_seconds=0.05)


async def make_topics(kafka: KafkaSettings, prefix: str, *targets: Target) -> TopicNames:
    """Make the topics of a deployment that serves these accounts; return their names."""
    names = TopicNames(prefix)
    await ensure_topics(kafka, layout(names, [target.group_id(prefix) for target in targets]))
    return names


def make_batch(**changes: object) -> dict[str, object]:
    """Return the part `batch` of an upload."""
    return {"sessionId": 1, "sequence": 1, "totalBatches": 1, "totalUsers": 2, **changes}


def make_users(count: int, start: int = 0) -> list[dict[str, object]]:
    """Return made-up users that every platform can use."""
    return [{"email": f"person{number}@example.com"} for number in range(start, start + count)]


def make_form(
    users: object, name: str | None = "VIP", batch: object = None, extra: Mapping[str, str] | None = None
) -> aiohttp.FormData:
    """Return a multipart form; texts go as they are, anything else as JSON."""
    form = aiohttp.FormData(default_to_multipart=True)
    parts = {"name": name, "batch": make_batch() if batch is None else batch, "users": users, **(extra or {})}
    for part, value in parts.items():
        if value is not None:
            text = value if isinstance(value, str | bytes) else json.dumps(value)
            data = text.encode() if isinstance(text, str) else text
            form.add_field(part, io.BytesIO(data), filename=part)
    return form


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a test talks to."""

    kafka: KafkaSettings
    names: TopicNames
    session: aiohttp.ClientSession
    url: str
    sandbox_url: str

    async def upload(self, users: object, query: str = "", **form: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Upload; return status, decoded body and headers."""
        async with self.session.post(f"{self.url}/audience{query}", data=make_form(users, **form)) as response:
            body = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(body) if is_json else body, response.headers

    async def members(self, provider: str, audience: str = "blotout_VIP") -> set[tuple[str, ...]]:
        """Return what a platform holds."""
        query = {"provider": provider, "audience": audience}
        async with self.session.get(f"{self.sandbox_url}/_sandbox/members", params=query) as response:
            return {tuple(member) for member in (await response.json())["members"]}

    async def inject(self, **fault: object) -> None:
        """Make calls to a platform fail."""
        async with self.session.post(f"{self.sandbox_url}/_sandbox/faults", json=fault) as response:
            assert response.status == 201, await response.text()

    async def clear_faults(self) -> None:
        """Let calls succeed again."""
        await self.session.delete(f"{self.sandbox_url}/_sandbox/faults")

    async def counters(self) -> Any:
        """Return the sandbox's counters."""
        async with self.session.get(f"{self.sandbox_url}/_sandbox/counters") as response:
            return await response.json()

    async def completions(self, count: int, timeout: float = 30) -> list[BatchCompletion]:
        """Return what the accounts reported, once so many ends of records are there."""
        async with asyncio.timeout(timeout):
            while True:
                records = await read_to_end(self.kafka, self.names.completions)
                found = [decode_batch_completion(record.value) for record in records]
                ended = [completion for completion in found if completion.status != "retrying"]
                if len(ended) >= count:
                    return ended
                await asyncio.sleep(0.1)


def sandbox_account(target: Target, sandbox_url: str, **settings: str) -> Account:
    """Return an account that the sandbox plays."""
    kind = installed()[target.provider]
    default, prefix = Target(target.provider), variable(Target(target.provider), "")
    environ = {
        variable(target, name.removeprefix(prefix)): value for name, value in CREDENTIALS[target.provider].items()
    } | {variable(default, "base_url"): f"{sandbox_url}/{target.provider}"}
    values = {**account_values(kind.settings_type, target, environ), "pace": "off", **settings}
    return Account(target=target, kind=kind, settings=kind.settings_type.model_validate(values))


@asynccontextmanager
async def sandbox_running(options: SandboxOptions = UNLIMITED) -> AsyncIterator[str]:
    """Run the sandbox; yields its URL."""
    runner = await sandbox.app.serve("127.0.0.1", 0, options)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def world(  # noqa: PLR0913 -- a builder: a test names what it cares for
    kafka: KafkaSettings,
    prefix: str,
    *,
    providers: Sequence[str] = ALL,
    consuming: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
    options: SandboxOptions = UNLIMITED,
    framing: Framing = SINGLE_OBJECT,
    account: Mapping[str, str] | None = None,
    add: Add = nothing_added,
) -> AsyncIterator[World]:
    """Run ingestion for `providers`, consumers for those in `consuming` (all), and the sandbox."""
    names = TopicNames(prefix)
    targets = [parse_target(provider) for provider in providers]
    await ensure_topics(kafka, layout(names, [target.group_id(prefix) for target in targets]))
    async with AsyncExitStack() as stack:
        sandbox_url = await stack.enter_async_context(sandbox_running(options))
        server_settings = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0", **(settings or {})})
        view = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "view.sqlite"
        running = serving(server_settings, kafka, targets, names, framing, view, add=add)
        server = await stack.enter_async_context(running)
        for target in targets if consuming is None else map(parse_target, consuming):
            served = sandbox_account(target, sandbox_url, **(account or {}))
            await stack.enter_async_context(consuming_one(served, kafka, names, framing))
        timeout = aiohttp.ClientTimeout(total=100)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        url = f"http://{server.address}"
        yield World(kafka=kafka, names=names, session=session, url=url, sandbox_url=sandbox_url)


@asynccontextmanager
async def consuming_one(
    account: Account,
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing | None = None,
    time: Time = REAL_TIME,
    changed: Mapping[str, object] | None = None,
) -> AsyncIterator["asyncio.Task[None]"]:
    """Run one consumer, with settings of a consumer by their names, while the block is entered."""
    settings = ConsumerSettings.model_validate({"AUDIENCE_SHUTDOWN_TIMEOUT": 1, **KEYS, **(changed or {})})
    task = asyncio.create_task(consume(account, settings, kafka, names, framing or Framing(), time=time))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def headers_on(kafka: KafkaSettings, topic: str) -> list[dict[str, bytes]]:
    """Return the headers of all records of a topic, read by a bare consumer: ours leaves them where they are."""
    consumer = Consumer(kafka.client(**{"group.id": f"{topic}.headers", "enable.partition.eof": True}))
    numbers = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
    found, left = [], len(numbers)
    while left:
        message = consumer.poll(10)
        assert message is not None
        if message.error() is None:
            found.append(dict(message.headers() or ()))
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF
            left -= 1
    consumer.close()
    return found
