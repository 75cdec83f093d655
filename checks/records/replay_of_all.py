"""A replay of everything that stands in the log, at the end of a run."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from checks.records.product import Product
from checks.records.report import Report
from checks.records.verdict import faults_of_replay
from cli.replay.log_scan import planned
from cli.replay.saved_replays import Replay, new_id
from cli.replay.selection import Choice, Part
from consumer.account.account import Account
from consumer.replay.replayer import ReplayOrder, replay
from providers.kit.errors import PlatformError
from schemas.records import BatchCompletion, Origin
from streams.read.topic_offsets import end_offsets

STANDSTILL = 120.0
"""Seconds in which something of a replay must end while anything has yet to."""


@dataclass(slots=True)
class _Observer:
    """Notes when something ended last."""

    moved: float = field(default_factory=time.monotonic)

    def begun(self, before: Sequence[Origin]) -> None:
        del before

    def ended(self, completion: BatchCompletion) -> None:
        del completion
        self.moved = time.monotonic()

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        del error, seconds


async def replay_all(product: Product, report: Report) -> None:
    """Send all valid records again to those whom they are meant for, and judge how each ended."""
    observer = _Observer()
    sending = asyncio.create_task(_send(product, observer))
    while not sending.done() and _is_moving(observer) and not product.ended:
        await asyncio.wait({sending}, timeout=1)
    if not sending.done():
        report.note("the replay stands still, or somebody ended", ", ".join(product.ended))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    if not sending.cancelled() and (error := sending.exception()):
        report.note(f"the replay ended by {type(error).__name__}")
    await _until_reported(product)
    for name in product.ended:
        report.note(f"{name} ended", "at the replay")
    for fault in faults_of_replay(product.reported):
        report.note(fault, "at the replay")
    for (_, provider), ends in product.reported.replayed.items():
        report.replayed.update(f"{provider} {end}" for end in ends)


def _is_moving(observer: _Observer) -> bool:
    return time.monotonic() - observer.moved < STANDSTILL


async def _send(product: Product, observer: _Observer) -> None:
    """1. Choose, by the receipts. 2. Send to all accounts at once, as fast as live traffic."""
    found = Replay(
        id=new_id(),
        created_at=datetime.now(UTC),
        log=product.log,
        log_id=product.deployment.log_id,
        ends=await end_offsets(product.deployment.kafka, product.log),
        targets=[str(account.target) for account in product.accounts],
        choice=Choice(),
        rate=1.0,
        with_attributes=True,
    )
    plan = await planned(found, [account.target for account in product.accounts], product.deployment)
    plan.check()
    async with asyncio.TaskGroup() as tasks:
        for account, part in zip(product.accounts, plan.parts, strict=True):
            tasks.create_task(_send_one(product, account, part, found, observer))


async def _send_one(product: Product, account: Account, part: Part, found: Replay, observer: _Observer) -> None:
    order = ReplayOrder(
        replay_id=found.id,
        wishes=part.wishes,
        rate=found.rate,
        removed=part.removed,
        with_attributes=found.with_attributes,
    )
    await replay(account, product.settings, product.deployment, order, observer)


async def _until_reported(product: Product, limit: float = 10.0) -> None:
    """Wait for completions that Kafka has and we have not read yet."""
    deadline = time.monotonic() + limit
    while not product.reported.is_replayed and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
