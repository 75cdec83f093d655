"""Bounds of what is worked on at once: so many bytes of records, and so many records."""

import asyncio
from collections import deque

OVERHEAD = 1_400
"""Bytes that each record counts for besides its own.

A decoded record takes some ten times as much memory as it counts for. So this stands for the memory that the delivery
of a record takes, however small it is.
"""


class InFlightLimiter:
    """Lets so many records be worked on at once, in the order in which they ask.

    A decoded record takes some ten times its bytes of memory, so the bytes of all records are bounded as well as their
    number. A record that is larger than the bound is let in once no other is there.
    """

    def __init__(self, records: float, size: int) -> None:
        self._limits = (records, size)
        self._taken = 0
        self._bytes = 0
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, size: int) -> None:
        """Wait for a place for a record of `size` bytes, which is to be given back by `give_back`."""
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
