"""The product as processes of its own on a real Kafka, against the sandbox: what several benchmarks measure."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp

from benchmarks.followed import followed_completions
from cli.demo.environment import demo_environment
from cli.local_stack.supervisor import Part, Supervisor
from consumer.account.runtime import now
from producer.settings import Address
from sandbox import CREDENTIALS
from schemas.avro.codec import decode_batch_completion
from schemas.records import TERMINAL, BatchCompletion
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.tail import Tail
from streams.tables.account_registrations import register
from streams.write.writer import Writer

LIMIT = 120.0
"""Seconds that anything awaited here may take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a record ended at an account, and when Kafka had the report."""

    completion: BatchCompletion
    at: datetime


@dataclass(slots=True)
class Reports:
    """The ends of records as accounts report them, by provider."""

    _by_provider: dict[str, list[Ended]] = field(default_factory=dict)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, provider: str) -> Sequence[Ended]:
        """Return what a provider's account has ended so far, in the order of its reports."""
        return self._by_provider.setdefault(provider, [])

    async def follow(self, tail: Tail) -> None:
        """Take reports without end."""
        async for records in tail.batches():
            for record in records:
                completion = decode_batch_completion(record.value)
                if completion.status in TERMINAL and record.timestamp is not None:
                    self._by_provider.setdefault(completion.provider, []).append(Ended(completion, record.timestamp))
            self._came.set()

    async def until(self, is_enough: Callable[[], bool]) -> None:
        """Return when enough has come. Raises TimeoutError."""
        async with asyncio.timeout(LIMIT):
            while not is_enough():
                self._came.clear()
                await self._came.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What runs, and how to start more of it."""

    kafka: KafkaSettings
    names: TopicNames
    writer: Writer
    session: aiohttp.ClientSession
    reports: Reports
    sandbox_url: str
    _environment: Mapping[str, str]
    _supervisor: Supervisor
    _logs: Path

    async def consume(self, *providers: str, **settings: str) -> list[int]:
        """Start a consumer for each account and return, once all are members of their groups, their process ids."""
        parts = [
            self._part(["consume", "--provider", provider], "AUDIENCE_HEALTH_LISTEN", settings)
            for provider in providers
        ]
        await self._supervisor.start(*parts)
        return [part.process.pid for part in parts if part.process is not None]

    async def serve(self, at: Address | None = None) -> str:
        """Start ingestion, at an address or wherever it is; return its URL once it is ready."""
        part = self._part(["serve"], "AUDIENCE_LISTEN", {}, at)
        await self._supervisor.start(part)
        return f"http://{part.address}"

    def _part(
        self, arguments: list[str], listen: str, settings: Mapping[str, str], address: Address | None = None
    ) -> Part:
        at = address or Address(host="127.0.0.1", port=free_port())
        return Part(
            name=" ".join(arguments),
            arguments=arguments,
            environment={**self._environment, listen: str(at), **settings},
            output=self._logs,
        )

    @asynccontextmanager
    async def command(self, *arguments: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run another command while the block is entered."""
        with self._logs.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli.entry", *arguments, env={**self._environment, **settings},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def inject(self, **fault: object) -> None:
        """Make calls to a platform fail."""
        async with self.session.post(f"{self.sandbox_url}/_sandbox/faults", json=fault) as response:
            response.raise_for_status()

    async def clear_faults(self) -> None:
        """Let calls succeed again."""
        async with self.session.delete(f"{self.sandbox_url}/_sandbox/faults") as response:
            response.raise_for_status()

    async def until_in_flight(self, provider: str) -> None:
        """Return when a call to a platform is under way. Raises TimeoutError."""
        async with asyncio.timeout(LIMIT):
            while True:
                async with self.session.get(f"{self.sandbox_url}/_sandbox/counters") as response:
                    if (await response.json())[provider]["inFlight"]:
                        return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def local_kafka() -> AsyncIterator[KafkaSettings]:
    """Run a Kafka of our own while the block is entered."""
    with tempfile.TemporaryDirectory() as data:
        async with LocalBroker(data=Path(data)) as broker:
            yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


@asynccontextmanager
async def product(kafka: KafkaSettings, providers: Sequence[str], **settings: str) -> AsyncIterator[Product]:
    """Run the sandbox, its limits lifted, while the block is entered; ingestion and consumers are started on demand.

    The accounts are registered: what is published from now on is theirs, whenever their consumers start.
    """
    names = TopicNames(f"bench-{secrets.token_hex(4)}")
    targets = [Target(provider) for provider in providers]
    await ensure_topics(kafka, layout(names, [target.group_id(names.prefix) for target in targets]))
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "parts.log"
        writer = await stack.enter_async_context(Writer(kafka))
        await register(kafka, writer, names, targets, now)
        sandbox = Address(host="127.0.0.1", port=free_port())
        environment = _environment(kafka, names, providers, sandbox) | settings
        supervisor = await stack.enter_async_context(Supervisor())
        await supervisor.start(
            Part(
                name="sandbox",
                arguments=["sandbox"],
                environment=environment,
                ready_path="/healthz",
                output=logs,
            )
        )
        reports = Reports()
        await stack.enter_async_context(followed_completions(kafka, names, reports.follow))
        yield Product(
            kafka=kafka,
            names=names,
            writer=writer,
            session=await stack.enter_async_context(aiohttp.ClientSession()),
            reports=reports,
            sandbox_url=f"http://{sandbox}",
            _environment=environment,
            _supervisor=supervisor,
            _logs=logs,
        )


def _environment(kafka: KafkaSettings, names: TopicNames, providers: Sequence[str], sandbox: Address) -> dict[str, str]:
    """Return what the processes run with: made-up accounts that nobody slows down."""
    environment = {
        **demo_environment(os.environ).values,
        "AUDIENCE_PROVIDERS": ",".join(providers),
        "AUDIENCE_TOPIC_PREFIX": names.prefix,
        "AUDIENCE_SANDBOX_LISTEN": str(sandbox),
        "AUDIENCE_SANDBOX_LIMITS": "false",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
    }
    for provider in providers:
        name = provider.upper()
        environment |= CREDENTIALS[provider]
        environment |= {f"{name}_BASE_URL": f"http://{sandbox}/{provider}", f"{name}_PACE": "off"}
    return environment


def make_form(name: str, users: Sequence[Mapping[str, object]]) -> aiohttp.FormData:
    """Return an upload of users, in a session of its own: the same one again would be taken for a retry."""
    batch = {"sessionId": secrets.randbits(48), "sequence": 1, "totalBatches": 1, "totalUsers": len(users)}
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("name", name)
    form.add_field("batch", json.dumps(batch))
    form.add_field("users", json.dumps(users))
    return form
