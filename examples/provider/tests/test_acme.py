"""Acme keeps to what all providers must keep to, beside something that answers as Acme does."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from audience_acme import Acme

from audience.conformance import LiveConformance, Stage

HASH = re.compile("[0-9a-f]{64}")


class StandIn:
    """What Acme does with members, as strict as its documentation."""

    def __init__(self) -> None:
        self.held: dict[str, set[str]] = {}

    async def take(self, request: web.Request) -> web.Response:
        """Add hashes to an audience; nothing of a call that is wrong."""
        if request.headers.get("Authorization") != "Bearer right":
            return web.Response(status=401)
        body = await request.json()
        hashes = body["hashes"]
        if (
            body.keys() != {"audience", "hashes"}
            or not 1 <= len(hashes) <= 1000
            or not all(map(HASH.fullmatch, hashes))
        ):
            return web.Response(status=400)
        self.held.setdefault(body["audience"], set()).update(hashes)
        return web.Response(status=204)


class TestAcme(LiveConformance):
    """Acme beside its stand-in."""

    kind = Acme

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        """Run the stand-in on a port of its own."""
        stand_in = StandIn()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/accounts/42/members", stand_in.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()

        async def members(audience: str) -> Sequence[str]:
            return sorted(stand_in.held.get(audience, ()))

        port = runner.addresses[0][1]
        settings = {"base_url": f"http://127.0.0.1:{port}", "token": "right", "account_id": "42"}
        try:
            yield Stage(settings=settings, refused={"token": "wrong"}, members=members)
        finally:
            await runner.cleanup()
