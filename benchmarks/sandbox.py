"""What the sandbox costs a user, by platform: uploads checked in bulk beside row by row, sent as our providers do."""

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection

import aiohttp
import msgspec

import sandbox.app
from benchmarks.clean_users import clean_user
from providers.installed import installed
from providers.kit.http import Answer, Request
from providers.kit.provider import AnyProvider
from providers.kit.rows.users_to_rows import make_rows
from providers.kit.settings import account_values
from schemas.target import Target

NAMES = ("facebook", "tiktok", "klaviyo")
USERS = 20_000
PAIRS = 9
LIMIT = 60.0
"""Seconds that anything awaited here may take."""


@dataclass(frozen=True, slots=True)
class _Usage:
    """What a process has used up to now: seconds of CPU, and at its peak bytes of memory."""

    cpu: float
    peak: int


@dataclass(slots=True)
class _Server:
    """A sandbox in a process of its own, and the CPU that uploads cost it, in µs a user, by what was called."""

    url: str
    _pipe: Connection
    costs: dict[str, list[float]] = field(default_factory=dict)

    def usage(self) -> _Usage:
        """Ask the process what it has used."""
        self._pipe.send(None)
        usage = self._pipe.recv()
        if not isinstance(usage, _Usage):
            raise TypeError("expected what the sandbox's process has used")
        return usage


@dataclass(slots=True)
class _Calls:
    """A provider's transport: carries its calls, and keeps the bodies of its uploads."""

    session: aiohttp.ClientSession
    base_url: str
    uploads: list[bytes] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        """Call the sandbox."""
        body = request.whole_body()
        if request.operation == "upload" and body is not None:
            self.uploads.append(body)
        url = request.url(self.base_url)
        async with self.session.request(
            request.method,
            url,
            params=request.query,
            headers=request.headers,
            data=body,
        ) as response:
            answer = await response.read()
            return Answer(status=response.status, headers=response.headers, body=answer)


def measure_sandbox() -> None:
    """Upload other people in each round, to one sandbox and then to the other, each first in turn."""
    asyncio.run(_measure())


async def _measure() -> None:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
        _running(in_bulk=False) as before,
        _running(in_bulk=True) as now,
    ):
        for number in range(PAIRS):
            for name in NAMES:
                for server in (before, now) if number % 2 else (now, before):
                    await _upload(session, server, name, number)
        _show(before, now)


async def _upload(session: aiohttp.ClientSession, server: _Server, name: str, number: int) -> None:
    """Note what an upload costs, and what its bodies cost where nobody reads them."""
    calls = _Calls(session, f"{server.url}/{name}")
    provider = _provider(name, server.url, calls)
    audience = await provider.create_audience(f"Round {number}", "custom")
    *_, made = make_rows(provider, enumerate(map(clean_user, range(number * USERS, (number + 1) * USERS))))
    began = server.usage()
    for rows in _by_call(made.rows, provider.limits.rows):
        await provider.send(audience, rows)
    uploaded = server.usage()
    for body in calls.uploads:
        async with session.post(f"{server.url}/{name}/nowhere", data=body) as response:
            await response.read()
    carried = server.usage()
    server.costs.setdefault(name, []).append((uploaded.cpu - began.cpu) * 1e6 / USERS)
    server.costs.setdefault(f"{name} HTTP", []).append((carried.cpu - uploaded.cpu) * 1e6 / USERS)


def _provider(name: str, url: str, calls: _Calls) -> AnyProvider:
    kind = installed()[name]
    environment = {**sandbox.CREDENTIALS[name], f"{name.upper()}_BASE_URL": f"{url}/{name}"}
    values = account_values(kind.settings_type, Target(name), environment)
    return kind(kind.settings_type.model_validate(values), calls)


def _by_call(rows: Sequence[msgspec.Raw], most: int) -> Iterator[Sequence[msgspec.Raw]]:
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _show(before: _Server, now: _Server) -> None:
    print(f"sandbox, µs of CPU a user, {USERS:,} users a round, median of {PAIRS} pairs (least to most)")  # noqa: T201 -- the output
    for name in NAMES:
        pairs = list(zip(before.costs[name], now.costs[name], strict=True))
        carried = statistics.median(before.costs[f"{name} HTTP"] + now.costs[f"{name} HTTP"])
        rows, bulk = (statistics.median(server.costs[name]) for server in (before, now))
        print(  # noqa: T201 -- the output
            f"  {name:10} by rows {rows:5.1f}, in bulk {bulk:5.1f}, of which HTTP {carried:4.1f}; "
            f"whole {_spread([old / new for old, new in pairs])}, "
            f"without HTTP {_spread([(old - carried) / (new - carried) for old, new in pairs])}"
        )
    totals = [sum(statistics.median(server.costs[name]) for name in NAMES) for server in (before, now)]
    print(f"  {'together':10} by rows {totals[0]:5.1f}, in bulk {totals[1]:5.1f}, x{totals[0] / totals[1]:.1f}")  # noqa: T201 -- the output
    peaks = [server.usage().peak for server in (before, now)]
    print(f"  memory at its peak, in bulk against by rows: x{peaks[1] / peaks[0]:.2f}")  # noqa: T201 -- the output


def _spread(ratios: Sequence[float]) -> str:
    return f"x{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


@asynccontextmanager
async def _running(*, in_bulk: bool) -> AsyncIterator[_Server]:
    ours, theirs = (spawn := get_context("spawn")).Pipe()
    process = spawn.Process(target=_serve, args=(theirs, in_bulk), daemon=True)
    process.start()
    try:
        yield _Server(await asyncio.to_thread(ours.recv), ours)
    finally:
        process.kill()
        process.join(LIMIT)


def _serve(pipe: Connection, in_bulk: bool) -> None:
    asyncio.run(_serve_until_killed(pipe, in_bulk=in_bulk))


async def _serve_until_killed(pipe: Connection, *, in_bulk: bool) -> None:
    options = sandbox.SandboxOptions(limits=False, latency=0.001, job_seconds=0.05, in_bulk=in_bulk)
    runner = await sandbox.app.serve("127.0.0.1", 0, options)
    asyncio.get_running_loop().add_reader(pipe.fileno(), _send_usage, pipe)
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def _send_usage(pipe: Connection) -> None:
    pipe.recv()
    pipe.send(_Usage(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
