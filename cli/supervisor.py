"""Processes that belong together: started, watched, started again with back-off, ended in order."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from streams.broker import LocalBroker
from streams.errors import StreamError
from streams.lifeline import Lifeline

log = structlog.get_logger()

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
CALM = 60.0
"""Seconds that a part must live for its back-off to begin anew."""

READY_LIMIT = 90.0
STOP_LIMIT = 30.0


Wait = Callable[[], Coroutine[Any, Any, int]]
Start = Callable[[], Coroutine[Any, Any, None]]


class PartFailedError(Exception):
    """A part did not become ready."""


@dataclass(slots=True, kw_only=True)
class Part:
    """One process of ours: a command of `audience`, its environment, and the URL that says it is ready."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str
    output: Path | None = None
    """File for its logs; None: our standard error."""
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, lifeline: Lifeline) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only us."""
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(self.output.open("ab")) if self.output else None
            self.process = subprocess.Popen(  # noqa: S603 -- our own command line
                [sys.executable, "-m", "cli.entry", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**self.environment, **lifeline.environ()},
                pass_fds=[lifeline.fd],
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Return the exit code once the process has ended."""
        assert self.process is not None  # noqa: S101 -- only called on a started part
        while (code := self.process.poll()) is None:
            await asyncio.sleep(0.1)
        return code

    async def stop(self) -> None:
        """End the process, by force if it takes too long."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.wait(), STOP_LIMIT)
        except TimeoutError:
            self.process.kill()
            await self.wait()


async def until_ready(part: Part) -> None:
    """Return when a part that was started says that it is ready. Raises PartFailedError."""
    deadline = time.monotonic() + READY_LIMIT
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while time.monotonic() < deadline:
            assert part.process is not None  # noqa: S101 -- only called on a started part
            if part.process.poll() is not None:
                raise PartFailedError(f"{part.name} ended at its start; its log says why")
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(part.ready_url) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise PartFailedError(f"{part.name} was not ready within {READY_LIMIT:.0f} s")


class Supervisor:
    """Keeps parts alive. Ends them in reverse order of their start, when left."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._broker: LocalBroker | None = None

    async def __aenter__(self) -> "Supervisor":
        self._lifeline = Lifeline()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in reversed(self._parts):
            await part.stop()
        if self._broker is not None:
            await self._broker.stop()
        self._lifeline.close()

    async def start_broker(self, broker: LocalBroker) -> None:
        """Start Kafka and keep it alive. Raises StreamError."""
        self._broker = broker
        await broker.start()
        self._tasks.append(asyncio.create_task(self._keep("kafka", broker.wait, broker.start)))

    async def start(self, *parts: Part) -> None:
        """Start parts and return when all are ready. Raises PartFailedError."""
        for part in parts:
            part.start(self._lifeline)
            self._parts.append(part)
        await asyncio.gather(*map(until_ready, parts))
        for part in parts:
            self._tasks.append(asyncio.create_task(self._keep(part.name, part.wait, self._again(part))))

    def _again(self, part: Part) -> Start:
        async def start() -> None:
            part.start(self._lifeline)

        return start

    async def _keep(self, name: str, wait: Wait, start: Start) -> None:
        """Start a part again whenever it ends, later and later if it ends soon."""
        pause = FIRST_WAIT
        while True:
            began = time.monotonic()
            code = await wait()
            pause = FIRST_WAIT if time.monotonic() - began > CALM else min(pause * 2, LONGEST_WAIT)
            log.error("A part ended: starting it again.", part=name, code=code, seconds=pause)
            await asyncio.sleep(pause)
            with contextlib.suppress(StreamError):  # the next round tries again, later
                await start()
