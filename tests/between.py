"""What stands between a client and the server, and lets uploads of some sequences go wrong."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from listening import listening

Fate = Literal["pass", "lose", "hold", "busy", "refuse"]
"""`lose`: the server takes it, and the answer is lost. `hold`: nothing happens until it is let go."""

_SEQUENCE = re.compile(rb'"sequence":\s*(\d+)')


@dataclass(slots=True)
class Between:
    """Passes requests on; `fate` is asked for each upload by its sequence and how often that came, from 1."""

    behind: str
    session: aiohttp.ClientSession
    url: str = ""
    fate: Callable[[int, int], Fate] = lambda _sequence, _time: "pass"
    came: Counter[int] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)
    """Sequences that the server acknowledged to the client."""
    asked: list[str] = field(default_factory=list)
    forgets: bool = False
    """Whether the server knows no session, as one that has yet to read of it; once."""
    is_old: bool = False
    """Whether the server does not know `resume`, as versions before it."""
    in_flight: int = 0
    most_in_flight: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or not."""
        if request.method != "POST":
            self.asked.append(request.path_qs)
            if self.forgets:
                self.forgets = False
                return web.json_response(
                    {"success": False, "errors": ["path: nothing is known of that id"]}, status=404
                )
            return await self._pass(request, b"")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._upload(request, await request.read())
        finally:
            self.in_flight -= 1

    async def _upload(self, request: web.Request, body: bytes) -> web.StreamResponse:
        found = _SEQUENCE.search(body)
        assert found is not None
        sequence = int(found[1])
        self.came[sequence] += 1
        fate = self.fate(sequence, self.came[sequence])
        if fate == "hold":
            await self.let_go.wait()
        if fate == "busy":
            return web.Response(status=503, headers={"Retry-After": "0"}, text="errors: come again")
        if fate == "refuse":
            return web.json_response({"success": False, "errors": ["made up: refused"]}, status=400)
        answer = await self._pass(request, body)
        if fate == "lose":
            assert request.transport is not None
            request.transport.abort()
        else:
            self.taken[sequence] += answer.status == 200
        return answer

    async def _pass(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        url = f"{self.behind}{request.path_qs}"
        if self.is_old:
            url = url.replace("&resume=true", "")
        async with self.session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower().startswith(("x-", "retry"))}
            kept["Content-Type"] = answer.headers.get("Content-Type", "application/json")
            content = await answer.read()
            if self.is_old and body:
                told = {**json.loads(content), "ignored": [{"in": "query", "name": "resume", "count": 1}]}
                content = json.dumps(told).encode()
            return web.Response(status=answer.status, body=content, headers=kept)


@asynccontextmanager
async def standing_between(behind: str) -> AsyncIterator[Between]:
    """Listen on a port of this machine."""
    async with aiohttp.ClientSession() as session:
        between = Between(behind, session)
        async with listening(between.handle, 64 << 20) as between.url:
            try:
                yield between
            finally:
                between.let_go.set()
