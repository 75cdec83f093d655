"""The ingestion server: routes, middleware, and everything it needs opened in order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ledger.queries import Queries
from ledger.states.folding import StateRules
from ledger.view_updater import followed_view
from producer.access import check_access
from producer.accounts import Accounts
from producer.additions import Add, Addition, Opened, nothing_added
from producer.answers import BUG, Refused, failure, from_http
from producer.api_description.handler import api_description
from producer.bugs import log_bug
from producer.events.service import events_running
from producer.health import Health
from producer.metrics import ServerSamples, counting, exposing
from producer.settings import Address, ServerSettings
from producer.status import Statuses
from producer.transport.body_budget import Budget
from producer.transport.connections import Connections
from producer.transport.decoding_limiter import DecodingLimiter
from producer.transport.expect_header import check_expectation
from producer.transport.lingering import Lingering
from producer.upload.answering import Answerer
from producer.upload.checking import Checker
from producer.upload.deduplication import Deduplicator
from producer.upload.handler import Uploads
from producer.upload.removal_readiness import RemovalReadiness
from producer.upload.sync_results import Outcomes
from producer.upload.writing import BatchWriter
from schemas.avro.framing import Framing
from schemas.metrics.definitions import KAFKA_ACKNOWLEDGEMENT, MODES, SYNC_WAIT, UPLOADED_USERS
from schemas.metrics.registry import Counted, Metrics
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.groups import groups_with_members
from streams.cluster.log_ends import true_end
from streams.cluster.topics import TopicNames
from streams.tables.account_registrations import register
from streams.tables.account_states import followed_states
from streams.tables.log_creation import Homes
from streams.write.writer import Writer

log = structlog.get_logger()

SHUTDOWN = 10.0
DECODED_BODIES = 1.25
"""How many of the largest bodies may be decoded at once: one of them keeps no small one waiting."""
LINGERING_BODIES = 4
"""How many times the largest body is thrown away behind a refusal."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens. `following` is what never ends well, such as reading completions: we must end with it."""

    address: Address
    following: "tuple[asyncio.Task[None], ...]"


def create_app(
    settings: ServerSettings, metrics: Metrics, *routes: Iterable[web.RouteDef], addition: Addition | None = None
) -> web.Application:
    """Return the application."""
    added = addition or Addition()
    app = web.Application(middlewares=[counting(metrics), _guarded(settings, added)])
    app.add_routes(list(chain(*routes, added.routes)))
    return app


def _guarded(settings: ServerSettings, added: Addition) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check access, and give every refusal the usual form."""
        try:
            if not added.admits(request):
                check_access(request, settings)
            check_expectation(request)
            return await handler(request)
        except Refused as refused:
            log.info("Request refused.", status=refused.response.status, why=refused.why)
            return refused.response
        except web.HTTPException as error:
            return from_http(error)
        except Exception as error:
            log_bug(error)
            return failure(500, [BUG])

    return guarded


@asynccontextmanager
async def serving(  # noqa: PLR0913 -- everything that a server is made of is named here
    settings: ServerSettings,
    kafka: KafkaSettings,
    targets: Sequence[Target],
    names: TopicNames,
    framing: Framing,
    view: Path,
    *,
    can_hash: bool = True,
    add: Add = nothing_added,
) -> AsyncIterator[Server]:
    """Listen while the block is entered; the topics exist, and `view` is a file that only this process uses.

    1. Open the writer. 2. Register the accounts, and note with how many partitions the log was created. 3. Begin to
    follow the view. 4. Listen. On leaving, in reverse: end streams, no new requests, finish those under way, flush.
    `can_hash` says whether there are keys to remember who was removed, `add` what a room above adds to the paths.
    Raises StreamError, OSError.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        writer = Writer(kafka, on_acknowledged=metrics.observed(KAFKA_ACKNOWLEDGEMENT).observe)
        await stack.enter_async_context(writer)
        homes = await _registered(kafka, writer, names, targets, framing)
        rules = StateRules(targets=targets, window=timedelta(seconds=settings.retry_window))
        states = await stack.enter_async_context(followed_states(kafka, names.accounts, framing))
        following = await stack.enter_async_context(followed_view(view, kafka, names, framing, rules))
        states.listen(lambda _: following.changes.notify_all())
        queries = Queries(
            view=following.view,
            targets=targets,
            state_of=states.of,
            now=lambda: datetime.now(UTC),
            window=rules.window,
            open_transactions=lambda: following.open_transactions,
        )
        removals = RemovalReadiness(targets=targets, readers=states.removals.readers, can_hash=can_hash)
        budget = Budget(settings.body_budget, settings.max_body, settings.body_timeout)
        uploads = Uploads(
            settings=settings,
            budget=budget,
            decoding=DecodingLimiter(int(DECODED_BODIES * settings.max_body)),
            checker=Checker(
                targets=targets,
                max_users=settings.max_users,
                following=following,
                removals=removals,
            ),
            framing=framing,
            deduplicator=Deduplicator(
                following=following,
                queries=queries,
                log_end=lambda partition: true_end(kafka, names.batches, partition),
                removals=removals,
            ),
            batch_writer=BatchWriter(
                writer=writer,
                topic=names.batches,
                following=following,
                homes=homes,
                users=_uploaded_users(metrics),
            ),
            answerer=Answerer(
                settings=settings,
                targets=targets,
                names=names,
                following=following,
                queries=queries,
                outcomes=Outcomes(following=following, state_of=states.of),
                groups_with_members=lambda groups: groups_with_members(kafka, groups),
                sync_wait=metrics.observed(SYNC_WAIT),
            ),
        )
        health = Health(writer=writer, topic=names.batches, following=following)
        statuses = Statuses(following=following, queries=queries)
        accounts = Accounts(targets=targets, states=states, kafka=kafka, names=names, following=following)
        looking = await stack.enter_async_context(accounts.looking())
        samples = ServerSamples(health=health, budget=budget, following=following, targets=targets, states=states)
        stack.enter_context(metrics.reading(samples))
        events = await stack.enter_async_context(
            events_running(settings, targets, following, queries, states, accounts.statuses)
        )
        answering = (health, statuses, accounts, events.events, api_description(settings, names))
        own = (uploads.routes(), *(one.routes() for one in answering), exposing(metrics))
        addition = add(
            Opened(
                settings=settings,
                following=following,
                queries=queries,
                accounts=accounts,
                states=states,
                uploads=uploads,
            )
        )
        app = create_app(settings, metrics, *own, addition=addition)
        address = await stack.enter_async_context(_listening(app, settings))
        stack.callback(events.end)
        failing = asyncio.create_task(writer.failure())
        stack.callback(failing.cancel)
        yield Server(address, (*following.tasks, *events.tasks, states.following, failing, looking))


def _uploaded_users(metrics: Metrics) -> Counted:
    users = metrics.counted(UPLOADED_USERS)
    for mode in MODES:
        users.begin(mode)
    return users


async def _registered(
    kafka: KafkaSettings, writer: Writer, names: TopicNames, targets: Sequence[Target], framing: Framing
) -> Homes:
    """Have it known which accounts there are, and return where audiences are at home. Raises StreamError."""

    def now() -> datetime:
        return datetime.now(UTC)

    await register(kafka, writer, names, targets, now, framing)
    homes = Homes(kafka, writer, names, framing, now)
    await homes.creation()
    return homes


@asynccontextmanager
async def _listening(app: web.Application, settings: ServerSettings) -> AsyncIterator[Address]:
    """Serve an application while the block is entered, on connections of ours."""
    async with AsyncExitStack() as stack:
        inner = web.AppRunner(app)
        await inner.setup()
        stack.push_async_callback(inner.cleanup)
        lingering = Lingering(settings.body_timeout, LINGERING_BODIES * settings.max_body)
        runner = web.ServerRunner(_connections(inner, lingering, settings), shutdown_timeout=SHUTDOWN)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(lingering.end)
        await web.TCPSite(runner, settings.listen.host, settings.listen.port).start()
        host, port = runner.addresses[0][:2]
        yield Address(host=host, port=port)


def _connections(inner: web.AppRunner, lingering: Lingering, settings: ServerSettings) -> Connections:
    server = inner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    return Connections(server.request_handler, server.request_factory, lingering, keepalive_timeout=settings.keepalive)
