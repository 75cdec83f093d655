"""How much may be decoded at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DecodingLimiter:
    """Gives bodies their turn to be decoded and encoded, so many bytes at once; alone, any size may.

    Users are there as JSON and as Avro meanwhile, and where they can only be parsed as a whole take several times
    that, so that all bodies that the budget holds must not be decoded together. Turns are given in the order in which
    they are asked for.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block is left."""
        await self._begin(size)
        try:
            yield
        finally:
            self._used -= size
            self._serve()

    async def _begin(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self._used += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._used -= size
            self._serve()
            raise

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._limit

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._used += size
                turn.set_result(None)
