"""One who listens: what waits to be sent, and the end where that is too much."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from producer.events.event_filter import EventFilter

log = structlog.get_logger()

MOST_BACKLOG = 64 * 1024
"""Bytes that wait for a listener that does not read; then it is closed, and may come again with its last id."""


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """A connection, how far it has been told of changes, and what it asks for."""

    chosen: EventFilter
    transport: asyncio.WriteTransport
    position: int
    """Up to which change it was told when it came or was sent something last; who is told nothing is not touched."""
    marked: int
    """The position of the newest id that it was sent."""
    is_over: bool = False
    _waiting: deque[bytes] = field(default_factory=deque, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def is_gone(self) -> bool:
        """Whether its connection is closed."""
        return self.is_over or self.transport.is_closing()

    @property
    def backlog(self) -> int:
        """How many bytes wait for it."""
        return sum(map(len, self._waiting)) + self.transport.get_write_buffer_size()

    def offer(self, chunk: bytes) -> None:
        """Let something be sent; end at once where too much waits already. What is large is sent to who reads."""
        if self.is_gone:
            self.end()
            return
        backlog = self.backlog
        if backlog and backlog + len(chunk) > MOST_BACKLOG:
            log.info("A listener does not read: closed.", backlog=backlog)
            self.transport.abort()
            self.end()
            return
        self._waiting.append(chunk)
        self._wake.set()

    def end(self) -> None:
        """Let the stream end."""
        self.is_over = True
        self._wake.set()

    def end_now(self) -> None:
        """Let the stream end without waiting for one that does not read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self.end()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what is to be sent, until the end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self.is_over:
                yield self._waiting.popleft()
            if self.is_over:
                return
