"""What folding takes from requests: while a view is built, and while as much comes to one, beside one at rest."""

import asyncio
import itertools
import multiprocessing
import secrets
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import aiohttp

from benchmarks.product import LIMIT, Product, make_form, product
from producer.settings import Address
from schemas.avro.codec import encode_batch_completion, encode_batch_receipt
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, Status
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.processes.ports import free_port
from streams.write.writer import Writer

PROVIDERS = ("facebook", "tiktok", "klaviyo")
BATCHES = 6_000
WORDS: Sequence[tuple[str, str, Status]] = (
    *((provider, "live", "retrying") for provider in PROVIDERS * 2),
    *((provider, "live", "delivered") for provider in PROVIDERS),
    ("facebook", "replay-1", "delivered"),
)
"""What accounts say of each batch."""

EVENTS = BATCHES * (1 + len(WORDS))
PARTITIONS = 12
OF_A_SESSION = 20
FAR = 1_000_000
"""Offsets that no upload reaches."""

CHUNK = 2_000
"""Events that are written at once."""

LANES = 4
PAUSE = 0.01
"""Seconds between the requests of a lane, so that the server is not busy with them alone."""

CALM = 6.0
"""Seconds of requests to a server at rest."""

USERS = [{"email": f"person{number}@example.com"} for number in range(10)]

Event = tuple[str, str, bytes]
"""Topic, key and value."""


@dataclass(slots=True)
class Seen:
    """Seconds that requests took, by kind, and how many events were folded in a second meanwhile."""

    seconds: Mapping[str, list[float]]
    rate: float = 0.0

    def figures(self, kind: str) -> tuple[float, float]:
        """Return the median and the 99th percentile of a kind."""
        return statistics.median(self.seconds[kind]), statistics.quantiles(self.seconds[kind], n=100)[-1]


async def measure_ledger(kafka: KafkaSettings) -> None:
    """Ask a server while it builds its view, at rest, and while as many events come as it was built of.

    Another process makes and writes the events. They come to topics of nobody's first: what that takes from requests
    is not the ledger's. Until the view is built, only uploads are answered.
    """
    nobodys = TopicNames(f"bench-{secrets.token_hex(4)}")
    await ensure_topics(kafka, layout(nobodys))
    with tempfile.TemporaryDirectory() as data, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        async with product(kafka, PROVIDERS, AUDIENCE_DATA=data) as running:
            trial = _Trial(running=running, pool=pool, data=Path(data))
            await trial.write(running.names, 1)
            until_built = await trial.serve()
            building = await trial.seen(until_built, ("upload",))
            resting = await trial.seen(asyncio.sleep(CALM), ("upload",))
            await trial.make(nobodys, 2)
            passing = await trial.seen(trial.write(nobodys, 2), ("upload", "status"))
            await trial.make(running.names, 2)
            coming = await trial.seen(trial.write_and_see_folded(2), ("upload", "status"))
    print(  # noqa: T201 -- the output
        f"ledger, {EVENTS:,} events are folded, requests beside those to the same server when it folds none "
        "(lower is better)"
    )
    _show("the view is built", building, resting)
    _show("events come", coming, passing)


def _show(when: str, seen: Seen, calm: Seen) -> None:
    told = []
    for kind in seen.seconds:
        (middle, slow), (calm_middle, calm_slow) = seen.figures(kind), calm.figures(kind)
        told.append(f"{kind} p50 x{middle / calm_middle:.2f} p99 x{slow / calm_slow:.2f}")
    print(f"  {when:18}{seen.rate:8,.0f} events/s   {', '.join(told)}")  # noqa: T201 -- the output


@dataclass(slots=True, kw_only=True)
class _Trial:
    running: Product
    pool: ProcessPoolExecutor
    data: Path
    at: Address = field(default_factory=lambda: Address(host="127.0.0.1", port=free_port()))

    async def make(self, names: TopicNames, number: int) -> None:
        """Let a wave of events be made, to be written later without delay."""
        await asyncio.get_running_loop().run_in_executor(self.pool, _events, names, number)

    async def write(self, names: TopicNames, number: int) -> None:
        """Let a wave of events be written."""
        await asyncio.get_running_loop().run_in_executor(
            self.pool, _write, self.running.kafka.bootstrap_servers, names, number
        )

    async def serve(self) -> "asyncio.Task[str]":
        """Start a server without a view and return once it listens; the task ends when the view is built."""
        until_built = asyncio.create_task(self.running.serve(self.at))
        async with asyncio.timeout(LIMIT):
            while not await self._is_listening():
                await asyncio.sleep(0.01)
        return until_built

    async def _is_listening(self) -> bool:
        try:
            async with self.running.session.get(f"http://{self.at}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def write_and_see_folded(self, number: int) -> None:
        """Let a wave be written, and return once all of it is folded."""
        await self.write(self.running.names, number)
        async with asyncio.timeout(LIMIT):
            while await self._folded() < number * EVENTS:
                await asyncio.sleep(0.2)

    async def _folded(self) -> int:
        return await asyncio.to_thread(self._positions)

    def _positions(self) -> int:
        """Return how many events the server has folded, by its view."""
        file = self.data / "view" / f"{self.at.host}-{self.at.port}.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as view:
            return int(view.execute("SELECT coalesce(sum(next), 0) FROM positions").fetchone()[0])

    async def seen(self, until: Awaitable[object], kinds: Sequence[str]) -> Seen:
        """Send requests of each kind until something is over."""
        calls = {"upload": self._upload, "status": self._status}
        seen, begun, folded = Seen({kind: [] for kind in kinds}), time.monotonic(), await self._folded()
        lanes = [
            asyncio.create_task(_ask_again(calls[kind], seen.seconds[kind])) for kind in kinds for _ in range(LANES)
        ]
        await until
        seen.rate = (await self._folded() - folded) / (time.monotonic() - begun)
        for lane in lanes:
            lane.cancel()
        ended = await asyncio.gather(*lanes, return_exceptions=True)
        if failed := [error for error in ended if not isinstance(error, asyncio.CancelledError)]:
            raise RuntimeError(f"a request failed: {failed[0]}")
        return seen

    async def _upload(self, number: int) -> None:
        form = make_form(f"VIP {number % PARTITIONS}", USERS)
        async with self.running.session.post(f"http://{self.at}/audience", data=form) as response:
            response.raise_for_status()

    async def _status(self, number: int) -> None:
        url = f"http://{self.at}/audience/batches/{_batch_id(1, number * 7 % BATCHES)}"
        async with self.running.session.get(url) as response:
            response.raise_for_status()
            await response.read()


async def _ask_again(call: Callable[[int], Awaitable[None]], seconds: list[float]) -> None:
    for number in itertools.count():
        begun = time.perf_counter()
        await call(number)
        seconds.append(time.perf_counter() - begun)
        await asyncio.sleep(PAUSE)


def _write(bootstrap_servers: str, names: TopicNames, number: int) -> None:
    """Write in a process of its own, which gets no settings: these hold what can't be handed on."""
    asyncio.run(_write_all(KafkaSettings(bootstrap_servers=bootstrap_servers), _events(names, number)))


async def _write_all(kafka: KafkaSettings, events: Sequence[Event]) -> None:
    async with Writer(kafka) as writer:
        for start in range(0, len(events), CHUNK):
            await asyncio.gather(*(writer.send(*event) for event in events[start : start + CHUNK]))


@cache
def _events(names: TopicNames, number: int) -> Sequence[Event]:
    """Return a wave of receipts, and of completions about the same batches."""
    return [*_receipts(names, number), *_completions(names, number)]


def _receipts(names: TopicNames, number: int) -> Iterator[Event]:
    for batch in range(BATCHES):
        receipt = BatchReceipt(
            batch_id=_batch_id(number, batch),
            part=1,
            parts=1,
            session_id=str(FAR * number + batch // OF_A_SESSION),
            sequence=batch % OF_A_SESSION,
            total_batches=OF_A_SESSION,
            total_users=OF_A_SESSION * len(USERS),
            name=f"VIP {batch % PARTITIONS}",
            type="custom",
            disable_prefix=False,
            users=len(USERS),
            content_hash=bytes(32),
            source="http",
            origin=_origin(names, number, batch),
            timestamp=datetime.now(UTC),
            verdict="valid",
        )
        yield names.receipts, receipt.key, encode_batch_receipt(receipt)


def _completions(names: TopicNames, number: int) -> Iterator[Event]:
    for provider, delivery, status in WORDS:
        for batch in range(BATCHES):
            users = len(USERS) if status == "delivered" else 0
            completion = BatchCompletion(
                batch_id=_batch_id(number, batch),
                part=1,
                parts=1,
                origin=_origin(names, number, batch),
                delivery=delivery,
                provider=provider,
                status=status,
                counts=Counts(received=len(USERS), accepted=users),
                error_code=None if users else "server_error",
                attempts=1,
                started_at=datetime.now(UTC),
                finished_at=datetime.now(UTC),
            )
            yield names.completions, completion.key, encode_batch_completion(completion)


def _batch_id(number: int, batch: int) -> str:
    return str(uuid.UUID(int=FAR * number + batch))


def _origin(names: TopicNames, number: int, batch: int) -> Origin:
    return Origin(topic=names.batches, partition=batch % PARTITIONS, offset=FAR * number + batch)
