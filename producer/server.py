"""The ingestion server: routes, middleware, and everything it needs opened in order."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ledger.following import followed_view
from ledger.queries import Queries
from producer.access import check_access
from producer.accounts import Accounts
from producer.answers import Refused, failure, from_http
from producer.body import Budget
from producer.results import Outcomes
from producer.settings import Address, ServerSettings
from producer.status import Statuses
from producer.upload import Uploads
from schemas.framing import Framing
from schemas.target import Target
from streams.accounts import register
from streams.groups import groups_with_members
from streams.settings import KafkaSettings
from streams.states import followed_states
from streams.topics import TopicNames
from streams.writer import Writer

log = structlog.get_logger()

KEEPALIVE = 30.0
SHUTDOWN = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens. `following` is what never ends well, such as reading completions: we must end with it."""

    address: Address
    following: "tuple[asyncio.Task[None], ...]"


def create_app(uploads: Uploads, statuses: Statuses, accounts: Accounts) -> web.Application:
    """Return the application."""

    async def health(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        del request
        if not uploads.writer.is_reachable:
            return web.Response(text="Kafka can't be reached", status=503)
        if (absence := uploads.following.absence) is not None:
            return web.Response(text=f"ready, but {absence}; uploads are taken, sync and status are not")
        if not uploads.following.is_ready:
            text = f"the view is being built, {uploads.following.progress:.0%} is done"
            return web.Response(text=text, status=503)
        return web.Response(text="ready")

    app = web.Application(middlewares=[_guarded(uploads.settings)])
    app.add_routes(
        [
            web.post("/audience", uploads.post),
            web.get("/healthz", health),
            web.get("/readyz", ready),
            *statuses.routes(),
            *accounts.routes(),
        ]
    )
    return app


def _guarded(settings: ServerSettings) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check access, and give every refusal the usual form."""
        try:
            check_access(request, settings)
            return await handler(request)
        except Refused as refused:
            log.info("Request refused.", status=refused.response.status, why=refused.why)
            return refused.response
        except web.HTTPException as error:
            return from_http(error)
        except Exception as error:
            frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            log.error("Request failed by a bug.", error=type(error).__name__, frames=frames[-4:])
            return failure(500, ["server: an unexpected error, which its log describes; send the request again"])

    return guarded


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    kafka: KafkaSettings,
    targets: Sequence[Target],
    names: TopicNames,
    framing: Framing,
    view: Path,
) -> AsyncIterator[Server]:
    """Listen while the block is entered; the topics exist, and `view` is a file that only this process uses.

    1. Open the writer. 2. Register the accounts. 3. Begin to follow the view. 4. Listen. On leaving,
    in reverse: no new requests, finish those under way, flush. Raises StreamError, OSError.
    """
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(kafka))
        await register(kafka, writer, names, targets, lambda: datetime.now(UTC), framing)
        states = await stack.enter_async_context(followed_states(kafka, names.accounts, framing))
        following = await stack.enter_async_context(followed_view(view, kafka, names, framing))
        states.listen(lambda _: following.changes.tell_all())
        queries = Queries(
            view=following.view,
            targets=targets,
            state_of=states.of,
            now=lambda: datetime.now(UTC),
            window=timedelta(seconds=settings.retry_window),
        )
        uploads = Uploads(
            settings=settings,
            targets=targets,
            names=names,
            writer=writer,
            following=following,
            queries=queries,
            outcomes=Outcomes(following=following, state_of=states.of),
            framing=framing,
            budget=Budget(settings.body_budget),
            groups_with_members=lambda groups: groups_with_members(kafka, groups),
        )
        accounts = Accounts(targets=targets, states=states, kafka=kafka, names=names)
        runner = web.AppRunner(
            create_app(uploads, Statuses(following=following, queries=queries), accounts),
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            shutdown_timeout=SHUTDOWN,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, settings.listen.host, settings.listen.port).start()
        host, port = runner.addresses[0][:2]
        failing = asyncio.create_task(writer.failure())
        stack.callback(failing.cancel)
        yield Server(Address(host=host, port=port), (*following.tasks, states.following, failing))
