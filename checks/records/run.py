"""A run: two accounts and the ledger are served, sent everything, and asked what became of each record."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sandbox
from checks.records.values import Made, make_good, make_value
from checks.records.verdict import Reported, faults_of
from consumer.account.runtime import Account, running
from consumer.account.service import consume
from consumer.account.settings import ConsumerSettings
from ledger.receipts import keep_receipts
from ledger.view_updater import followed_view
from providers.installed import installed
from providers.kit.settings import account_values, variable
from sandbox import CREDENTIALS, SandboxOptions
from schemas.avro.codec import decode_batch_completion, decode_batch_receipt
from schemas.avro.framing import Framing
from schemas.records import Origin
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import Tail
from streams.tables.account_registrations import register
from streams.write.writer import Writer

PROVIDERS = ("facebook", "klaviyo")
AT_ONCE = 100
"""Records after which a good one comes."""

PATIENCE = 120.0
"""Seconds in which something must end while anything has yet to; it takes one or two, on a busy machine some more."""


@dataclass(slots=True)
class Report:
    """What came of a run."""

    sent: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The number of the first record that had a fault, and what was done to it."""

    def note(self, fault: str, where: str = "") -> None:
        """Count a fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, where)


async def run(kafka: KafkaSettings, prefix: str, seed: int, records: int, say: Callable[[str], None]) -> Report:
    """Send so many records, a good one after each hundred, and judge what was reported of them."""
    names, report = TopicNames(prefix), Report()
    async with _product(kafka, names) as (tasks, reported), Writer(kafka) as writer:
        flood = _Flood(names.batches, writer, reported, tasks, report, seed)
        for first in range(0, records, AT_ONCE):
            await flood.send(range(first, min(first + AT_ONCE, records)))
            if report.faults:
                break
            if first % (AT_ONCE * 50) == 0:
                say(f"{first + AT_ONCE} records")
    report.verdicts = flood.verdicts
    return report


@dataclass(slots=True)
class _Flood:
    """Sends the records of a seed."""

    topic: str
    writer: Writer
    reported: Reported
    tasks: "Sequence[asyncio.Task[None]]"
    report: Report
    seed: int
    verdicts: Counter[str] = field(default_factory=Counter)

    async def send(self, numbers: range) -> None:
        """Send some records and a good one, wait until all have ended, and judge them."""
        made = [make_value(self.seed, number) for number in numbers]
        good = Made(make_good(random.Random(f"{self.seed}-good-{numbers.start}")), "good")  # noqa: S311 -- made up
        origins = await asyncio.gather(*(self._send(one) for one in [*made, good]))
        self.report.sent += len(made)
        if not await self._until_ended(origins):
            self.report.note("not all is ended in time", f"records {numbers.start} to {numbers.stop}")
        for task in self.tasks:
            if task.done():
                self.report.note(f"{task.get_name()} ended", f"records {numbers.start} to {numbers.stop}")
        for number, one, origin in zip([*numbers, numbers.stop], [*made, good], origins, strict=True):
            for fault in faults_of(self.reported, origin, PROVIDERS):
                self.report.note(fault, f"record {number} ({one.kind})")
        if not self.reported.is_delivered(origins[-1]):
            self.report.note("a good record is not delivered everywhere", f"after record {numbers.stop - 1}")
        self.verdicts += self.reported.verdicts()
        self.reported.receipts.clear()
        self.reported.ends.clear()

    async def _send(self, made: Made) -> Origin:
        return await self.writer.send(self.topic, "custom:VIP", made.value)

    async def _until_ended(self, origins: Sequence[Origin]) -> bool:
        left, deadline = set(origins), time.monotonic() + PATIENCE
        while still := {origin for origin in left if not self.reported.is_ended(origin, PROVIDERS)}:
            if len(still) < len(left):
                left, deadline = still, time.monotonic() + PATIENCE
            if time.monotonic() > deadline or any(task.done() for task in self.tasks):
                return False
            await asyncio.sleep(0.05)
        return True


@asynccontextmanager
async def _product(
    kafka: KafkaSettings, names: TopicNames
) -> "AsyncIterator[tuple[Sequence[asyncio.Task[None]], Reported]]":
    """Serve two accounts of the sandbox, the ledger and its view, and follow what is reported."""
    targets, framing, reported = [Target(provider) for provider in PROVIDERS], Framing(), Reported()
    await ensure_topics(kafka, layout(names, [target.group_id(names.prefix) for target in targets]))
    settings = ConsumerSettings.model_validate({"AUDIENCE_SHUTDOWN_TIMEOUT": 1})
    async with AsyncExitStack() as stack:
        async with Writer(kafka) as writer:  # or what is written before a consumer has begun is not for its account
            await register(kafka, writer, names, targets, lambda: datetime.now(UTC))
        url = await stack.enter_async_context(_sandbox())
        completions = await stack.enter_async_context(Tail(kafka, names.completions))
        receipts = await stack.enter_async_context(Tail(kafka, names.receipts))
        work: dict[str, Coroutine[Any, Any, None]] = {
            str(target): consume(_account(target, url), settings, kafka, names, framing) for target in targets
        }
        work["ledger"] = keep_receipts(kafka, names, framing, lambda _: nullcontext())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="records-")))
        view = await stack.enter_async_context(followed_view(folder / "view.sqlite", kafka, names, framing))
        work["completions"], work["receipts"] = _completions(completions, reported), _receipts(receipts, reported)
        tasks = []
        for name, one in work.items():
            tasks.append(await stack.enter_async_context(running(one)))
            tasks[-1].set_name(name)
        for task in view.tasks:
            task.set_name("the view")
        yield [*tasks, *view.tasks], reported


async def _completions(tail: Tail, reported: Reported) -> None:
    async for records in tail.batches():
        for record in records:
            reported.take_completion(decode_batch_completion(record.value))


async def _receipts(tail: Tail, reported: Reported) -> None:
    async for records in tail.batches():
        for record in records:
            reported.take_receipt(decode_batch_receipt(record.value))


@asynccontextmanager
async def _sandbox() -> AsyncIterator[str]:
    options = SandboxOptions(limits=False, latency=0.001, job_seconds=0.05)
    runner = await sandbox.serve("127.0.0.1", 0, options)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _account(target: Target, url: str) -> Account:
    kind = installed()[target.provider]
    environ = {**CREDENTIALS[target.provider], variable(target, "base_url"): f"{url}/{target.provider}"}
    values = {**account_values(kind.settings_type, target, environ), "pace": "off"}
    return Account(target=target, kind=kind, settings=kind.settings_type.model_validate(values))
