"""Put a consumer group together, run it, and end it in order."""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass

from consumer.account.account import Account
from consumer.account.health import serve_health
from consumer.account.metrics import AccountBacklog, AccountCounters
from consumer.account.pace_share import share_of
from consumer.account.retention_losses import RetentionLosses
from consumer.account.runtime import Deployment, Serving, now, opened_runtime, pace_of, running
from consumer.account.settings import ConsumerSettings
from consumer.account.shutdown import tended
from consumer.account.side_by_side import side_by_side
from consumer.delivery.in_flight_limiter import InFlightLimiter
from consumer.records.audience_order import AudienceOrder
from consumer.records.intake import Intake
from consumer.records.missed_removals import MissedRemovals
from consumer.records.open_removals import OpenRemovals
from consumer.records.partition_activity import PartitionActivity
from consumer.records.retry_pointers import RetryPointerWriter, trial_of_pointers
from consumer.records.retry_reader import RetryReader
from consumer.records.runner import Runner
from consumer.retries.clock import REAL_TIME, Time
from consumer.retries.retry_policy import RetryPolicy
from schemas.avro.framing import Framing
from schemas.metrics.definitions import KAFKA_ACKNOWLEDGEMENT
from schemas.metrics.registry import Metrics
from schemas.records import AccountRegistration
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.partition_counts import followed_partitions
from streams.cluster.process_samples import member_samples
from streams.cluster.readiness import Readiness, Unready
from streams.cluster.topic_ids import topic_ids
from streams.cluster.topic_watch import anew, watched_topics
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Assignment
from streams.read.group_member import Leaving, OnLoss
from streams.read.group_reader import GroupReader
from streams.read.messages import SURE
from streams.read.record_fetcher import RecordFetcher
from streams.read.ungrouped import UngroupedConsumer
from streams.tables.account_registrations import register
from streams.tables.log_creation import Homes
from streams.tables.removals import know_removals
from streams.write.writer import Writer

MOST_POINTERS = 20_000
"""Pointers to later attempts that are kept in memory, about a kilobyte each."""

MOST_RECORDS = 3_000
"""Records of the log that are in hand, be they with the platform, waiting for it or for a place; memory bounds them
before, where they are not small."""


Around = Callable[[GroupReader], AbstractContextManager[None]]


async def consume(  # noqa: PLR0913 -- what is served, where, and for a test how
    account: Account,
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    *,
    time: Time = REAL_TIME,
    around: Around = lambda _: nullcontext(),
    metrics: Metrics | None = None,
) -> None:
    """Serve an account until cancelled; its topics exist.

    Cancelled, it stops reading, finishes what is in hand within the limit, commits and leaves the group. Where a topic
    was made anew it begins again with the new one. `around` is entered while records are read. Raises StreamError where
    Kafka can't be worked with.
    """
    deployment = Deployment(kafka=kafka, names=names, framing=framing, time=time)
    process = _Process(account, time, metrics or Metrics())
    with process.metrics.reading(lambda: member_samples(process.readiness)):
        async with health_of(settings, process.readiness.why_not, process.metrics):
            await anew(lambda: _consume(account, settings, deployment, process, around))


class _Process:
    """What outlasts a topic that is made anew: the platform counts calls on, and so do we."""

    def __init__(self, account: Account, time: Time, metrics: Metrics) -> None:
        self.readiness, self.metrics, self.pace = Readiness(), metrics, pace_of(account, time)
        self.acknowledged = metrics.observed(KAFKA_ACKNOWLEDGEMENT)
        self.counters = AccountCounters(metrics, account.target)


async def _consume(
    account: Account, settings: ConsumerSettings, deployment: Deployment, process: _Process, around: Around
) -> None:
    async with _open(account, settings, deployment, process) as parts:
        runner, breaker = parts.runner, parts.runner.handler.delivery.breaker
        with around(runner.reader):
            await tended(runner.run(), parts.background, runner.reader.stop_reading, breaker, settings.finishing)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What makes up a consumer."""

    runner: Runner
    background: "tuple[asyncio.Task[None], ...]"
    """What never ends well."""


@asynccontextmanager
async def _open(
    account: Account, settings: ConsumerSettings, deployment: Deployment, process: _Process
) -> AsyncIterator[_Parts]:
    pace, readiness = process.pace, process.readiness
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(deployment.kafka, on_acknowledged=process.acknowledged.observe))
        everyone, ids, homes = await _introduced(account, settings, deployment, writer)
        registered = everyone[account.target]
        watch = await stack.enter_async_context(watched_topics(deployment.kafka, deployment.names.batches, ids))
        created = await homes.creation(watch.log_id)
        deployment = dataclasses.replace(deployment, log_id=watch.log_id, created_with=created.partitions)
        losses = RetentionLosses(account.target, writer, deployment, now)
        hooks = _Hooks(account.settings.timeout)
        reader, pointers = _readers(account, settings, deployment, ids, registered, losses.note, hooks)
        counting = followed_partitions(deployment.kafka, deployment.names.batches, len(registered.first_offsets))
        partitions = await stack.enter_async_context(counting)
        pace.share_by(lambda: share_of(reader.partitions, partitions.count))
        serving = Serving(
            pace=pace,
            policy=RetryPolicy(attempts=settings.retry_attempts, max_age=settings.retry_age),
            on_call=process.counters.called,
            on_reported=process.counters.reported,
        )
        runtime = await stack.enter_async_context(opened_runtime(account, settings, deployment, writer, serving))
        reporting = await stack.enter_async_context(running(losses.write_noted()))
        for one in (reader, pointers):
            await stack.enter_async_context(one)
        readiness.reader, readiness.writer = reader, writer
        limiter = InFlightLimiter(math.inf, settings.decoded)
        handler, names = runtime.handler, deployment.names
        open_removals = OpenRemovals(
            target=account.target,
            states=runtime.states,
            writer=writer,
            topic=names.accounts,
            framing=deployment.framing,
            log=names.batches,
            log_id=deployment.log_id,
            time=deployment.time,
            clock=now,
        )
        order = AudienceOrder(
            open_removals=open_removals, clock=deployment.time.clock, longest_call=account.settings.timeout
        )
        hooks.order = order
        log_reader = stack.enter_context(UngroupedConsumer(deployment.kafka, names.batches))
        retries = RetryReader(
            handler=handler,
            pointers=pointers,
            writer=RetryPointerWriter(handler=handler, topic=names.retry(account.target.group_id(names.prefix))),
            fetcher=RecordFetcher(log_reader, sure=SURE),
            log_topic=names.batches,
            limiter=limiter,
            activity=hooks.pointers,
            open_removals=open_removals,
            trial=await stack.enter_async_context(trial_of_pointers(deployment.framing)),
        )
        backlog = AccountBacklog(
            target=account.target,
            reader=reader,
            pointers=pointers,
            schedule=retries.schedule,
            pace=pace,
            ends=lambda: watch.ends,
        )
        stack.enter_context(process.metrics.reading(backlog.samples))
        runner = Runner(
            handler=handler,
            reader=reader,
            intake=Intake(handler=handler, reader=reader, order=order, activity=hooks.records),
            retries=retries,
            missed=MissedRemovals(
                handler=handler,
                reader=reader,
                open_removals=open_removals,
                writer=retries.writer,
                kafka=deployment.kafka,
                topic=names.batches,
                first_offset=lambda partition: registered.first_offset(partition, deployment.log_id),
                assigned=hooks.assigned,
            ),
            limiter=limiter,
        )
        yield _Parts(runner, (*runtime.background, reporting, partitions.following, watch.watching))


class _Hooks:
    """What the readers, which come first, are told and tell of the order of audiences."""

    def __init__(self, longest_call: float) -> None:
        self.records = PartitionActivity(longest_call=longest_call)
        self.pointers = PartitionActivity(longest_call=longest_call)
        self.assigned: asyncio.Queue[Assignment] = asyncio.Queue()
        self.order: AudienceOrder | None = None

    def given_up(self, assignments: Collection[Assignment]) -> None:
        """Tell the order, once there is one, which partitions are held no longer."""
        if self.order is not None:
            self.order.given_up(assignments)

    def leaving(self, activity: PartitionActivity) -> Leaving:
        """Return what a reader asks before it leaves a partition."""
        return Leaving(is_quiet=activity.is_quiet, longest_call=activity.longest_call)


async def _introduced(
    account: Account, settings: ConsumerSettings, deployment: Deployment, writer: Writer
) -> tuple[Mapping[Target, AccountRegistration], Mapping[str, str], Homes]:
    """Have it known where the account begins and that it knows removals, which it does with a key; ask for the topics.

    Return the registrations, the ids of the topics, and where audiences are at home.
    """
    kafka, names, framing = deployment.kafka, deployment.names, deployment.framing
    homes = Homes(kafka, writer, names, framing, now)

    async def know() -> None:
        if settings.keys is not None:
            await know_removals(kafka, writer, names.accounts, str(account.target), framing, now)

    registering = side_by_side(
        register(kafka, writer, names, [account.target], now, framing),
        topic_ids(kafka, (names.batches, *_read(account, deployment))),
    )
    (everyone, ids), _ = await side_by_side(registering, side_by_side(know(), homes.creation()))
    return everyone, ids, homes


def _read(account: Account, deployment: Deployment) -> Collection[str]:
    """Return the topics besides the log that a consumer reads."""
    names = deployment.names
    return names.retry(account.target.group_id(names.prefix)), names.accounts, names.directory


def _readers(
    account: Account,
    settings: ConsumerSettings,
    deployment: Deployment,
    ids: Mapping[str, str],
    registered: AccountRegistration,
    on_loss: OnLoss,
    hooks: "_Hooks",
) -> tuple[GroupReader, GroupReader]:
    """Return the readers of the log and of the pointers to later attempts."""
    kafka, names = deployment.kafka, deployment.names
    group = account.target.group_id(names.prefix)
    log_reader = GroupReader(
        kafka,
        group_id=group,
        topic=names.batches,
        first_offset=lambda partition: registered.first_offset(partition, deployment.log_id),
        max_in_flight_bytes=settings.in_flight,
        max_in_flight_records=MOST_RECORDS,
        on_loss=on_loss,
        topic_id=deployment.log_id,
        leaving=hooks.leaving(hooks.records),
        on_assigned=hooks.assigned.put_nowait,
        on_given_up=hooks.given_up,
    )
    retry = names.retry(group)
    pointers = GroupReader(
        kafka,
        group_id=retry,
        topic=retry,
        first_offset=lambda _: 0,
        max_in_flight_records=MOST_POINTERS,
        topic_id=ids.get(retry),
        with_headers=True,
        leaving=hooks.leaving(hooks.pointers),
    )
    return log_reader, pointers


def health_of(settings: ConsumerSettings, unready: Unready, metrics: Metrics) -> AbstractAsyncContextManager[None]:
    """Return what serves a group's health and metrics while it is entered, if the settings ask for it."""
    if settings.health_listen is None:
        return nullcontext()
    host, _, port = settings.health_listen.rpartition(":")
    return serve_health(host.strip("[]"), int(port), unready, metrics)
