"""Processes that belong together: started, watched, started again with back-off, ended side by side."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp
import structlog

from cli.errors import CommandError
from cli.printing.log_lines import relay
from cli.printing.logs import write_relayed
from cli.settings.environment import LISTENS
from schemas.tracebacks import place_of
from streams.client.errors import StreamError
from streams.local.broker import LocalBroker
from streams.processes.announcement import Announcement
from streams.processes.lifeline import Lifeline
from streams.processes.watched_threads import watched_thread

log = structlog.get_logger()

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
CALM = 60.0
"""Seconds that a part must live for its back-off to begin anew."""

READY_LIMIT = 90.0
STOP_LIMIT = 30.0

PARTS_SHARE, ALL_SHARE = 0.75, 0.95
"""Shares of the time to end by which the parts must have ended, and Kafka, which they need until then."""

KAFKA_AT_LEAST = 3.0
"""Seconds that Kafka has to end, whatever else took long."""

SAID_EVERY = 3.0
"""Seconds between two lines about who is waited for."""

LAST_LINES = 1.0
"""Seconds for what a process that has ended still had to say."""

Wait = Callable[[], Coroutine[Any, Any, int]]
Start = Callable[[], Coroutine[Any, Any, None]]
Sleep = Callable[[float], Coroutine[Any, Any, None]]


class PartFailedError(CommandError):
    """A part did not become ready."""


@dataclass(slots=True, kw_only=True)
class Part:
    """One process of ours: a command of `audience`, its environment, and the path that says whether it is ready."""

    name: str
    """What it is and whose, such as `consumer facebook/eu`."""
    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready_path: str = "/readyz"
    output: Path | None = None
    """File for its logs; None: our standard error, each line with the part's name."""
    process: "subprocess.Popen[bytes] | None" = None
    address: str | None = None
    """Where it listens, once it has told us; started again, it listens there again."""
    _announcement: Announcement | None = field(default=None, init=False)
    _has_announced: bool = field(default=False, init=False)
    _relay: threading.Thread | None = field(default=None, init=False)

    def start(self, lifeline: Lifeline) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only us. Raises OSError."""
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(self.output.open("ab")) if self.output else None
            announcement = self._expected()
            stack.callback(announcement.started)
            self.process = subprocess.Popen(  # noqa: S603 -- our own command line
                [sys.executable, "-m", "cli.entry", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors or subprocess.PIPE,
                env={**self.environment, **self._listens(), **lifeline.environ(), **announcement.environ()},
                pass_fds=[lifeline.fd, announcement.fd],
                start_new_session=True,
            )
        if self.process.stderr is not None:
            self._relay = self._relayed(self.process, self.process.stderr)
            self._relay.start()

    def _relayed(self, process: "subprocess.Popen[bytes]", lines: IO[bytes]) -> threading.Thread:
        """Return what tells a process' lines; the process ends, to be started again, where nobody hears it any more."""

        def on_failure(error: BaseException) -> None:
            log.error("A part's lines can't be told: it is ended.", part=self.name, why=type(error).__name__)
            process.terminate()

        return watched_thread(f"lines of {self.name}", lambda: relay(lines, self.name, write_relayed), on_failure)

    def _expected(self) -> Announcement:
        if self._announcement is not None:
            self._announcement.close()
        self._announcement, self._has_announced = Announcement(), False
        return self._announcement

    def _listens(self) -> dict[str, str]:
        return {LISTENS[self.arguments[0]]: self.address} if self.address else {}

    def ready_url(self) -> str | None:
        """Return the URL that says whether this very process is ready, None until it has told where it listens."""
        announced = None if self._announcement is None or self._has_announced else self._announcement.read()
        if announced is not None:
            self.address, self._has_announced = announced, True
        return f"http://{self.address}{self.ready_path}" if self._has_announced else None

    async def wait(self) -> int:
        """Return the exit code once the process has ended and all its lines are told."""
        assert self.process is not None  # noqa: S101 -- only called on a started part
        while (code := self.process.poll()) is None:
            await asyncio.sleep(0.1)
        if self._relay is not None:
            await asyncio.to_thread(self._relay.join, LAST_LINES)
        return code

    async def stop(self, limit: float = STOP_LIMIT) -> None:
        """End the process, by force if it takes too long."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(limit):
                    await self.wait()
            except TimeoutError:
                log.warning("A part did not end in time: ended by force.", part=self.name, seconds=round(limit, 1))
                self.process.kill()
        if self.process is not None:
            await self.wait()
        if self._announcement is not None:
            self._announcement.close()


async def until_ready(part: Part) -> None:
    """Return when a part that was started says that it is ready. Raises PartFailedError."""
    deadline = time.monotonic() + READY_LIMIT
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while time.monotonic() < deadline:
            assert part.process is not None  # noqa: S101 -- only called on a started part
            if part.process.poll() is not None:
                await part.wait()
                raise PartFailedError(f"{part.name} ended at its start; its log says why")
            if await _is_ready(session, part.ready_url()):
                return
            await asyncio.sleep(0.1)
    raise PartFailedError(f"{part.name} was not ready within {READY_LIMIT:.0f} s")


async def _is_ready(session: aiohttp.ClientSession, url: str | None) -> bool:
    if url is not None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url) as response:
                return response.status == 200
    return False


class Supervisor:
    """Keeps parts alive. Left, it ends them side by side and Kafka last, within `limit` seconds."""

    def __init__(self, limit: float = STOP_LIMIT) -> None:
        self._limit = limit
        self._parts: list[Part] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._broker: LocalBroker | None = None

    async def __aenter__(self) -> "Supervisor":
        self._lifeline = Lifeline()
        return self

    async def __aexit__(self, *_: object) -> None:
        deadline = time.monotonic() + ALL_SHARE * self._limit
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_parts(PARTS_SHARE * self._limit)
        if self._broker is not None:
            await self._broker.stop(max(KAFKA_AT_LEAST, deadline - time.monotonic()))
        self._lifeline.close()

    async def _stop_parts(self, limit: float) -> None:
        """End all parts side by side, and say who is waited for."""
        begun = time.monotonic()
        ending = {asyncio.create_task(part.stop(limit)): part.name for part in self._parts}
        waiting = set(ending)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=SAID_EVERY)
            if waiting:
                left = round(max(0.0, limit - (time.monotonic() - begun)), 1)
                names = sorted(ending[task] for task in waiting)
                log.info("Waiting for parts to end.", parts=names, seconds_left=left)

    async def failure(self) -> None:
        """Wait until supervision itself fails, without end where it does not. Raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def start_broker(self, broker: LocalBroker) -> None:
        """Start Kafka and keep it alive. Raises StreamError."""
        self._broker = broker
        await broker.start()
        self._tasks.append(asyncio.create_task(keep("kafka", broker.wait, broker.start)))

    async def start(self, *parts: Part) -> None:
        """Start parts and return when all are ready. Raises PartFailedError, OSError."""
        for part in parts:
            self._parts.append(part)
            part.start(self._lifeline)
        await asyncio.gather(*map(until_ready, parts))
        for part in parts:
            self._tasks.append(asyncio.create_task(keep(part.name, part.wait, self._again(part))))

    def _again(self, part: Part) -> Start:
        async def start() -> None:
            part.start(self._lifeline)

        return start


async def keep(name: str, wait: Wait, start: Start, sleep: Sleep = asyncio.sleep) -> None:
    """Start a part again whenever it ends, without end: later and later if it ends soon or can't be started."""
    pause = FIRST_WAIT
    while True:
        began = time.monotonic()
        code = await wait()
        pause = FIRST_WAIT if time.monotonic() - began > CALM else min(pause * 2, LONGEST_WAIT)
        log.error("A part ended: starting it again.", part=name, code=code, seconds=pause)
        await sleep(pause)
        while (why := await _failure_of(start)) is not None:
            pause = min(pause * 2, LONGEST_WAIT)
            log.error("A part can't be started: trying again.", part=name, why=why, seconds=pause)
            await sleep(pause)


async def _failure_of(start: Start) -> str | None:
    """Start a part; return why it can't be, in one line, None where it was. Whatever fails may be mended."""
    try:
        await start()
    except (StreamError, OSError) as error:
        return " | ".join(str(error).splitlines())
    except Exception as error:
        return f"a bug: {place_of(error)}"
    return None
