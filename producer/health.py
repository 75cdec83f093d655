"""What a load balancer asks: whether the server is there, and whether it is ready."""

from dataclasses import dataclass

from aiohttp import web

from ledger.view_updater import Following
from streams.write.writer import Writer


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether uploads can be taken, and what there is to say about that."""

    is_ready: bool
    text: str


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
        standing = self.standing
        return web.Response(text=standing.text, status=200 if standing.is_ready else 503)

    @property
    def standing(self) -> Standing:
        """How the server stands."""
        if (trouble := self.writer.trouble) is not None:
            return Standing(False, trouble)
        refusal = self.writer.refusals.get(self.topic)
        if refusal is not None and refusal.is_of_all:
            return Standing(False, str(refusal))
        if (absence := self.following.absence) is not None:
            return Standing(True, f"ready, but {absence}; uploads are taken, sync and status are not")
        if not self.following.is_ready:
            missing = f"; {self.following.refusal}" if self.following.refusal else ""
            return Standing(False, f"the view is being built, {self.following.progress:.0%} is done{missing}")
        return Standing(True, "ready" if refusal is None else f"ready, but {refusal}")
