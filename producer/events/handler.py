"""`GET /events`: the stream of what changes, as server-sent events."""

import asyncio
import resource
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from ledger.view_updater import Following
from producer.answers import RETRY_AFTER, refused
from producer.events.broadcast import Broadcast
from producer.events.change_log import Reset
from producer.events.event_filter import EventFilter, read_filter
from producer.events.heartbeats import Heartbeats
from producer.events.listener import Listener
from producer.events.rendering import mark, reset_event
from producer.settings import ServerSettings
from schemas.target import Target

SEND_BUFFER = 32 * 1024
"""Bytes that the system keeps for a listener, who else could let it hold megabytes, of which we know nothing."""

NEVER = float(2**31)
"""Seconds between the signs of life of the library, which has a task for each listener: ours come from one timer."""

COME_AGAIN = b"retry: 2000\n\n"
"""Milliseconds after which a client that is cut off comes again."""

HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Connection": "close",
}
"""What keeps proxies from holding events back, in nginx's way and by the standard; the connection has no other use."""


def most_listeners(settings: ServerSettings) -> int:
    """Return how many may listen: as many as is set, and never so many that uploads get no connection."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return settings.event_listeners if files == resource.RLIM_INFINITY else min(settings.event_listeners, files // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Handler of `GET /events`."""

    following: Following
    broadcast: Broadcast
    targets: Sequence[Target]
    most: int
    heartbeats: Heartbeats

    def routes(self) -> list[web.RouteDef]:
        """Return the path and its handler."""
        return [web.get("/events", self.events, allow_head=False)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell what changes until the client leaves, does not read, or the server ends."""
        chosen, faults = read_filter(list(request.query.items()), self.targets)
        if chosen is None:
            raise refused(400, *faults)
        self._check_room()
        transport = request.transport
        if transport is None:
            raise refused(400, "events: the connection is closed")
        listener, first = self._begin(chosen, transport, request.headers.get("Last-Event-ID"))
        self.broadcast.add(listener)
        response = EventSourceResponse(ping_interval=NEVER)
        response.headers.update(HEADERS)
        response.force_close()
        _keep_little(transport)
        try:
            with suppress(ConnectionError):
                await response.prepare(request)
                await self._send(response, listener, first)
        finally:
            self.broadcast.remove(listener)
        return response

    def _begin(
        self, chosen: EventFilter, transport: asyncio.WriteTransport, last: str | None
    ) -> tuple[Listener, bytes]:
        """Return a listener, told of all behind the last id that it has, else from now on, and its first bytes."""
        changes = self.broadcast.changes
        position: int | Reset = changes.last if last is None else changes.position_of(last)
        if isinstance(position, int):
            first, start = mark(changes.id_of(position)), position
        else:
            first, start = reset_event(changes.id_of(changes.last), position), changes.last
        return Listener(chosen=chosen, transport=transport, position=start, marked=start), COME_AGAIN + first

    async def _send(self, response: EventSourceResponse, listener: Listener, first: bytes) -> None:
        """Send what is offered until the end, of the stream or of the connection. Raises ConnectionError."""
        async with response:
            await response.write(first)
            with self.heartbeats.beating(listener, response.write):
                async for chunk in listener.chunks():
                    await response.write(chunk)

    def _check_room(self) -> None:
        if self.broadcast.is_ending:
            raise refused(503, "events: this server is ending; come again", headers=RETRY_AFTER)
        if self.following.absence is not None or not self.following.is_ready:
            why = self.following.absence or self.following.building
            raise refused(503, f"events: {why}; come again", headers=RETRY_AFTER)
        if self.broadcast.is_full(self.most):
            raise refused(
                503,
                f"events: {self.most} listen here, which is the most that this server takes; end one, come again "
                "later, or set AUDIENCE_EVENT_LISTENERS and the number of open files higher on the server",
                headers=RETRY_AFTER,
            )


def _keep_little(transport: asyncio.WriteTransport) -> None:
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
