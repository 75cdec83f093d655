"""A platform that takes a set time to answer, by its own clock, and notes when calls came and were answered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.whole.sink import Call, Connection, Counts


@dataclass(frozen=True, slots=True)
class Stamped:
    """When an upload call was here whole, and when its answer was handed to the system, by the system's clock."""

    came: float
    answered: float


@dataclass(slots=True)
class StampedPlatform:
    """Where it listens, and its uploads so far."""

    url: str = ""
    uploads: list[Stamped] = field(default_factory=list)


class _Connection(Connection):
    def __init__(self, platform: StampedPlatform, latency: float) -> None:
        super().__init__(Counts())
        self._platform = platform
        self._latency = latency

    def answer(self, call: Call, answer: bytes) -> None:
        """Wait, then answer."""
        asyncio.get_running_loop().call_later(self._latency, self._late, call, answer, time.time())

    def _late(self, call: Call, answer: bytes, came: float) -> None:
        super().answer(call, answer)
        if call.rows:
            self._platform.uploads.append(Stamped(came, time.time()))


@asynccontextmanager
async def stamped_platform(latency: float) -> AsyncIterator[StampedPlatform]:
    """Serve on a port of loopback while the block is entered; each call takes `latency` seconds."""
    platform = StampedPlatform()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: _Connection(platform, latency), "127.0.0.1", 0) as server:
        platform.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield platform
