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

from checks.chaos.plan import PROVIDERS, Fault
from checks.chaos.processes import Fleet
from checks.chaos.sandbox_client import SandboxClient
from checks.chaos.uploads import Clients
from checks.chaos.verdict import Place, Upload, compare, faults_of, fold, longest_stall
from cli.config import SANDBOXED, Config, load
from cli.demo import demo_environment
from cli.environment import DATA, Environment
from cli.up import make_part, part_settings
from producer.settings import Address
from schemas.codec import decode_batch_completion
from schemas.records import TERMINAL, BatchCompletion
from schemas.target import Target
from streams.broker import HOST, LocalBroker
from streams.errors import KafkaUnreachableError
from streams.groups import backlog
from streams.ports import is_free
from streams.settings import KafkaSettings
from streams.tail import end_offsets, read_to_end
from streams.topics import TopicNames, ensure_topics, layout

SERVERS = 2
MOST_CONSUMERS = 3
CLIENTS = 4
CALM = 3.0
"""Seconds of uploads before the first fault."""

SETTLE = 120.0
"""Seconds that all may take to come to rest once nothing fails any more."""

READ_LIMIT = 60.0

SETTINGS: Mapping[str, str] = {
    "AUDIENCE_RETRY_ATTEMPTS": "3",
    "AUDIENCE_CLAIM_EXPIRY": "4",
    "AUDIENCE_SYNC_TIMEOUT": "5",
    "AUDIENCE_SHUTDOWN_TIMEOUT": "5",
    "AUDIENCE_SANDBOX_LIMITS": "false",
    "AUDIENCE_SANDBOX_LATENCY": "0.02",
    **{f"{provider.upper()}_TIMEOUT": "4" for provider in PROVIDERS},
    **{f"{provider.upper()}_PACE": "off" for provider in PROVIDERS},
}
"""Short waits, so that pointers, claims and stalls come to their end often; no paces, so that much is done."""


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


@dataclass(slots=True)
class Report:
    """What came of a run."""

    injected: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    users: int = 0
    records: int = 0
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Rows that a platform took, and how many of them it had."""
    audiences: Counter[str] = field(default_factory=Counter)
    extra_audiences: Counter[str] = field(default_factory=Counter)
    stall: float = 0.0
    settled: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class World:
    """What a run acts on."""

    fleet: Fleet
    sandbox: SandboxClient
    clients: Clients
    settings: Mapping[str, str]
    kafka: KafkaSettings
    names: TopicNames
    logs: Path
    report: Report
    _consumers: Counter[str] = field(default_factory=Counter)

    async def add_consumer(self, provider: str, *, is_awaited: bool = False) -> None:
        """Start one more consumer of an account."""
        self._consumers[provider] += 1
        name = f"consume-{provider}-{self._consumers[provider]}"
        at = Address(host=HOST, port=_port())
        mine = {**self.settings, "AUDIENCE_HEALTH_LISTEN": str(at)}
        arguments = ["consume", "--provider", provider]
        part = make_part(name, arguments, mine, at, "/readyz", self.logs / f"{name}.log")
        await self.fleet.add(f"consumer {provider}", part, is_awaited=is_awaited)

    async def inject(self, fault: Fault) -> None:
        """Let something go wrong, and count it if it did."""
        verb, _, what = fault.kind.partition(" ")
        if not what:
            await self._fail_platform(fault)
        elif what == "broker":
            is_done = self.fleet.pause_broker(fault.seconds) if verb == "pause" else None
            self._count(fault, await self.fleet.kill_broker(fault.seconds) if is_done is None else is_done)
        else:
            await self._act(verb, "ingestion" if what == "ingestion" else f"consumer {fault.provider}", fault)

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
        await self.sandbox.fail(fault.provider, fault.kind, **more)
        if fault.kind == "auth":
            await asyncio.sleep(fault.seconds)
            await self.sandbox.clear(provider=fault.provider, fault="auth")

    async def play(self, plan: Sequence[Fault], seconds: float) -> None:
        """Upload all the while; let things go wrong by plan; then let nothing go wrong any more."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.clients.run(CLIENTS))
            await asyncio.sleep(CALM)
            begun = loop.time()
            for fault in plan:
                await asyncio.sleep(begun + fault.at - loop.time())
                tasks.create_task(self.inject(fault))
            await asyncio.sleep(begun + seconds - loop.time())
            self.clients.is_over.set()
            await self.sandbox.clear()
            self.fleet.wake()

    async def settle(self) -> None:
        """Return when all is at rest: every record ended, every group at its end. Note what is not, in time."""
        loop = asyncio.get_running_loop()
        begun, left = loop.time(), ["nothing is known"]
        while left and loop.time() - begun < SETTLE:
            await asyncio.sleep(1)
            try:
                left = [text async for text in self._unsettled()]
            except KafkaUnreachableError as error:
                left = [str(error)]
        self.report.settled = loop.time() - begun
        self.report.differences += [f"not at rest after {SETTLE:.0f} s: {text}" for text in left]

    async def _unsettled(self) -> AsyncIterator[str]:
        for target in SANDBOXED:
            group = target.group_id(self.names.prefix)
            retry = self.names.retry(group)
            for group_id, topic in ((group, self.names.batches), (retry, retry)):
                if behind := await backlog(self.kafka, group_id, topic):
                    yield f"{group_id} is {behind} records behind"
        wanted = sum(await end_offsets(self.kafka, self.names.batches)) * len(SANDBOXED)
        ended = len(fold([completion for completion, _ in await self._completions()]))
        if ended < wanted:
            yield f"{wanted - ended} of {wanted} completions are missing"

    async def _completions(self) -> list[tuple[BatchCompletion, float]]:
        """Return all completions and when Kafka took them."""
        records = await read_to_end(self.kafka, self.names.completions, READ_LIMIT)
        return [(decode_batch_completion(r.value), r.timestamp.timestamp()) for r in records if r.timestamp]

    async def end_in_order(self) -> None:
        """End every process of ours but the sandbox by SIGTERM."""
        ours = [process for process in self.fleet.processes if process.kind != "sandbox"]
        await asyncio.gather(*map(self.fleet.remove, ours))

    async def judge(self) -> None:
        """Compare what was uploaded with what is reported and held."""
        report, uploads = self.report, self.clients.uploads
        report.answers, report.uploads, report.users = self.clients.answers, len(uploads), self.clients.users
        report.differences += self.clients.wrong
        completions = await self._completions()
        folded = fold(completion for completion, _ in completions)
        log = await read_to_end(self.kafka, self.names.batches, READ_LIMIT)
        report.records = len(log)
        report.differences += faults_of(folded, [record.origin for record in log], SANDBOXED)
        begun = {(r.origin, target): r.timestamp.timestamp() for r in log if r.timestamp for target in SANDBOXED}
        report.stall = longest_stall(begun, _first_ends(completions))
        for provider in PROVIDERS:
            await self._compare(provider, uploads, folded)
        counters = await self.sandbox.counters()
        report.sent = {name: (its["rows"], its["repeatedRows"]) for name, its in counters.items()}

    async def _compare(self, provider: str, uploads: Sequence[Upload], folded: Mapping[Place, BatchCompletion]) -> None:
        found = await self.sandbox.audiences(provider)
        names = {upload.audience for upload in uploads}
        wanted = {name: f"blotout_{name.replace(' ', '_')}" for name in names}
        self.report.audiences[provider] = found.total()
        self.report.extra_audiences[provider] = found.total() - len(found)
        for name in sorted(found.keys() - set(wanted.values())):
            self.report.differences.append(f"{provider}: holds an audience that nobody uploaded: {name!r}")
        for name, held_as in sorted(wanted.items()):
            mine = [upload for upload in uploads if upload.audience == name]
            holding = compare(await self.sandbox.members(provider, held_as), mine, provider)
            if holding.others:
                self.report.differences.append(f"{provider}: {name} holds {holding.others} that nobody uploaded")
            for what, by_upload in (("lacks", holding.lacking), ("holds though refused", holding.refused)):
                for number, count in by_upload.items():
                    self.report.differences.append(
                        f"{provider}: {name} {what} {count} of {_told(mine[number], folded)}"
                    )


def _told(upload: Upload, folded: Mapping[Place, BatchCompletion]) -> str:
    """Return what is known of an upload: its size, its batches and how their records ended."""
    ended = [
        f"{target} {origin} {completion.status} accepted {completion.counts.accepted}"
        for (origin, target), completion in sorted(folded.items(), key=lambda item: str(item[0]))
        if completion.batch_id in upload.batch_ids
    ]
    told = "; ".join(ended) or "no completion"
    return f"{upload.count} users from {upload.start} on, batches {upload.batch_ids}: {told}"


def _first_ends(completions: Sequence[tuple[BatchCompletion, float]]) -> dict[Place, float]:
    """Return when each record first ended at each account."""
    ends: dict[Place, float] = {}
    for completion, at in completions:
        if completion.status in TERMINAL:
            place = completion.origin, Target(completion.provider, completion.account or "")
            ends[place] = min(at, ends.get(place, at))
    return ends


@asynccontextmanager
async def world(environment: Environment, chance: random.Random, report: Report) -> AsyncIterator[World]:
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
        found = World(
            fleet=fleet,
            sandbox=SandboxClient(session, f"http://{sandbox}"),
            clients=Clients([f"http://{server}" for server in servers], PROVIDERS, chance),
            settings=settings,
            kafka=kafka,
            names=config.names,
            logs=logs,
            report=report,
        )
        await fleet.add(
            "sandbox",
            make_part("sandbox", ["sandbox"], settings, sandbox, "/healthz", logs / "sandbox.log"),
            is_awaited=True,
        )
        starts: list[Awaitable[object]] = [found.add_consumer(provider, is_awaited=True) for provider in PROVIDERS]
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
) -> None:
    """Do it all; what differs from what must be stands in the report, even where the run is ended early."""
    async with world(environment, chance, report) as found:
        say(f"Everything runs; now {len(plan)} faults in {seconds:.0f} s.")
        await found.play(plan, seconds)
        say("No more faults; waiting until all is at rest.")
        await found.settle()
        await found.judge()
        await found.end_in_order()
        for process in (*found.fleet.processes, *found.fleet.ended):
            report.differences += process.troubles()
