"""The product that records are sent to: two accounts of the sandbox, the ledger and its view, and what they report."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sandbox.app
from checks.records.verdict import Reported
from consumer.account.account import Account
from consumer.account.runtime import Deployment, running
from consumer.account.service import consume
from consumer.account.settings import ConsumerSettings
from ledger.receipts import keep_receipts
from ledger.view_updater import followed_view
from providers.installed import installed
from providers.kit.settings import account_values, variable
from sandbox import CREDENTIALS, SandboxOptions
from schemas.avro.codec import decode_batch_completion, decode_batch_receipt
from schemas.avro.framing import Framing
from schemas.hash_keys import VARIABLE
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import Tail
from streams.tables.account_registrations import register
from streams.write.writer import Writer

PROVIDERS = ("facebook", "klaviyo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What runs, and what it has reported."""

    deployment: Deployment
    settings: ConsumerSettings
    accounts: Sequence[Account]
    tasks: "Sequence[asyncio.Task[None]]"
    """What never ends well."""
    reported: Reported

    @property
    def log(self) -> str:
        """The topic of batches."""
        return self.deployment.names.batches

    @property
    def ended(self) -> Sequence[str]:
        """The names of those that have ended."""
        return [task.get_name() for task in self.tasks if task.done()]


@asynccontextmanager
async def product(kafka: KafkaSettings, prefix: str, framing: Framing) -> AsyncIterator[Product]:
    """Serve two accounts, the ledger and its view while the block is entered, and follow what is reported."""
    names, reported, targets = TopicNames(prefix), Reported(), [Target(provider) for provider in PROVIDERS]
    await ensure_topics(kafka, layout(names, [target.group_id(names.prefix) for target in targets]))
    settings = ConsumerSettings.model_validate({"AUDIENCE_SHUTDOWN_TIMEOUT": 1, VARIABLE: "made up for checks only"})
    async with AsyncExitStack() as stack:
        async with Writer(kafka) as writer:  # or what is written before a consumer has begun is not for its account
            await register(kafka, writer, names, targets, lambda: datetime.now(UTC), framing)
        url = await stack.enter_async_context(_sandbox())
        accounts = [_account(target, url) for target in targets]
        work: dict[str, Coroutine[Any, Any, None]] = {
            str(account.target): consume(account, settings, kafka, names, framing) for account in accounts
        }
        work["ledger"] = keep_receipts(kafka, names, framing, lambda _: nullcontext())
        completions = await stack.enter_async_context(Tail(kafka, names.completions))
        receipts = await stack.enter_async_context(Tail(kafka, names.receipts))
        work["completions"] = _completions(completions, reported, framing)
        work["receipts"] = _receipts(receipts, reported, framing)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="records-")))
        view = await stack.enter_async_context(followed_view(folder / "view.sqlite", kafka, names, framing))
        for task in view.tasks:
            task.set_name("the view")
        tasks = [*view.tasks]
        for name, one in work.items():
            tasks.append(await stack.enter_async_context(running(one)))
            tasks[-1].set_name(name)
        yield Product(
            deployment=Deployment(kafka=kafka, names=names, framing=framing, log_id=await log_id(kafka, names.batches)),
            settings=settings,
            accounts=accounts,
            tasks=tasks,
            reported=reported,
        )


async def _completions(tail: Tail, reported: Reported, framing: Framing) -> None:
    async for records in tail.batches():
        for record in records:
            reported.take_completion(decode_batch_completion(record.value, framing))


async def _receipts(tail: Tail, reported: Reported, framing: Framing) -> None:
    async for records in tail.batches():
        for record in records:
            reported.take_receipt(decode_batch_receipt(record.value, framing))


@asynccontextmanager
async def _sandbox() -> AsyncIterator[str]:
    options = SandboxOptions(limits=False, latency=0.001, job_seconds=0.05)
    runner = await sandbox.app.serve("127.0.0.1", 0, options)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _account(target: Target, url: str) -> Account:
    kind = installed()[target.provider]
    environ = {**CREDENTIALS[target.provider], variable(target, "base_url"): f"{url}/{target.provider}"}
    values = {**account_values(kind.settings_type, target, environ), "pace": "off"}
    return Account(target=target, kind=kind, settings=kind.settings_type.model_validate(values))
