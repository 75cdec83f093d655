"""What delivers to one account, put together: session, pace, directory, states, gate, delivery."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from consumer.account.account import Account, owner_of
from consumer.account.settings import ConsumerSettings
from consumer.account.side_by_side import side_by_side
from consumer.account.state_announcer import StateAnnouncer, announce_nothing, throttle_unless_blocked
from consumer.account.state_listener import StateListener
from consumer.delivery.audiences import Audiences
from consumer.delivery.delivery import Delivery
from consumer.delivery.rows_in_flight import RowsInFlight
from consumer.ordering.audience_key import audience_key
from consumer.records.record_handler import Handler
from consumer.removals.account_removals import AccountRemovals, check_hash_keys
from consumer.removals.identifiers import Identifiers
from consumer.removals.log_memory import LogMemory
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import REAL_TIME, Time
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.installed import open_account, open_session, rates_of
from providers.kit.provider import AnyProvider
from providers.kit.rate_limiter import Pace
from providers.kit.rows.users_to_rows import warm_up
from schemas.avro.framing import Framing
from schemas.hash_keys import HashKey
from schemas.records import LIVE, BatchCompletion
from schemas.validity import misplaced
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.containment.batch_trial import trial_of_batches
from streams.containment.quarantine import Trial
from streams.containment.scan_trial import ScanTrial
from streams.read.messages import SURE
from streams.read.record_fetcher import RecordFetcher
from streams.read.topic_offsets import ends_by
from streams.read.ungrouped import UngroupedConsumer
from streams.tables.account_states import States, followed_states
from streams.tables.audience_directory import followed
from streams.write.writer import Writer


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where records are read and reported, and how they are encoded."""

    kafka: KafkaSettings
    names: TopicNames
    framing: Framing
    time: Time = REAL_TIME
    log_id: str | None = None
    """Kafka's id of the log's topic, None where it is not known."""
    created_with: int | None = None
    """Partitions of the log when it was created, by which home partitions go; None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How an account is served: at what pace, how calls are tried again, what completions call it.

    What is not live does not speak for the account: it never says that the account is parked, and parks where
    that is said.
    """

    pace: Pace
    policy: RetryPolicy
    called: str = LIVE
    with_attributes: bool = True
    on_call: Callable[[str], None] = lambda _: None
    """Is told how each call ended, by a word."""
    on_reported: Callable[[BatchCompletion], None] = lambda _: None
    """Is told of each completion that Kafka has."""

    @property
    def is_live(self) -> bool:
        """Whether this serves the account, and is no replay."""
        return self.called == LIVE


@dataclass(frozen=True, slots=True)
class AccountRuntime:
    """What delivers to an account, opened."""

    handler: Handler
    background: "tuple[asyncio.Task[None], ...]"
    """What never ends well."""
    states: States
    """What all processes know of accounts and their removals."""


def pace_of(account: Account, time: Time) -> Pace:
    """Return a pace of the account's limits of which nothing is used up, for one process."""
    return Pace(rates_of(account.kind, account.settings), time.clock, time.sleep)


@asynccontextmanager
async def opened_runtime(
    account: Account, settings: ConsumerSettings, deployment: Deployment, writer: Writer, serving: Serving
) -> AsyncIterator[AccountRuntime]:
    """Open what delivers to an account while the block is entered. Raises StreamError."""
    kafka, names, time = deployment.kafka, deployment.names, deployment.time
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(account.settings))
        pace = serving.pace
        announcer = StateAnnouncer(account.target, writer, names.accounts, deployment.framing, time, now)
        provider = open_account(account.kind, account.settings, session, pace, warn=announcer.warn)
        following = followed(kafka, writer, names.directory, owner_of(account, provider), deployment.framing)
        tables = side_by_side(
            stack.enter_async_context(following),
            stack.enter_async_context(followed_states(kafka, names.accounts, deployment.framing)),
        )
        warm = asyncio.to_thread(warm_up, provider, with_attributes=serving.with_attributes)
        (directory, states), _ = await side_by_side(tables, warm)
        check_hash_keys(account.target, states.removals, settings.keys)
        breaker = CircuitBreaker(
            probe=_probe(provider),
            announce=announcer.block if serving.is_live else announce_nothing,
            time=time,
            account=str(account.target),
            on_call=serving.on_call,
        )
        announce = announcer.throttle if serving.is_live else throttle_unless_blocked(announcer, states)
        throttles = Throttles(pace=pace, announce=announce, now=now)
        listener = StateListener(breaker, throttles, serving.is_live)
        listener.begin(states.of(account.target))
        states.listen(lambda state: listener.apply(state) if announcer.is_about(state) else None)
        watching = await stack.enter_async_context(running(breaker.watch()))
        failing = await stack.enter_async_context(running(writer.failure()))
        warning = [await stack.enter_async_context(running(announcer.publish_warnings()))] if serving.is_live else []
        audiences = Audiences(
            provider=provider,
            directory=directory,
            time=time,
            now=now,
            expiry=settings.claim_expiry,
            ends=partial(ends_by, stack.enter_context(UngroupedConsumer(kafka, names.directory))),
        )
        stack.push_async_callback(audiences.close)
        trial = await stack.enter_async_context(trial_of_batches(deployment.framing))
        memory = await stack.enter_async_context(_memory(account, settings, deployment, provider, trial))
        removals = _removals(account, settings, deployment, memory, states, writer, breaker)
        delivery = Delivery(
            provider=provider,
            throttles=throttles,
            breaker=breaker,
            policy=serving.policy,
            time=time,
            audiences=audiences,
            in_flight=RowsInFlight(),
            with_attributes=serving.with_attributes,
            search_calls=settings.search_calls,
            removals=removals,
            called=serving.called,
        )
        stack.push_async_callback(delivery.close)
        handler = Handler(
            target=account.target,
            delivery=delivery,
            writer=writer,
            completions=names.completions,
            framing=deployment.framing,
            time=time,
            clock=now,
            trial=trial,
            on_reported=serving.on_reported,
            called=serving.called,
            log_id=deployment.log_id,
            created_with=deployment.created_with,
        )
        yield AccountRuntime(handler, (directory.following, states.following, watching, failing, *warning), states)


@asynccontextmanager
async def _memory(
    account: Account, settings: ConsumerSettings, deployment: Deployment, provider: AnyProvider, trial: Trial
) -> AsyncIterator[LogMemory | None]:
    """Read what the log says of who was removed while the block is entered; None where nobody can be.

    Without a key of the deployment's nobody is removed; hashes never leave the process, so that it makes one for itself
    by which it remembers who others removed.
    """
    if provider.removal is None:
        yield None
        return
    own = HashKey(secrets.token_bytes())
    memory = LogMemory(
        reader=UngroupedConsumer(deployment.kafka, deployment.names.batches),
        framing=deployment.framing,
        log_id=deployment.log_id,
        identifiers=Identifiers(provider, settings.keys.first if settings.keys else own),
        audience_of=lambda batch: audience_key(provider, batch),
        is_counted=lambda batch, place: (
            account.target.is_meant_by(batch.channels)
            and misplaced(batch, place.partition, deployment.created_with) is None
        ),
        trial=ScanTrial(deployment.framing, trial),
        time=deployment.time,
    )
    try:
        yield memory
    finally:
        await memory.close()


def _removals(
    account: Account,
    settings: ConsumerSettings,
    deployment: Deployment,
    memory: LogMemory | None,
    states: States,
    writer: Writer,
    breaker: CircuitBreaker,
) -> AccountRemovals | None:
    """Return what is known of an account's removals, None where the platform can't remove anybody."""
    if memory is None:
        return None
    return AccountRemovals(
        target=account.target,
        provider=memory.identifiers.provider,
        states=states,
        accounts=deployment.names.accounts,
        writer=writer,
        framing=deployment.framing,
        keys=settings.keys,
        memory=memory,
        fetcher=RecordFetcher(memory.reader, sure=SURE),
        time=deployment.time,
        now=now,
        breaker=breaker,
    )


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run something while the block is entered."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _probe(provider: AnyProvider) -> Callable[[], Awaitable[object]]:
    """Return what asks the platform whether the account works: a look-up, which changes nothing."""
    name = provider.platform_name("probe", disable_prefix=False)
    return lambda: provider.find_audience(name)
