"""Bounds of what is worked on at once: so many bytes of records, and so many records."""

import asyncio
from collections import deque

OVERHEAD = 1_400
"""Bytes that a record counts for besides its own: at ten times as much when decoded, what its delivery takes."""


class InFlightLimiter:
    """Places for records under way, given in the order in which they were asked for.

    Decoded, a record takes some ten times its bytes; so bytes are bounded too. Alone, a record of any size fits.
    """

    def __init__(self, records: float, size: int) -> None:
        self._limits = (records, size)
        self._taken = 0
        self._bytes = 0
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, size: int) -> None:
        """Wait for a place for a record of `size` bytes; give it back."""
        if not self._queue and self._fits(size):
            self._taken += 1
            self._bytes += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, size))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)  # it came in the very moment in which nobody wanted it any more
            raise

    def shrink(self, size: int) -> None:
        """Let others have so many bytes of a place that needs fewer than it was taken for."""
        self._bytes -= size
        self._hand_out()

    def give_back(self, size: int) -> None:
        """Let others have a place that was taken for `size` bytes."""
        self._taken -= 1
        self._bytes -= size
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue and (self._queue[0][0].cancelled() or self._fits(self._queue[0][1])):
            turn, size = self._queue.popleft()
            if not turn.cancelled():
                self._taken += 1
                self._bytes += size
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        records, most = self._limits
        return self._taken == 0 or (self._taken < records and self._bytes + size <= most)
