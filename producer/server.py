"""The ingestion server: routes, middleware, and everything it needs opened in order."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from producer.access import check_access
from producer.answers import Refused, failure, from_http
from producer.body import Budget
from producer.completions import Completions
from producer.settings import Address, ServerSettings
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


def create_app(uploads: Uploads) -> web.Application:
    """Return the application."""

    async def health(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        del request
        if uploads.writer.is_reachable:
            return web.Response(text="ready")
        return web.Response(text="Kafka can't be reached", status=503)

    app = web.Application(middlewares=[_guarded(uploads.settings)])
    app.add_routes(
        [
            web.post("/audience", uploads.post),
            web.get("/healthz", health),
            web.get("/readyz", ready),
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
) -> AsyncIterator[Server]:
    """Listen while the block is entered; the topics exist.

    1. Open the writer. 2. Register the accounts. 3. Stand at the end of the completions. 4. Listen. On leaving,
    in reverse: no new requests, finish those under way, flush. Raises StreamError, OSError.
    """
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(kafka))
        await register(kafka, writer, names, targets, lambda: datetime.now(UTC), framing)
        states = await stack.enter_async_context(followed_states(kafka, names.accounts, framing))
        completions = Completions(framing, states)
        following = await stack.enter_async_context(completions.following(kafka, names.completions))
        uploads = Uploads(
            settings=settings,
            targets=targets,
            names=names,
            writer=writer,
            completions=completions,
            framing=framing,
            budget=Budget(settings.body_budget),
            groups_with_members=lambda groups: groups_with_members(kafka, groups),
        )
        runner = web.AppRunner(
            create_app(uploads), access_log=None, keepalive_timeout=KEEPALIVE, shutdown_timeout=SHUTDOWN
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, settings.listen.host, settings.listen.port).start()
        host, port = runner.addresses[0][:2]
        failing = asyncio.create_task(writer.failure())
        stack.callback(failing.cancel)
        yield Server(Address(host=host, port=port), (following, states.following, failing))
