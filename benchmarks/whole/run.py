"""One run: users uploaded to a tree's processes, until all of them are at the sink and said to be."""

import asyncio
import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.whole.asking import asked
from benchmarks.whole.people import CONTENT_TYPE, upload, users_json
from benchmarks.whole.reports import Reports, followed_reports
from benchmarks.whole.sink import Counts
from benchmarks.whole.trees import PROVIDERS, Process, Tree, commands_of, environment, started
from benchmarks.whole.usage import bound_by, machine_seconds, own_seconds, peak_of, processes, seconds_of
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.topic_offsets import end_offsets

EACH = 10_000
"""Users of an upload."""

AT_ONCE = 2
WARM_UP = 5_000
"""Users that go first and are not measured, so that no figure has what is done once."""

SAMPLE = 0.5
SLOWEST = 2_000
"""Users a second that a run may not be slower than."""

GRACE_PERIOD = 120.0
"""Seconds that a run may take besides, and an upload at all."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runs have in common: a Kafka and a sink, with their processes' ids."""

    kafka: KafkaSettings
    kafka_process: int
    sink: str
    sink_process: int
    session: aiohttp.ClientSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a run is to do."""

    users: int
    is_untidy: bool = False
    watch: bool = False


@dataclass(slots=True, kw_only=True)
class Measured:
    """What a run came to: processor time by process of ours and of others, memory in bytes, rows by platform."""

    users: int
    took: float
    ours: Mapping[str, float]
    others: Mapping[str, float]
    peaks: Mapping[str, int]
    rows: Mapping[str, int]
    unknown: int
    bounds: Counter[str] = field(default_factory=Counter)
    """How many samples each bound held in."""
    held: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_right(self) -> bool:
        """Whether the sink has counted every user once at each platform, and was asked for nothing else."""
        return not self.unknown and all(self.rows.get(provider) == self.users for provider in PROVIDERS)

    def micros(self, name: str) -> float:
        """Return the microseconds of processor time a user of a process."""
        return 1e6 * (self.ours.get(name, 0.0) + self.others.get(name, 0.0)) / self.users

    def total(self) -> float:
        """Microseconds of processor time a user of all our processes."""
        return 1e6 * sum(self.ours.values()) / self.users


async def measure(tree: Tree, load: Load, around: Surroundings, begin: asyncio.Barrier) -> Measured:
    """Run a tree's processes on topics of their own, warm them up, and measure a load; all at `begin` begin at once."""
    names = TopicNames(f"whole-{secrets.token_hex(4)}")
    groups = [Target(provider).group_id(names.prefix) for provider in PROVIDERS]
    await ensure_topics(around.kafka, layout(names, groups))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        values = environment(around.kafka, names.prefix, around.sink, folder)
        reports = await stack.enter_async_context(followed_reports(around.kafka, names))
        running = await stack.enter_async_context(started(tree, values, folder, commands_of(), watch=load.watch))
        run = _Run(around, names, running, reports, load)
        await run.send(range(WARM_UP))
        if tree.is_asked:
            await stack.enter_async_context(asked(around.session, running))
        await begin.wait()
        return await run.measured()


@dataclass(slots=True)
class _Run:
    around: Surroundings
    names: TopicNames
    running: Sequence[Process]
    reports: Reports
    load: Load
    sent: int = 0

    @property
    def sessions(self) -> dict[str, int]:
        """Sessions by the names of what runs in them."""
        besides = {"kafka": self.around.kafka_process, "sink": self.around.sink_process}
        return {process.name: process.popen.pid for process in self.running} | besides

    async def measured(self) -> Measured:
        """Send the load and return what it took from the first byte to the last report."""
        counted, began, since = await self._counted(), time.monotonic(), time.time()
        used, bounds = self._used(), Counter[str]()
        async with self._sampled(bounds):
            await self.send(range(WARM_UP, WARM_UP + self.load.users))
        took = time.monotonic() - began
        await self._receipts()
        spent = {name: seconds - used[name] for name, seconds in self._used().items()}
        now, found = await self._counted(), processes()
        ours = {process.name: spent.pop(process.name) for process in self.running}
        return Measured(
            users=self.load.users,
            took=took,
            ours=ours,
            others=spent,
            peaks={name: peak_of(session, found) for name, session in self.sessions.items()},
            rows={provider: now.rows.get(provider, 0) - counted.rows.get(provider, 0) for provider in PROVIDERS},
            unknown=now.unknown - counted.unknown,
            bounds=bounds,
            held={process.name: _lines(process.held, since) for process in self.running},
        )

    def _used(self) -> dict[str, float]:
        return {**seconds_of(self.sessions, processes()), "uploader": own_seconds()}

    async def _counted(self) -> Counts:
        async with self.around.session.get(f"{self.around.sink}/") as response:
            return msgspec.json.decode(await response.read(), type=Counts)

    async def send(self, numbers: range) -> None:
        """Upload users in a session and return when every account has reported each of them. Raises TimeoutError."""
        async with asyncio.timeout(GRACE_PERIOD + len(numbers) / SLOWEST):
            await self._uploaded(numbers)
            self.sent += len(numbers)
            await self._reported()

    async def _uploaded(self, numbers: range) -> None:
        starts = iter(range(numbers.start, numbers.stop, EACH))
        place = {
            "sessionId": secrets.randbits(48),
            "totalBatches": -(-len(numbers) // EACH),
            "totalUsers": len(numbers),
        }

        async def upload_some() -> None:
            for start in starts:
                some = range(start, min(start + EACH, numbers.stop))
                await self._upload({**place, "sequence": 1 + (start - numbers.start) // EACH}, some)

        await asyncio.gather(*(upload_some() for _ in range(AT_ONCE)))

    async def _upload(self, place: Mapping[str, int], numbers: range) -> None:
        body = upload(json.dumps(place), users_json(numbers, is_untidy=self.load.is_untidy))
        url, headers = f"{self.running[0].url}/audience", {"Content-Type": CONTENT_TYPE}
        limit = aiohttp.ClientTimeout(total=GRACE_PERIOD)
        async with self.around.session.post(url, data=body, headers=headers, timeout=limit) as response:
            if response.status != 200:
                raise RuntimeError(f"an upload was answered {response.status}: {await response.text()}")

    async def _reported(self) -> None:
        """Return when every account has reported all users that were sent. Raises RuntimeError where that can't be."""
        while any(self.reports.accepted[provider] < self.sent for provider in PROVIDERS):
            if self.reports.failures:
                raise RuntimeError(f"not all was delivered: {', '.join(self.reports.failures)}")
            for process in self.running:
                process.check()
            await asyncio.sleep(0.05)

    async def _receipts(self) -> None:
        """Return when the ledger has noted every record. Raises TimeoutError."""
        async with asyncio.timeout(GRACE_PERIOD):
            while sum(await end_offsets(self.around.kafka, self.names.receipts)) < sum(
                await end_offsets(self.around.kafka, self.names.batches)
            ):
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def _sampled(self, bounds: Counter[str]) -> AsyncIterator[None]:
        """Look while the block is entered what bounds each moment."""
        looking = asyncio.create_task(self._sample(bounds))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _sample(self, bounds: Counter[str]) -> None:
        used, machine, at = self._used(), machine_seconds(), time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE)
            used_now, machine_now, now = self._used(), machine_seconds(), time.monotonic()
            spent = {name: seconds - used[name] for name, seconds in used_now.items()}
            bounds[bound_by(spent, machine_now - machine, now - at)] += 1
            used, machine, at = used_now, machine_now, now


def _lines(file: Path, since: float) -> list[str]:
    """Return what a process noted of its event loop since a time."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line for line in lines if float(line.split(" ", 1)[0]) >= since]
