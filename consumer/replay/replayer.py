"""Send chosen records of the log to one account again: the same engine, in a group of its own."""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from consumer.account.account import Account
from consumer.account.runtime import Deployment, Serving, now, opened_runtime, pace_of, running
from consumer.account.settings import ConsumerSettings
from consumer.account.shutdown import tended
from consumer.delivery.delivery import FRESH, Delivery
from consumer.delivery.in_flight_limiter import OVERHEAD, InFlightLimiter
from consumer.delivery.outcome import Job, Outcome
from consumer.ordering.log_position import Verb
from consumer.ordering.standing import Standing
from consumer.records.record_handler import Handler, logged
from consumer.removals.log_memory import place_of
from consumer.replay.replay_turns import ReplayTurn, ReplayTurns
from consumer.retries.account_gate import GivenUpError
from consumer.retries.attempts import History
from consumer.retries.retry_policy import RetryPolicy
from providers.kit.errors import PlatformError
from providers.kit.pre_send_checks import PreSendCheck, pre_send_check
from schemas.avro.codec import is_todays_batch
from schemas.records import AudienceBatch, BatchCompletion, Origin, is_of_log
from schemas.target import Target
from streams.client.errors import TopicMadeAnewError
from streams.cluster.topic_ids import topic_ids
from streams.cluster.topic_watch import watched_topics
from streams.read.batch_decoding import head_in
from streams.read.chosen_records import GONE, ChosenRecordReader
from streams.read.consumer_thread import Record
from streams.read.messages import SURE
from streams.tables.log_creation import log_creation
from streams.write.writer import Writer

LONGEST_WAIT = 300.0
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
class ReplayOrder:
    """What to send again under which id, by which share of the account's pace, from above 0 to 1."""

    replay_id: str
    wishes: Mapping[Origin, Wish]
    rate: float
    removed: Collection[AudienceBatch]
    """A removal of each audience with removals, by the receipts."""
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


class ReplayObserver(Protocol):
    """Who is logged how far the replay of one account is."""

    def begun(self, before: Sequence[Origin]) -> None:
        """Note which records were finished before."""

    def ended(self, completion: BatchCompletion) -> None:
        """Note how a record ended, once Kafka has its completion."""

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        """Note what parks the account, None for nothing, and how long the platform has it wait; again and again."""


async def replay(
    account: Account, settings: ConsumerSettings, deployment: Deployment, order: ReplayOrder, observer: ReplayObserver
) -> None:
    """Send what is ordered, and return when each record has a completion that Kafka has acknowledged.

    What was finished under the same id before is left out. Cancelled, it finishes what is in hand within the limit
    and commits. Raises StaysParkedError, StreamError.
    """
    policy = RetryPolicy(
        attempts=settings.retry_attempts,
        max_age=settings.retry_age,
        longest_in_place=LONGEST_WAIT,
        longest_alone=LONGEST_WAIT,
    )
    slowed = _slowed(account, order.rate)
    pace = pace_of(slowed, deployment.time)
    pace.share_by(lambda: order.rate)
    serving = Serving(pace=pace, policy=policy, called=order.replay_id, with_attributes=order.with_attributes)
    async with AsyncExitStack() as stack:
        names = deployment.names
        ids = await topic_ids(deployment.kafka, (names.batches, names.accounts, names.directory))
        watch = await stack.enter_async_context(watched_topics(deployment.kafka, names.batches, ids))
        if not is_of_log(deployment.log_id, watch.log_id):
            raise TopicMadeAnewError
        writer = await stack.enter_async_context(Writer(deployment.kafka))
        created = await log_creation(deployment.kafka, writer, names, now, deployment.framing)
        deployment = replace(deployment, created_with=created.partitions)
        runtime = await stack.enter_async_context(opened_runtime(slowed, settings, deployment, writer, serving))
        if removals := runtime.handler.delivery.removals:  # the account may be new, and not have met them itself
            removals.found_in_log |= removals.memory.audiences_of(order.removed)
        reader = ChosenRecordReader(
            deployment.kafka,
            group_id=replay_group(account.target, deployment.names.prefix, order.replay_id),
            topic=deployment.names.batches,
            wanted=order.wishes,
            max_in_flight_bytes=settings.in_flight,
            topic_id=deployment.log_id,
            sure=SURE,
        )
        await stack.enter_async_context(reader)
        observer.begun(reader.finished_before)
        breaker = runtime.handler.delivery.breaker
        parked = await stack.enter_async_context(running(_look_at(runtime.handler.delivery, observer)))
        limiter = InFlightLimiter(math.inf, settings.decoded)
        replayer = Replayer(handler=runtime.handler, reader=reader, order=order, limiter=limiter, observer=observer)
        await tended(
            replayer.run(), (*runtime.background, parked, watch.watching), replayer.stop, breaker, settings.finishing
        )


def _slowed(account: Account, rate: float) -> Account:
    """Return the account with a share of its slots: not every platform documents a rate."""
    slots = max(1, int(account.settings.slots * rate))
    settings = account.settings.model_copy(update={"slots": slots})
    return Account(target=account.target, kind=account.kind, settings=settings)


async def _look_at(delivery: Delivery, observer: ReplayObserver) -> None:
    """Tell what is waited for. Raises StaysParkedError once the account was parked for LONGEST_WAIT seconds."""
    breaker, time, parked_at = delivery.breaker, delivery.time, None
    while True:
        error = breaker.parked_by
        observer.waits(error, delivery.throttles.pace.held)
        if error is None:
            parked_at = None
        elif parked_at is None:
            parked_at = time.clock()
        elif time.clock() - parked_at >= LONGEST_WAIT:
            raise StaysParkedError(error)
        await time.sleep(LOOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayer:
    """One account's replay at work. Of an audience a removal goes alone, in the order of the log."""

    handler: Handler
    reader: ChosenRecordReader
    order: ReplayOrder
    limiter: InFlightLimiter
    observer: ReplayObserver
    _is_stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: ReplayTurns = field(default_factory=ReplayTurns)

    async def run(self) -> None:
        """Handle all records, or until logged to stop those that are under way."""
        async with asyncio.TaskGroup() as tasks:
            async for records in self.reader.batches():
                for record in records:
                    turn = self._turns.met(self.order.wishes[record.origin].audience, await self._verb(record))
                    tasks.create_task(self._handle(record, turn))

    async def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping.set()
        await self.reader.stop_reading()

    async def _verb(self, record: Record) -> Verb:
        """Return what a record does; one that may end our process is not looked into, and goes alone."""
        if record.is_suspect or self.order.wishes[record.origin].is_suspect:
            return "remove"

        def read() -> AudienceBatch | None:
            return head_in(record, self.handler.framing)

        head = read() if is_todays_batch(record.value) else await self.handler.decoded(read)
        return head.mode if head is not None else "add"

    async def _handle(self, record: Record, turn: ReplayTurn) -> None:
        """1. Wait for the audience's turn. 2. Deliver. 3. Have the completion acknowledged. 4. Let it be committed."""
        wish = self.order.wishes[record.origin]
        async with turn.taken():
            completion = await self.handler.contained(record.origin, lambda: self._completion(record, wish))
            if completion is not None:
                await self.handler.report(completion)
                self.reader.finish(record)
                self.observer.ended(completion)

    async def _completion(self, record: Record, wish: Wish) -> BatchCompletion | None:
        """Return how a record ended, None where it was not begun."""
        size = len(record.value) + OVERHEAD
        await self.limiter.take(size)
        try:
            return None if self._is_stopping.is_set() else await self._sent(record, wish)
        finally:
            self.limiter.give_back(size)

    async def _sent(self, record: Record, wish: Wish) -> BatchCompletion | None:
        if record.error == GONE:
            return logged(self.handler.job(record.origin).completion("failed", error_code="expired"))
        standing = Standing(place=place_of(record, self.handler.log_id), is_late=True)
        opened = await self.handler.opened(replace(record, is_suspect=record.is_suspect or wish.is_suspect))
        if isinstance(opened, BatchCompletion):
            return opened
        job, batch = opened
        with pre_send_check(self._look_once_begun()):
            outcome = await self._delivered(job, batch, wish, standing)
        if outcome.is_given_up:
            return None
        if outcome.postponed is not None:
            outcome.fail(outcome.postponed.error)
        return logged(job.completed(outcome))

    def _look_once_begun(self) -> PreSendCheck:
        """Return what is asked before the calls of one record: after a stop none begins that has sent nothing yet."""
        has_begun = False

        async def look() -> None:
            nonlocal has_begun
            if self._is_stopping.is_set() and not has_begun:
                raise GivenUpError
            has_begun = True

        return look

    async def _delivered(self, job: Job, batch: AudienceBatch, wish: Wish, standing: Standing) -> Outcome:
        """Deliver, and go on where a search or a job of the platform is waited for, as there are no pointers."""
        time, history = self.handler.time, FRESH
        begun, excused = time.clock(), 0.0
        while True:
            again = msgspec.structs.replace(batch, users=[*batch.users])  # which are taken out when they are delivered
            outcome = await self.handler.deliver(job, again, lambda: True, history, wish.only, standing)
            postponed = outcome.postponed
            if postponed is None or not postponed.is_progressing:
                return outcome
            await self.handler.report(job.progress(postponed.error, outcome))
            await time.sleep(postponed.seconds)
            excused += outcome.excused
            age = time.clock() - begun - excused
            history = History(attempts=outcome.attempts, age=age, progress=outcome.progress())
