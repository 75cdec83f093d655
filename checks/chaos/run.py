"""A run: everything starts, works, fails by plan, comes to rest and is judged."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from checks.chaos import small
from checks.chaos.judge import READ_LIMIT, Books, judge
from checks.chaos.logs import UNEXPECTED, UNEXPECTED_OF_STRAYS, troubles_in
from checks.chaos.plan import PROVIDERS, Fault
from checks.chaos.processes import Fleet
from checks.chaos.replays import Replays
from checks.chaos.report import Report
from checks.chaos.sandbox_client import SandboxClient
from checks.chaos.small import Publisher
from checks.chaos.strays import Strays
from checks.chaos.uploads import Clients
from cli.demo.environment import demo_environment
from cli.local_stack.part_settings import part_settings
from cli.local_stack.running import make_part
from cli.settings.config import SANDBOXED, Config, load
from cli.settings.environment import DATA, Environment
from producer.settings import Address
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import ensure_topics, layout
from streams.local.broker import HOST, LocalBroker
from streams.processes.ports import is_free

SERVERS = 2
SHARED = frozenset({"ingestion", "ledger"})
"""Kinds of processes that serve every account."""

MOST_BORNE = 30
"""Rows of a call that a platform takes at most while it finds calls too large."""

MOST_CONSUMERS = 3
CLIENTS = 4
CALM = 3.0
"""Seconds of uploads before the first fault."""

STALL_TIMEOUT = 60.0
"""Seconds in which something must move while all is not at rest, once nothing fails any more."""

AT_REST = 3
"""How often in a row all must be found at rest, a second apart: what a server did not get to yet may follow."""

SETTINGS: Mapping[str, str] = {
    "AUDIENCE_RETRY_ATTEMPTS": "3",
    "AUDIENCE_CLAIM_EXPIRY": "4",
    "AUDIENCE_SYNC_TIMEOUT": "5",
    "AUDIENCE_SHUTDOWN_TIMEOUT": "5",
    "AUDIENCE_SANDBOX_LIMITS": "false",
    "AUDIENCE_SANDBOX_LATENCY": "0.02",
    **{f"{provider.upper()}_TIMEOUT": "4" for provider in PROVIDERS},
    **{f"{provider.upper()}_PACE": "off" for provider in PROVIDERS},
    "TIKTOK_PACE": "10/s",
}
"""Short waits, so that pointers, claims and stalls come to their end often; no paces but one, so that much is done.

At the account that has one, small records wait all the time, and so share calls.
"""


def chaos_environment(process: Mapping[str, str]) -> Environment:
    """Return an environment that nothing of the process reaches but where data may be."""
    kept = {name: value for name, value in process.items() if not name.startswith("AUDIENCE_") or name == DATA}
    values = {**demo_environment(kept, "chaos").values, **SETTINGS}
    return Environment(values, dict.fromkeys(values, "environment"))


def _port() -> int:
    """Return a free port below those that the system gives to clients.

    A client that keeps connecting to such a port while nobody listens there may at last be given it, and take it.
    """
    candidates = random.sample(range(20_000, 30_000), 100)
    return next(port for port in candidates if is_free(HOST, port))


@dataclass(slots=True, kw_only=True)
class World:
    """What a run acts on."""

    fleet: Fleet
    sandbox: SandboxClient
    clients: Clients
    publisher: Publisher
    settings: Mapping[str, str]
    books: Books
    logs: Path
    report: Report
    strays: Strays | None
    replays: Replays
    _consumers: Counter[str] = field(default_factory=Counter)

    async def add_consumer(self, provider: str, *, is_awaited: bool = False) -> None:
        """Start one more consumer of an account."""
        self._consumers[provider] += 1
        name = f"consume-{provider}-{self._consumers[provider]}"
        await self._consume(f"consumer {provider}", name, ["--provider", provider], is_awaited=is_awaited)

    async def add_ledger(self) -> None:
        """Start the ledger, and wait until it is ready."""
        await self._consume("ledger", "consume-ledger", ["--ledger"], is_awaited=True)

    async def _consume(self, kind: str, name: str, what: Sequence[str], *, is_awaited: bool) -> None:
        at = Address(host=HOST, port=_port())
        mine = {**self.settings, "AUDIENCE_HEALTH_LISTEN": str(at)}
        part = make_part(name, ["consume", *what], mine, at, "/readyz", self.logs / f"{name}.log")
        await self.fleet.add(kind, part, is_awaited=is_awaited)

    async def inject(self, fault: Fault) -> None:
        """Let something go wrong, and count it if it did."""
        verb, _, what = fault.kind.partition(" ")
        if not what:
            await self._fail_platform(fault)
        elif fault.kind == "pause broker":
            self._count(fault, self.fleet.pause_broker(fault.seconds))
        elif fault.kind == "kill broker":
            self._count(fault, await self.fleet.kill_broker(fault.seconds))
        else:
            await self._act(verb, what if what in SHARED else f"consumer {fault.provider}", fault)

    async def _act(self, verb: str, kind: str, fault: Fault) -> None:
        found = self.fleet.of(kind)
        chosen = found[int(fault.choice * len(found))]
        if verb == "kill":
            self._count(fault, chosen.kill(fault.seconds))
        elif verb == "pause":
            self._count(fault, self.fleet.pause(chosen, fault.seconds))
        elif verb == "add" and len(found) < MOST_CONSUMERS:
            self._count(fault, True)
            await self.add_consumer(fault.provider)
        elif verb == "remove" and len(found) > 1:
            self._count(fault, True)
            await self.fleet.remove(chosen)

    def _count(self, fault: Fault, is_done: bool) -> None:
        self.report.injected[fault.kind] += is_done

    async def _fail_platform(self, fault: Fault) -> None:
        self._count(fault, True)
        more: dict[str, object] = {"calls": fault.calls}
        if fault.kind == "auth":
            more = {"until": "cleared"}
        elif fault.kind == "throttled":
            more |= {"seconds": fault.seconds, "status": 429}
        elif fault.kind == "too_much":
            more |= {"rows": 1 + int(fault.choice * MOST_BORNE)}
        await self.sandbox.fail(provider=fault.provider, fault=fault.kind, **more)
        await asyncio.sleep(fault.seconds)  # a parked account makes few calls, and would meet faults of long ago
        await self.sandbox.clear(provider=fault.provider, fault=fault.kind)

    async def play(self, plan: Sequence[Fault], seconds: float) -> None:
        """Upload all the while; let things go wrong by plan; then let nothing go wrong any more."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.clients.run(CLIENTS))
            tasks.create_task(self.replays.run(self.clients.is_over))
            tasks.create_task(self.publisher.run(self.clients.is_over))
            if self.strays is not None:
                tasks.create_task(self.strays.run(self.clients.is_over))
            await asyncio.sleep(CALM)
            begun = loop.time()
            for fault in plan:
                await asyncio.sleep(begun + fault.at - loop.time())
                tasks.create_task(self.inject(fault))
            await asyncio.sleep(begun + seconds - loop.time())
            self.clients.is_over.set()
            await self.sandbox.clear(but="dislikes,leaves_out")  # that is what these platforms are like
            self.fleet.wake()

    async def settle(self) -> None:
        """Return when all is at rest, and still is a moment later. Note what is not where nothing moves any more."""
        loop, seen = asyncio.get_running_loop(), 0
        begun = moved = loop.time()
        left = ["nothing is known"]
        while seen < AT_REST and loop.time() - moved < STALL_TIMEOUT:
            await asyncio.sleep(1)
            try:
                found = [text async for text in self.books.unsettled()]
            except KafkaUnreachableError as error:
                found = [str(error)]
            moved = moved if found == left else loop.time()
            seen = 0 if found else seen + 1
            left = found
        self.report.settled = loop.time() - begun
        self.report.differences += [f"nothing moves, and not at rest is: {text}" for text in left]

    async def end_in_order(self) -> None:
        """End every process of ours but the sandbox by SIGTERM."""
        ours = [process for process in self.fleet.processes if process.kind != "sandbox"]
        await asyncio.gather(*map(self.fleet.remove, ours))


@asynccontextmanager
async def world(
    environment: Environment, chance: random.Random, report: Report, strays: int | None
) -> AsyncIterator[World]:
    """Run everything while the block is entered, on a Kafka of its own. Raises StreamError, PartFailedError."""
    shutil.rmtree(environment.data, ignore_errors=True)
    logs = environment.data / "logs"
    logs.mkdir(parents=True)
    config: Config = load(environment)
    sandbox, servers = Address(host=HOST, port=_port()), [Address(host=HOST, port=_port()) for _ in range(SERVERS)]
    settings = part_settings(environment, config, SANDBOXED, list(PROVIDERS), sandbox)
    async with AsyncExitStack() as stack:
        broker = LocalBroker(data=environment.data / "kafka", port=_port(), report=print)
        fleet = await stack.enter_async_context(Fleet(broker=broker))
        report.peaks, report.alone, report.differences = fleet.notes.peaks, fleet.notes.alone, fleet.notes.faults
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        groups = [target.group_id(config.common.prefix) for target in SANDBOXED]
        await ensure_topics(kafka, layout(config.names, groups))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READ_LIMIT))
        )
        clients = Clients([f"http://{server}" for server in servers], PROVIDERS, chance)
        found = World(
            fleet=fleet,
            sandbox=SandboxClient(session, f"http://{sandbox}"),
            clients=clients,
            publisher=Publisher(kafka, config.names.batches, clients.small),
            settings=settings,
            books=Books(kafka, config.names),
            logs=logs,
            report=report,
            strays=None if strays is None else Strays(kafka, config.names.batches, strays),
            replays=Replays(settings=settings, lifeline=fleet.lifeline, log=logs / "replays.log"),
        )
        await fleet.add(
            "sandbox",
            make_part("sandbox", ["sandbox"], settings, sandbox, "/healthz", logs / "sandbox.log"),
            is_awaited=True,
        )
        for taste in small.faults():
            await found.sandbox.fail(**taste)
        starts: list[Awaitable[object]] = [found.add_consumer(provider, is_awaited=True) for provider in PROVIDERS]
        starts.append(found.add_ledger())
        for number, server in enumerate(servers, 1):
            mine = {**settings, "AUDIENCE_LISTEN": str(server)}
            part = make_part(f"serve-{number}", ["serve"], mine, server, "/readyz", logs / f"serve-{number}.log")
            starts.append(fleet.add("ingestion", part, is_awaited=True))
        await asyncio.gather(*starts)
        watching = asyncio.create_task(fleet.watch_memory())
        stack.callback(watching.cancel)
        yield found


async def run(
    environment: Environment,
    plan: Sequence[Fault],
    chance: random.Random,
    seconds: float,
    say: Callable[[str], None],
    report: Report,
    strays: int | None = None,
) -> None:
    """Do it all; what differs from what must be stands in the report, even where the run is ended early.

    With a seed of strays records that nobody should write come, too.
    """
    async with world(environment, chance, report, strays) as found:
        if strays is not None:
            found.replays.longest += seconds
        say(f"Everything runs; now {len(plan)} faults in {seconds:.0f} s.")
        await found.play(plan, seconds)
        report.replays = found.replays.ends
        report.differences += found.replays.faults
        say("No more faults; waiting until all is at rest.")
        await found.settle()
        await judge(found.books, found.sandbox, found.clients, report)
        await found.end_in_order()
        unexpected = UNEXPECTED if strays is None else UNEXPECTED_OF_STRAYS
        logs = [process.log for process in (*found.fleet.processes, *found.fleet.ended)]
        for log in (*logs, found.replays.log):
            report.differences += troubles_in(log, unexpected)
