"""Batches under way side by side: read one by one in a thread, sent by lanes, closed when they are sent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from audience_client.upload.second_pass import Cut

END_LIMIT = 5.0
"""Seconds that batches under way may take to end where the upload is to stop."""

ROOM = 16 << 20
"""Bytes of users under way at once, which a server has to hold; a single batch may be larger than what is left."""

Send = Callable[[Cut], Awaitable[None]]


class Lanes:
    """Sends cuts by so many lanes. Each lane reads a cut when it has sent the one before."""

    def __init__(self, cuts: Iterator[Cut], send: Send, lanes: int) -> None:
        self._cuts = cuts
        self._send = send
        self._lanes = lanes
        self._turn = asyncio.Lock()
        self._room = asyncio.Condition()
        self._in_flight = 0
        self._stopping = asyncio.Event()
        self._error: Exception | None = None

    def stop(self) -> None:
        """Read no more; what is under way has END_LIMIT seconds to end."""
        self._stopping.set()

    async def run(self) -> None:
        """Return when all cuts are sent, or after a stop. Raises the first error, once the other lanes have ended."""
        with ThreadPoolExecutor(1, "audience-reader") as reader:
            async with asyncio.TaskGroup() as tasks:
                lanes = [tasks.create_task(self._lane(reader)) for _ in range(self._lanes)]
                ending = tasks.create_task(self._end_in_time(lanes))
                await asyncio.wait(lanes)
                ending.cancel()
        if self._error is not None:
            raise self._error

    async def _lane(self, reader: ThreadPoolExecutor) -> None:
        try:
            while (cut := await self._next(reader)) is not None:
                try:
                    await self._send(cut)
                finally:
                    await self._leave(cut)
        except Exception as error:
            self._error = self._error or error
            self.stop()

    async def _next(self, reader: ThreadPoolExecutor) -> Cut | None:
        """Return the next cut once there is room for it, None where there is none or the upload stops."""
        async with self._turn:
            if self._stopping.is_set():
                return None
            cut = await asyncio.get_running_loop().run_in_executor(reader, next, self._cuts, None)
            if cut is None:
                return None
            async with self._room:
                await self._room.wait_for(lambda: not self._in_flight or self._in_flight + _size(cut) <= ROOM)
                self._in_flight += _size(cut)
            if self._stopping.is_set():
                await self._leave(cut)
                return None
            return cut

    async def _leave(self, cut: Cut) -> None:
        cut.batch.users.close()
        async with self._room:
            self._in_flight -= _size(cut)
            self._room.notify_all()

    async def _end_in_time(self, lanes: "Sequence[asyncio.Task[None]]") -> None:
        await self._stopping.wait()
        await asyncio.sleep(END_LIMIT)
        for lane in lanes:
            lane.cancel()


def _size(cut: Cut) -> int:
    return len(cut.batch.users)
