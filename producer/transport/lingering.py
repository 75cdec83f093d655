"""Refusals that must arrive while the client still sends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

MOST = 64
"""Connections that linger at once; the eldest has had its time when another one comes."""


class Lingering:
    """Reads and throws away what a client sends behind an answer, for so many seconds and bytes at most.

    A connection that is closed while bytes arrive is reset, and with that the answer is lost to most clients: they
    look for it only once all is sent.
    """

    def __init__(self, seconds: float, max_bytes: int, most: int = MOST) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._most = most
        self._turns: dict[asyncio.Timeout, None] = {}
        self._is_over = False

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Return when a body is over, its client is gone, or it has had its time."""
        left = self._max_bytes
        with suppress(OSError, web.RequestPayloadError), self._turn() as turn:
            async with turn:
                async for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        return

    async def wait(self, gone: asyncio.Event) -> None:
        """Return when a client is gone whose bytes are thrown away elsewhere, or it has had its time."""
        with suppress(TimeoutError), self._turn() as turn:
            async with turn:
                await gone.wait()

    def end(self) -> None:
        """Let nobody linger any more: the server is being closed."""
        self._is_over = True
        for turn in list(self._turns):
            _stop(turn)

    @contextmanager
    def _turn(self) -> Iterator[asyncio.Timeout]:
        if len(self._turns) >= self._most:
            _stop(next(iter(self._turns)))
        turn = asyncio.timeout(0 if self._is_over else self._seconds)
        self._turns[turn] = None
        try:
            yield turn
        finally:
            del self._turns[turn]


def _stop(turn: asyncio.Timeout) -> None:
    turn.reschedule(asyncio.get_running_loop().time())
