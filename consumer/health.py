"""A consumer's `/healthz` and `/readyz`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serve_health(host: str, port: int, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Answer `/healthz` with 200 while the process works, `/readyz` with 200 once `is_ready`, else 503."""

    async def health(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ready") if is_ready() else web.Response(text="joining", status=503)

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
