"""What a load balancer asks: whether the server is there, and whether it is ready."""

from dataclasses import dataclass

from aiohttp import web

from ledger.view_updater import Following
from streams.write.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Handlers of `GET /healthz` and `/readyz`."""

    writer: Writer
    topic: str
    following: Following

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [web.get("/healthz", self.healthz), web.get("/readyz", self.readyz)]

    async def healthz(self, request: web.Request) -> web.Response:
        """Say that the server is there."""
        del request
        return web.Response(text="ok")

    async def readyz(self, request: web.Request) -> web.Response:
        """Say why uploads could not be taken (503), or that they can, and what can't be answered meanwhile."""
        del request
        if (trouble := self.writer.trouble) is not None:
            return web.Response(text=trouble, status=503)
        refusal = self.writer.refusals.get(self.topic)
        if refusal is not None and refusal.is_of_all:
            return web.Response(text=str(refusal), status=503)
        if (absence := self.following.absence) is not None:
            return web.Response(text=f"ready, but {absence}; uploads are taken, sync and status are not")
        if not self.following.is_ready:
            missing = f"; {self.following.refusal}" if self.following.refusal else ""
            text = f"the view is being built, {self.following.progress:.0%} is done{missing}"
            return web.Response(text=text, status=503)
        return web.Response(text="ready" if refusal is None else f"ready, but {refusal}")
