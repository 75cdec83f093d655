"""A proxy before a server that holds, refuses and counts requests as a test wants it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from listening import listening

KEPT = ("Content-Type", "Authorization", "Accept")


@dataclass(slots=True)
class Gate:
    """Uploads go through while `open` is set; those in `refusals` are answered 503 first, the last one on."""

    server: str
    url: str = ""
    posts: int = 0
    refusals: int = 0
    authorizations: list[str | None] = field(default_factory=list)
    lets_through: int = 1 << 30
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        """Forward a request, in its turn."""
        self.authorizations.append(request.headers.get("Authorization"))
        body = await request.read()
        if request.method == "POST":
            if self.refusals:
                self.refusals -= 1
                return web.Response(status=503, headers={"Retry-After": "1"})
            if self.posts >= self.lets_through:
                self.held.set()
                await self.release.wait()
            self.posts += 1
        headers = {name: request.headers[name] for name in KEPT if name in request.headers}
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, f"{self.server}{request.path_qs}", data=body, headers=headers) as answer,
        ):
            told = {name: value for name, value in answer.headers.items() if name.startswith(("X-", "Location"))}
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type, headers=told
            )


@asynccontextmanager
async def gate_before(server: str) -> AsyncIterator[Gate]:
    """Run a gate before a server while the block is entered."""
    gate = Gate(server)
    async with listening(gate.handle, 1 << 28) as gate.url:
        try:
            yield gate
        finally:
            gate.release.set()
