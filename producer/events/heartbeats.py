"""Signs of life for all listeners, from one timer and spread over the time between two of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from producer.events.listener import Listener

PING = b": ping\n\n"

MOMENTS = 32
"""How many moments the time between two signs of life has: listeners that come at once are not sent them at once."""

Write = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Heartbeats:
    """Who is sent signs of life: each has one of the moments, the first of which comes within `every` seconds."""

    every: float
    _moments: list[dict[Listener, Write]] = field(default_factory=lambda: [{} for _ in range(MOMENTS)], init=False)

    @contextmanager
    def beating(self, listener: Listener, write: Write) -> Iterator[None]:
        """Send signs of life to a listener while the block is entered."""
        moment = min(self._moments, key=len)
        moment[listener] = write
        try:
            yield
        finally:
            del moment[listener]

    async def run(self) -> None:
        """Send them, without end."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            for moment in self._moments:
                due = max(due + self.every / MOMENTS, clock())
                await asyncio.sleep(due - clock())
                await _beat(moment)


async def _beat(moment: dict[Listener, Write]) -> None:
    """Send one to each, and let those go whose connections are closed: of most that is noticed nowhere else."""
    for listener, write in list(moment.items()):
        if listener.is_gone:
            listener.end()
        elif not listener.transport.get_write_buffer_size():  # else it would only wait, too
            with suppress(ConnectionError):
                await write(PING)
