"""What listeners of `/events` cost uploads, told nothing or all: another server takes as many meanwhile, without."""

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.alongside import alongside
from benchmarks.product import LIMIT, Product, make_form, product
from benchmarks.whole.asking import EVERY, listen, scrape
from benchmarks.whole.usage import parse_stat
from producer.settings import Address
from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port

PAIRS = 7
LISTENERS = 1_000
AT_ONCE = 4
GOAL = 0.97


@dataclass(frozen=True, slots=True)
class Uploads:
    """So many uploads of so many users."""

    count: int
    users: int

    def made_up(self) -> Sequence[Mapping[str, object]]:
        """Return the users of one, the same each time."""
        return [{"email": f"person{number}@example.com"} for number in range(self.users)]


FEW, SMALL, LARGE = Uploads(300, 100), Uploads(1_000, 100), Uploads(100, 10_000)


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

    async def cost(self, uploads: Uploads) -> Cost:
        """Upload so often, some at a time, and return what that took."""
        users, numbers = uploads.made_up(), iter(range(uploads.count))
        began, used = time.perf_counter(), self.processor()
        async with asyncio.TaskGroup() as clients:
            for _ in range(AT_ONCE):
                clients.create_task(self._upload(users, numbers))
        return Cost(time.perf_counter() - began, self.processor() - used)

    async def _upload(self, users: Sequence[Mapping[str, object]], numbers: Iterator[int]) -> None:
        for _ in numbers:
            async with self.found.session.post(
                f"http://{self.address}/audience", data=make_form("VIP", users)
            ) as response:
                response.raise_for_status()

    def processor(self) -> float:
        """Return the seconds of the processor that the server has used."""
        return parse_stat(Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")).seconds

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Follow all events and scrape the metrics while the block is entered."""
        url = f"http://{self.address}"
        async with aiohttp.ClientSession() as session, alongside(listen(session, url), scrape(session, url)):
            yield

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
    """Upload to a server that a thousand idle listeners, or who asks for all that is told, are at, and to another.

    Both are measured at the same time, so that a change of the machine's speed meets both, and they take turns.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with _deployment(kafka) as one, _deployment(kafka) as other:
        await asyncio.gather(one.cost(FEW), other.cost(FEW))
        who_asks = f"a listener of all events and a scrape each {EVERY:g} s"
        for ask, who, uploads in (
            (Ingestion.listeners, f"{LISTENERS} idle listeners", FEW),
            (Ingestion.asked, who_asks, SMALL),
            (Ingestion.asked, who_asks, LARGE),
        ):
            servers = [(one, other) if number % 2 == 0 else (other, one) for number in range(PAIRS)]
            pairs = [await _pair(ask(asked), asked, alone, uploads) for asked, alone in servers]
            print("\n".join(report(pairs, who, uploads)), flush=True)  # noqa: T201 -- the output


async def _pair(
    asking: AbstractAsyncContextManager[None], asked: Ingestion, alone: Ingestion, uploads: Uploads
) -> tuple[Cost, Cost]:
    """Return what uploads took that somebody asks about, and those that nobody does."""
    async with asking:
        found, other = await asyncio.gather(asked.cost(uploads), alone.cost(uploads))
    return found, other


@asynccontextmanager
async def _deployment(kafka: KafkaSettings) -> AsyncIterator[Ingestion]:
    """Run a server with topics of its own, and the ledger for them, while the block is entered."""
    async with product(kafka, ["facebook"]) as found, found.command("consume", "--ledger"), serving(found) as ingestion:
        yield ingestion


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


def report(pairs: Sequence[tuple[Cost, Cost]], who: str, uploads: Uploads) -> list[str]:
    """Return the lines that say how much of the uploads is left beside somebody."""
    throughput = [alone.seconds / beside.seconds for beside, alone in pairs]
    processor = [alone.processor / beside.processor for beside, alone in pairs]
    rate = uploads.count / statistics.median(alone.seconds for _, alone in pairs)
    return [
        f"events, {uploads.count:,} uploads of {uploads.users:,} users beside {who} and beside nobody, "
        f"{len(pairs)} pairs at once, {rate:.0f} uploads a second without",
        f"  uploads a second        {spread(throughput)} of those without; the goal is x{GOAL} at least",
        f"  uploads a processor s   {spread(processor)} of those without",
    ]


def spread(ratios: Sequence[float]) -> str:
    """Return the middle of ratios, and from where to where they go."""
    return f"x{statistics.median(ratios):.3f} (x{min(ratios):.3f} to x{max(ratios):.3f})"
