"""Send chosen records of the log to one account again: the same engine, in a group of its own."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from consumer.account.pipeline import Account, Manner, Where, opened_way, running
from consumer.account.service import SPARE
from consumer.account.settings import ConsumerSettings
from consumer.account.shutdown import tended
from consumer.delivery.completion_report import Job, Tally
from consumer.delivery.delivery import FRESH, Delivery
from consumer.records.concurrency_limit import Places
from consumer.records.record_handler import Handler, told
from consumer.retries.attempts import History
from consumer.retries.retry_policy import RetryPolicy
from providers.kit.errors import PlatformError
from schemas.records import AudienceBatch, BatchCompletion, Origin, is_of_log
from schemas.target import Target
from streams.client.errors import TopicMadeAnewError
from streams.cluster.topic_ids import topic_ids
from streams.cluster.topic_watch import watched_topics
from streams.read.chosen_records import GONE, PickReader
from streams.read.consumer_thread import Record
from streams.read.messages import SURE
from streams.write.writer import Writer

PATIENCE = 300.0
"""Seconds that a call is waited for in place, after which it fails; and a parked account, which is then left."""

LOOK = 1.0
"""Seconds between looks at whether the account is parked."""


class StaysParkedError(Exception):
    """The account is parked and stays so: what is left can be sent when somebody has seen to it."""

    def __init__(self, error: PlatformError) -> None:
        super().__init__(error.code)
        self.error = error


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a record: its audience, and of its users only those with these indexes, None for all.

    One that is suspect is tried in a child process first, as it may be quarantined.
    """

    audience: str
    only: Collection[int] | None = None
    is_suspect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to send again under which id, by which share of the account's pace, from above 0 to 1."""

    replay_id: str
    wishes: Mapping[Origin, Wish]
    rate: float
    with_attributes: bool = False


def replay_group(target: Target, prefix: str, replay_id: str) -> str:
    """Return the group in which an account's part of a replay is committed."""
    return f"{target.group_id(prefix)}.replay.{replay_id}"


def replay_of(group: str, prefix: str) -> tuple[Target, str] | None:
    """Return the account and the replay whose group this is, None where it is no replay's."""
    account, replay, replay_id = group.rpartition(".replay.")
    first, *others = account.removeprefix(f"{prefix}.").split(".")
    if not replay or not account.startswith(f"{prefix}.") or len(others) > 1:
        return None
    return Target(first, *others), replay_id


class Onlooker(Protocol):
    """Who is told how far the replay of one account is."""

    def begun(self, before: Sequence[Origin]) -> None:
        """Hear which records were finished before."""

    def ended(self, completion: BatchCompletion) -> None:
        """Hear how a record ended, once Kafka has its completion."""

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        """Hear what parks the account, None for nothing, and how long the platform has it wait; again and again."""


async def replay(account: Account, settings: ConsumerSettings, where: Where, order: Order, onlooker: Onlooker) -> None:
    """Send what is ordered, and return when each record has a completion that Kafka has acknowledged.

    What was finished under the same id before is left out. Cancelled, it finishes what is in hand within the limit
    and commits. Raises StaysParkedError, StreamError.
    """
    policy = RetryPolicy(
        attempts=settings.retry_attempts,
        max_age=settings.retry_age,
        longest_in_place=PATIENCE,
        longest_alone=PATIENCE,
    )
    manner = Manner(
        share=lambda: order.rate, policy=policy, called=order.replay_id, with_attributes=order.with_attributes
    )
    slowed = _slowed(account, order.rate)
    async with AsyncExitStack() as stack:
        names = where.names
        ids = await topic_ids(where.kafka, (names.batches, names.accounts, names.directory))
        watch = await stack.enter_async_context(watched_topics(where.kafka, names.batches, ids))
        if not is_of_log(where.log_id, watch.log_id):
            raise TopicMadeAnewError
        writer = await stack.enter_async_context(Writer(where.kafka))
        way = await stack.enter_async_context(opened_way(slowed, settings, where, writer, manner))
        reader = PickReader(
            where.kafka,
            group_id=replay_group(account.target, where.names.prefix, order.replay_id),
            topic=where.names.batches,
            wanted=order.wishes,
            max_in_hand_bytes=settings.in_hand,
            topic_id=where.log_id,
            sure=SURE,
        )
        await stack.enter_async_context(reader)
        onlooker.begun(reader.finished_before)
        gate = way.handler.delivery.gate
        parked = await stack.enter_async_context(running(_look_at(way.handler.delivery, onlooker)))
        places = Places(slowed.settings.slots + SPARE, settings.in_hand)
        replayer = Replayer(handler=way.handler, reader=reader, order=order, places=places, onlooker=onlooker)
        await tended(replayer.run(), (*way.background, parked, watch.watching), replayer.stop, gate, settings.finishing)


def _slowed(account: Account, rate: float) -> Account:
    """Return the account with a share of its slots: not every platform documents a rate."""
    slots = max(1, int(account.settings.slots * rate))
    settings = account.settings.model_copy(update={"slots": slots})
    return Account(target=account.target, kind=account.kind, settings=settings)


async def _look_at(delivery: Delivery, onlooker: Onlooker) -> None:
    """Tell what is waited for. Raises StaysParkedError once the account was parked for PATIENCE seconds."""
    gate, time, parked_at = delivery.gate, delivery.time, None
    while True:
        error = gate.closed_by
        onlooker.waits(error, delivery.throttles.pace.held)
        if error is None:
            parked_at = None
        elif parked_at is None:
            parked_at = time.clock()
        elif time.clock() - parked_at >= PATIENCE:
            raise StaysParkedError(error)
        await time.sleep(LOOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayer:
    """One account's replay at work. Records of one audience go one after the other, in the order of the log."""

    handler: Handler
    reader: PickReader
    order: Order
    places: Places
    onlooker: Onlooker
    _is_stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def run(self) -> None:
        """Handle all records, or until told to stop those that are under way."""
        async with asyncio.TaskGroup() as tasks:
            async for records in self.reader.batches():
                for record in records:
                    tasks.create_task(self._handle(record))

    async def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping.set()
        await self.reader.stop_reading()

    async def _handle(self, record: Record) -> None:
        """1. Wait for the audience's turn. 2. Deliver. 3. Have the completion acknowledged. 4. Let it be committed."""
        wish = self.order.wishes[record.origin]
        async with self._turns[wish.audience]:
            completion = await self.handler.contained(record.origin, lambda: self._completion(record, wish))
            if completion is not None:
                await self.handler.report(completion)
                self.reader.finish(record)
                self.onlooker.ended(completion)

    async def _completion(self, record: Record, wish: Wish) -> BatchCompletion | None:
        """Return how a record ended, None where it was not begun."""
        size = len(record.value)
        await self.places.take(size)
        try:
            return None if self._is_stopping.is_set() else await self._sent(record, wish)
        finally:
            self.places.give_back(size)

    async def _sent(self, record: Record, wish: Wish) -> BatchCompletion:
        if record.error == GONE:
            return told(self.handler.job(record.origin).completion("failed", error_code="expired"))
        opened = await self.handler.opened(replace(record, is_suspect=record.is_suspect or wish.is_suspect))
        if isinstance(opened, BatchCompletion):
            return opened
        job, batch = opened
        tally = await self._delivered(job, batch, wish)
        if tally.postponed is not None:
            tally.fail(tally.postponed.error)
        return told(job.outcome(tally))

    async def _delivered(self, job: Job, batch: AudienceBatch, wish: Wish) -> Tally:
        """Deliver, and go on where a search for refused rows is put off: without pointers that is waited for here."""
        time, history = self.handler.time, FRESH
        begun, excused = time.clock(), 0.0
        while True:
            tally = await self.handler.deliver(job, batch, lambda: True, history, wish.only)
            postponed = tally.postponed
            if postponed is None or not postponed.is_search:
                return tally
            await self.handler.report(job.progress(postponed.error, tally))
            await time.sleep(postponed.seconds)
            excused += tally.excused
            age = time.clock() - begun - excused
            history = History(attempts=tally.attempts, age=age, progress=tally.progress())
