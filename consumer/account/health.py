"""A consumer's `/healthz`, `/readyz` and `/metrics`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from schemas.metrics.registry import CONTENT_TYPE, Metrics
from streams.cluster.readiness import Unready
from streams.processes.announcement import announce

log = structlog.get_logger()


@asynccontextmanager
async def serve_health(host: str, port: int, unready: Unready, metrics: Metrics) -> AsyncIterator[None]:
    """Answer `/healthz` with 200 while the process works, `/readyz` with 200, or with 503 and why it is not ready.

    `/metrics` is answered as Prometheus takes it. Port 0 is any; which one it is, is logged and told to a parent that
    asks. Raises OSError.
    """

    async def health(request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        del request
        why = unready()
        return web.Response(text="ready") if why is None else web.Response(text=why, status=503)

    async def expose(request: web.Request) -> web.Response:
        del request
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", expose)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = _written(*runner.addresses[0][:2])
        log.info("Health is told.", address=address)
        announce(address)
        yield
    finally:
        await runner.cleanup()


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
