"""What listeners of `/events` that are told nothing cost uploads: as many without any, in turn."""

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.product import LIMIT, Product, make_form, product
from benchmarks.whole.usage import parse_stat
from producer.settings import Address
from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port

PAIRS = 7
LISTENERS = 1_000
UPLOADS, AT_ONCE = 300, 4
USERS = [{"email": f"person{number}@example.com"} for number in range(100)]
GOAL = 0.97


@dataclass(frozen=True, slots=True)
class Cost:
    """What uploads took: seconds, and those of the processor that ingestion used."""

    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The server that is measured."""

    found: Product
    address: Address
    pid: int

    async def cost(self, uploads: int = UPLOADS) -> Cost:
        """Upload so often, some at a time, and return what that took."""
        began, used = time.perf_counter(), self.processor()
        numbers = iter(range(uploads))
        async with asyncio.TaskGroup() as clients:
            for _ in range(AT_ONCE):
                clients.create_task(self._upload(numbers))
        return Cost(time.perf_counter() - began, self.processor() - used)

    async def _upload(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            async with self.found.session.post(
                f"http://{self.address}/audience", data=make_form("VIP", USERS)
            ) as response:
                response.raise_for_status()

    def processor(self) -> float:
        """Return the seconds of the processor that the server has used."""
        return parse_stat(Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")).seconds

    @asynccontextmanager
    async def listeners(self) -> AsyncIterator[None]:
        """Keep so many streams open while the block is entered, each of a session of its own that nobody uploads."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
            streams = [await self._listen(session, number) for number in range(LISTENERS)]
            try:
                yield
            finally:
                for stream in streams:
                    stream.close()

    async def _listen(self, session: aiohttp.ClientSession, number: int) -> aiohttp.ClientResponse:
        response = await session.get(f"http://{self.address}/events", params={"session": f"idle {number}"})
        response.raise_for_status()
        return response


async def measure_events(kafka: KafkaSettings) -> None:
    """Upload beside a thousand idle listeners and beside none, in turn."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with product(kafka, ["facebook"]) as found, serving(found) as ingestion:
        await ingestion.cost()
        pairs = [await _pair(ingestion, with_first=number % 2 == 0) for number in range(PAIRS)]
    print("\n".join(report(pairs)))  # noqa: T201 -- the output


async def _pair(ingestion: Ingestion, *, with_first: bool) -> tuple[Cost, Cost]:
    """Return what uploads took with listeners, and without."""
    if with_first:
        beside = await _beside(ingestion)
        return beside, await ingestion.cost()
    alone = await ingestion.cost()
    return await _beside(ingestion), alone


async def _beside(ingestion: Ingestion) -> Cost:
    async with ingestion.listeners():
        return await ingestion.cost()


@asynccontextmanager
async def serving(found: Product) -> AsyncIterator[Ingestion]:
    """Run a server while the block is entered."""
    address = Address(host="127.0.0.1", port=free_port())
    async with found.command("serve", AUDIENCE_LISTEN=str(address)) as process:
        async with asyncio.timeout(LIMIT):
            while not await _is_ready(found.session, address):
                await asyncio.sleep(0.1)
        yield Ingestion(found, address, process.pid)


async def _is_ready(session: aiohttp.ClientSession, address: Address) -> bool:
    try:
        async with session.get(f"http://{address}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def report(pairs: Sequence[tuple[Cost, Cost]]) -> list[str]:
    """Return the lines that say how much of the uploads is left beside listeners."""
    throughput = [alone.seconds / beside.seconds for beside, alone in pairs]
    processor = [alone.processor / beside.processor for beside, alone in pairs]
    rate = UPLOADS / statistics.median(alone.seconds for _, alone in pairs)
    return [
        f"events, {UPLOADS} uploads of {len(USERS)} users beside {LISTENERS} idle listeners and beside none, "
        f"{len(pairs)} pairs in turn, {rate:.0f} uploads a second without",
        f"  uploads a second        {spread(throughput)} of those without; the goal is x{GOAL} at least",
        f"  uploads a processor s   {spread(processor)} of those without",
    ]


def spread(ratios: Sequence[float]) -> str:
    """Return the middle of ratios, and from where to where they go."""
    return f"x{statistics.median(ratios):.3f} (x{min(ratios):.3f} to x{max(ratios):.3f})"
