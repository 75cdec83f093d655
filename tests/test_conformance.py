"""Every provider of ours keeps to what all must keep to."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import aiohttp
from aiohttp import web
from world import sandbox_running

from providers.conformance import LiveConformance, Stage
from providers.facebook.provider import Facebook
from providers.klaviyo import Klaviyo
from providers.tiktok import TikTok
from providers.webhook import Webhook
from sandbox import CREDENTIALS
from streams.processes.ports import free_port


@asynccontextmanager
async def sandboxed(name: str, **refused: str) -> AsyncIterator[Stage]:
    """Let the sandbox play a platform."""
    async with sandbox_running() as url, aiohttp.ClientSession() as session:

        async def members(audience: str) -> Sequence[Any]:
            query = {"provider": name, "audience": audience}
            async with session.get(f"{url}/_sandbox/members", params=query) as response:
                shown: Sequence[Any] = (await response.json())["members"]
                return shown

        credentials = {
            variable.removeprefix(f"{name.upper()}_").lower(): value for variable, value in CREDENTIALS[name].items()
        }
        yield Stage(settings={**credentials, "base_url": f"{url}/{name}"}, refused=refused, members=members)


class TestFacebook(LiveConformance):
    kind = Facebook

    def stage(self) -> AbstractAsyncContextManager[Stage]:
        return sandboxed("facebook", access_token="wrong")


class TestFacebookWithValues(TestFacebook):
    settings: ClassVar[Mapping[str, str]] = {"value_from": "profit", "value_currency": "USD"}

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        async with sandboxed("facebook", access_token="wrong") as stage:
            yield Stage(settings={**stage.settings, **self.settings}, refused=stage.refused, members=stage.members)


class TestTikTok(LiveConformance):
    kind = TikTok

    def stage(self) -> AbstractAsyncContextManager[Stage]:
        return sandboxed("tiktok", access_token="wrong")


class TestKlaviyo(LiveConformance):
    kind = Klaviyo

    def stage(self) -> AbstractAsyncContextManager[Stage]:
        return sandboxed("klaviyo", api_key="wrong")


def identifiers(user: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return by what a receiver knows somebody."""
    return {(name, user[name]) for name in ("edgeTagId", "email", "phone") if name in user}


class Receiver:
    """A receiver of webhooks as its owner would write it from the Standard Webhooks specification."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._seen: set[str] = set()
        self.calls = 0
        self.held: dict[str, set[str]] = {}

    async def take(self, request: web.Request) -> web.Response:
        """Check the signature, then take each call once."""
        body, headers = await request.read(), request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != f"v1,{expected}":
            return web.Response(status=401)
        self.calls += 1
        if headers["webhook-id"] not in self._seen:
            self._seen.add(headers["webhook-id"])
            given = json.loads(body)
            held = self.held.setdefault(given["audience"], set())
            if given.get("type") == "audience.users.removed":
                named = {one for user in given["removed"] for one in identifiers(user)}
                self.held[given["audience"]] = {
                    user for user in held if named.isdisjoint(identifiers(json.loads(user)))
                }
            else:
                held.update(json.dumps(user, sort_keys=True) for user in given["users"])
        return web.Response(status=204)


class TestWebhook(LiveConformance):
    kind = Webhook

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        secret = b"made-up"
        receiver, port = Receiver(secret), free_port()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/take", receiver.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

        async def members(audience: str) -> Sequence[Any]:
            return sorted(receiver.held.get(audience, ()))

        settings = {
            "base_url": f"http://127.0.0.1:{port}/take",
            "secret": "whsec_" + base64.b64encode(secret).decode(),
            "allow_private": "true",
        }
        try:
            yield Stage(settings=settings, refused={"secret": "wrong"}, members=members)
        finally:
            await runner.cleanup()
