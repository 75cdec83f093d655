"""A run: a server is started, sent everything, watched, and asked at the end whether it still works."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from checks.chaos.processes import resident
from checks.clients import Capture, captures
from checks.hostile.draft import built, joined, make_parts
from checks.hostile.mutations import make_request
from checks.hostile.verdict import faults_of, faults_of_log
from checks.wire import Reply, exchange
from cli.local_stack.running import make_part
from cli.local_stack.supervisor import Part, Supervisor
from cli.settings.config import SANDBOXED
from cli.settings.environment import ENV_FILE
from producer.settings import Address
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.local.broker import HOST
from streams.processes.ports import free_port

AT_ONCE = 24
ANSWER_TIMEOUT = 20.0
"""Seconds after which an answer is missing."""

MIB = 1024 * 1024
FLAT = 1.25
"""Memory at the end over memory early on: what is more is a leak."""
SAMPLES = 40

SETTINGS: Mapping[str, str] = {
    "AUDIENCE_PROVIDERS": ",".join(map(str, SANDBOXED)),
    "AUDIENCE_API_TOKENS": "made-up-token",
    "AUDIENCE_SYNC_TIMEOUT": "0.05",
    "AUDIENCE_BODY_TIMEOUT": "1",
    "AUDIENCE_MAX_BODY": str(4 * MIB),
    ENV_FILE: "",
}
"""Short waits, and a limit that a hostile body can reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the server runs, and on what."""

    kafka: KafkaSettings
    prefix: str
    folder: Path

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "serve.log"


@dataclass(slots=True)
class Report:
    """What came of a run."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The number of the first request that had a fault, and what was done to it."""
    memory: list[int] = field(default_factory=list)

    def note(self, fault: str, where: str = "") -> None:
        """Count a fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, where)

    @property
    def growth(self) -> float:
        """Memory in the last quarter over memory in the second: 1 is flat."""
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return max(late) / max(early) if quarter else 1.0


@asynccontextmanager
async def server(place: Place, supervisor: Supervisor) -> AsyncIterator[tuple[Part, Address]]:
    """Run a server of its own process."""
    names = TopicNames(place.prefix)
    await ensure_topics(place.kafka, layout(names, [target.group_id(place.prefix) for target in SANDBOXED]))
    address = Address(host=HOST, port=free_port())
    mine = {
        **SETTINGS,
        "KAFKA_BOOTSTRAP_SERVERS": place.kafka.bootstrap_servers,
        "AUDIENCE_TOPIC_PREFIX": place.prefix,
        "AUDIENCE_LISTEN": str(address),
        "AUDIENCE_DATA": str(place.folder),
    }
    part = make_part("serve", ["serve"], mine, address, "/readyz", place.log)
    await supervisor.start(part)
    yield part, address


async def run(place: Place, seed: int, requests: int, seconds: float, say: Callable[[str], None]) -> Report:
    """Send so many requests, within so many seconds, and judge the answers, the log and the memory."""
    report = Report()
    async with Supervisor() as supervisor, server(place, supervisor) as (part, address):
        assert part.process is not None  # noqa: S101 -- it was started
        pid = part.process.pid
        flood = Flood(address, seed, captures(), report)
        await flood.send_all(requests, time.monotonic() + seconds, pid, say)
        if part.process.pid != pid or part.process.poll() is not None:
            report.note("the server ended")
        await _still_works(address, report)
    for fault, line in faults_of_log(place.log.read_bytes()):
        report.note(fault, line)
    if report.sent < requests:
        report.note(f"only {report.sent} of {requests} requests were sent in {seconds:.0f} s")
    if report.growth > FLAT:
        report.note(f"the server's memory grew to {report.growth:.2f} times what it was")
    return report


@dataclass(frozen=True, slots=True)
class Flood:
    """Sends the requests of a seed."""

    address: Address
    seed: int
    captures: Sequence[Capture]
    report: Report

    async def send_all(self, requests: int, until: float, pid: int, say: Callable[[str], None]) -> None:
        """Send all from several places at once; the memory is looked at now and then."""
        numbers, every = iter(range(requests)), max(1, requests // SAMPLES)

        async def work() -> None:
            for number in numbers:
                if time.monotonic() > until:
                    return
                await self._send(number)
                if number % every == 0:
                    self.report.memory.append(resident(pid))
                    if number % (every * 8) == 0:
                        say(f"{number} requests; {self.report.memory[-1] / MIB:.0f} MiB")

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    async def _send(self, number: int) -> None:
        draft = make_request(self.seed, number, self.captures)
        where = f"request {number} ({', '.join(draft.kinds) or 'right'})"
        try:
            reply = await exchange(
                self.address.host, self.address.port, draft.written(), ANSWER_TIMEOUT, is_whole=draft.is_whole
            )
        except TimeoutError:
            self.report.note("no answer, and the connection stays open", where)
            return
        except ValueError:
            self.report.note("an answer that is no HTTP", where)
            return
        finally:
            self.report.sent += 1
        self._judge(reply, where)

    def _judge(self, reply: Reply | None, where: str) -> None:
        self.report.answers["none" if reply is None else str(reply.status)] += 1
        for fault in faults_of(reply) if reply else ():
            self.report.note(fault, where)


async def _still_works(address: Address, report: Report) -> None:
    """Note a fault unless a good upload is taken."""
    good = built(joined(make_parts(random.Random())))  # noqa: S311 -- made-up users
    reply = await exchange(address.host, address.port, good.written(), ANSWER_TIMEOUT)
    if reply is None or reply.status != 200:
        report.note(f"a good upload at the end is answered {reply.status if reply else 'nothing'}")
