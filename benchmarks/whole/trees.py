"""The processes that `audience up` runs, of this checkout or another one, against the sink."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.whole import held
from cli.demo.environment import demo_environment
from sandbox import CREDENTIALS
from streams.client.settings import KafkaSettings
from streams.processes.lifeline import Lifeline
from streams.processes.ports import free_port

ROOT = Path(__file__).parents[2]
PROVIDERS = ("facebook", "tiktok", "klaviyo")
READY_LIMIT = 90.0
STOP_LIMIT = 20.0
END_WITHIN = 5.0
"""Seconds that each process takes to end at most, also where Kafka ended before it."""

HEARD = 2_000
"""Characters of a process' log that are told where it fails."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout of the product with an environment of its own."""

    label: str
    path: Path
    python: str
    is_asked: bool = False
    """Whether its metrics are scraped and its events listened to while it works."""

    @classmethod
    def here(cls) -> "Tree":
        """Return the checkout that this runs in."""
        return cls("now", ROOT, sys.executable)

    @classmethod
    def before(cls, path: Path) -> "Tree":
        """Return another one. Raises FileNotFoundError where it has no `.venv`."""
        python = path.absolute() / ".venv" / "bin" / "python"
        if not python.exists():
            raise FileNotFoundError(f"{python} is missing: install that checkout into a .venv of its own")
        return cls("before", path.absolute(), str(python))


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a tree: what it is, where it listens, and the files that it writes."""

    name: str
    port: int
    popen: "subprocess.Popen[bytes]"
    log: Path
    held: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def check(self) -> None:
        """Raise RuntimeError, with the end of its log, where it has ended."""
        if (code := self.popen.poll()) is not None:
            end = self.log.read_text(encoding="utf-8", errors="replace")[-HEARD:]
            raise RuntimeError(f"{self.name} ended with {code}; the end of its log:\n{end}")

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Return when it says that it is ready. Raises RuntimeError, TimeoutError."""
        async with asyncio.timeout(READY_LIMIT):
            while True:
                self.check()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.1)


def environment(
    kafka: KafkaSettings, prefix: str, sink: str, data: Path, providers: Sequence[str] = PROVIDERS
) -> dict[str, str]:
    """Return what the processes run with: made-up accounts at the sink that nothing slows down."""
    values = {
        **demo_environment(os.environ).values,
        "AUDIENCE_DATA": str(data),
        "AUDIENCE_SHUTDOWN_TIMEOUT": f"{END_WITHIN:g}",
        "AUDIENCE_PROVIDERS": ",".join(providers),
        "AUDIENCE_TOPIC_PREFIX": prefix,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
    }
    values.pop("PYTHONPATH", None)
    for provider in providers:
        values |= CREDENTIALS[provider]
        values |= {f"{provider.upper()}_BASE_URL": f"{sink}/{provider}", f"{provider.upper()}_PACE": "off"}
    return values


def commands_of(providers: Sequence[str] = PROVIDERS) -> Mapping[str, Sequence[str]]:
    """Return the commands, by what runs them, of ingestion, which is first, the consumers and the ledger."""
    consumers = {f"consumer {provider}": ["consume", "--provider", provider] for provider in providers}
    return {"ingestion": ["serve"], **consumers, "ledger": ["consume", "--ledger"]}


@asynccontextmanager
async def started(
    tree: Tree, values: Mapping[str, str], folder: Path, commands: Mapping[str, Sequence[str]], *, watch: bool = False
) -> AsyncIterator[Sequence[Process]]:
    """Run a tree's commands while the block is entered; all are ready, in their order.

    With `watch` they note how long callbacks hold their event loops.
    """
    lifeline = Lifeline()
    async with AsyncExitStack() as stack:
        stack.callback(lifeline.close)
        begun: list[Process] = []
        stack.push_async_callback(_ended, begun)
        for name, arguments in commands.items():
            begun.append(_start(tree, name, arguments, values, folder, lifeline, watch=watch))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await asyncio.gather(*(process.ready(session) for process in begun))
        yield begun


def _start(
    tree: Tree,
    name: str,
    arguments: Sequence[str],
    values: Mapping[str, str],
    folder: Path,
    lifeline: Lifeline,
    *,
    watch: bool,
) -> Process:
    port, file = free_port(), name.replace(" ", "-")
    log, notes = folder / f"{file}.log", folder / f"{file}.held"
    listen = "AUDIENCE_LISTEN" if name == "ingestion" else "AUDIENCE_HEALTH_LISTEN"
    run = [held.__file__, str(notes)] if watch else ["-m"]
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603 -- a command line of this project's
            [tree.python, *run, "cli.entry", *arguments],
            cwd=tree.path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**values, listen: f"127.0.0.1:{port}", **lifeline.environ()},
            pass_fds=[lifeline.fd],
            start_new_session=True,
        )
    return Process(name, port, popen, log, notes)


async def _ended(processes: Sequence[Process]) -> None:
    """End all side by side, by force what takes too long."""
    for process in processes:
        process.popen.terminate()
    deadline = time.monotonic() + STOP_LIMIT
    for process in processes:
        try:
            await asyncio.to_thread(process.popen.wait, max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, int]]:
    """Run the sink while the block is entered; yield its URL and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.whole.sink",
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101 -- a pipe
    assert process.stdout is not None  # noqa: S101 -- a pipe
    try:
        async with asyncio.timeout(READY_LIMIT):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
