"""The processes of a run: started, killed, paused, started again, and ended in order."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from checks.chaos.ends import is_known_end
from checks.chaos.logs import last_line, said_since
from cli.local_stack.supervisor import Part, until_ready
from streams.client.errors import StreamError
from streams.local.broker import LocalBroker
from streams.processes.lifeline import Lifeline

END_LIMIT = 60.0
"""Seconds that a process may take to end in order, Kafka being away or not."""

COME_BACK = 1.0
"""Seconds after which what ended by itself, as without a Kafka to start with, is started again."""

BROKER = "kafka"


@dataclass(slots=True)
class Notes:
    """What was seen of processes."""

    peaks: dict[str, int] = field(default_factory=dict)
    """Bytes of memory that a process of a kind had at most."""
    alone: Counter[str] = field(default_factory=Counter)
    """How often processes of a kind ended by themselves, with which code."""
    faults: list[str] = field(default_factory=list)
    """Ends that are none in order, or by themselves without a reason that is known."""


@dataclass(slots=True, kw_only=True)
class Process:
    """One process, kept alive until it is to end. Its log is `part.output`."""

    kind: str
    part: Part
    lifeline: Lifeline
    notes: Notes
    _is_wanted: bool = True
    _is_killed: bool = False
    _down: float = COME_BACK
    _spoken_before: int = 0
    _keeping: "asyncio.Task[None] | None" = None

    def begin(self) -> None:
        """Start it, and again whenever it ends."""
        self._start()
        self._keeping = asyncio.create_task(self._keep())

    def _start(self) -> None:
        self._spoken_before = self._log_size()
        self.part.start(self.lifeline)

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    @property
    def log(self) -> Path:
        """The file that it says things in."""
        assert self.part.output is not None  # noqa: S101 -- all processes of a run have one
        return self.part.output

    @property
    def pid(self) -> int | None:
        """Its process id, None while it does not run."""
        process = self.part.process
        return process.pid if process is not None and process.poll() is None else None

    async def _keep(self) -> None:
        while True:
            code = await self.part.wait()
            self._note_end(code)
            if not self._is_wanted:
                return
            await asyncio.sleep(self._down if self._is_killed else COME_BACK)
            if not self._is_wanted:
                return
            self._is_killed = False
            self._start()

    def _note_end(self, code: int) -> None:
        if self._is_killed and code == -signal.SIGKILL:
            return
        if self._is_wanted:
            self.notes.alone[f"{self.kind} ({code})"] += 1
            self.notes.faults += self._faults_of_end(code)
        elif code and not (code == -signal.SIGTERM and self._log_size() == self._spoken_before):
            # Before its first words a process has nothing to put in order, and SIGTERM just ends it.
            self.notes.faults.append(f"{self.part.name} ended with {code} on SIGTERM")

    def _faults_of_end(self, code: int) -> Iterator[str]:
        """Yield what is wrong with an end that nobody asked for; where to look, and not what stands there."""
        if code < 0:
            yield f"{self.part.name} was ended by signal {-code}, which is none of ours"
        elif not is_known_end(code, said_since(self.log, self._spoken_before)):
            yield f"{self.part.name} ended by itself with {code}; {last_line(self.log)} is no reason that is known"

    def kill(self, down: float) -> bool:
        """End it by SIGKILL for so many seconds; False where it is down."""
        pid = self.pid
        if pid is None:
            return False
        self._is_killed, self._down = True, down
        os.kill(pid, signal.SIGKILL)
        return True

    async def end(self) -> None:
        """End it in order, by force where that takes too long, and not start it again."""
        self._is_wanted = False
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        elif self._keeping is not None:
            self._keeping.cancel()
        if self._keeping is not None:
            await self._ended(self._keeping)

    async def drop(self) -> None:
        """End it by SIGKILL, for good."""
        self._is_wanted = False
        self.kill(0)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self.part.process is not None:
            await self.part.wait()

    async def _ended(self, keeping: "asyncio.Task[None]") -> None:
        done, _ = await asyncio.wait({keeping}, timeout=END_LIMIT)
        if not done:
            self.notes.faults.append(f"{self.part.name} did not end within {END_LIMIT:.0f} s of SIGTERM")
            self.kill(0)
            await asyncio.wait({keeping})

    def wake(self) -> None:
        """Let it go on where it stands still."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGCONT)


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All processes, Kafka included; leaving it leaves none."""

    broker: LocalBroker
    notes: Notes = field(default_factory=Notes)
    lifeline: Lifeline = field(default_factory=Lifeline)
    processes: list[Process] = field(default_factory=list)
    ended: list[Process] = field(default_factory=list)
    _starts: int = 0
    _is_broker_down: bool = False
    _pausers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    async def __aenter__(self) -> "Fleet":
        await self.broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in (*self.processes, *self.ended):
            await process.drop()
        with contextlib.suppress(ProcessLookupError):
            await self.broker.kill()
        await self.broker.stop()
        for pauser in self._pausers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pauser.pid, signal.SIGKILL)
            pauser.wait()
        self.lifeline.close()

    async def add(self, kind: str, part: Part, *, is_awaited: bool = False) -> Process:
        """Start a process, and wait until it is ready if asked to. Raises PartFailedError."""
        process = Process(kind=kind, part=part, lifeline=self.lifeline, notes=self.notes)
        self.processes.append(process)
        process.begin()
        if is_awaited:
            await until_ready(part)
        return process

    async def remove(self, process: Process) -> None:
        """End a process in order."""
        self.processes.remove(process)
        self.ended.append(process)
        await process.end()

    def of(self, kind: str) -> list[Process]:
        """Return the processes of a kind."""
        return [process for process in self.processes if process.kind == kind]

    def pause(self, process: Process, seconds: float) -> bool:
        """Let a process stand still for so many seconds; False where it is down."""
        if process.pid is None:
            return False
        self._pause(process.pid, seconds)
        return True

    def pause_broker(self, seconds: float) -> bool:
        """Let Kafka stand still for so many seconds; False where it is down."""
        try:
            self._pause(self.broker.pid, seconds)
        except ProcessLookupError:
            return False
        return True

    def _pause(self, pid: int, seconds: float) -> None:
        """Stop a process, which goes on by itself even where we are no more by then."""
        script = 'kill -STOP "$0"; sleep "$1"; kill -CONT "$0"'
        nowhere = subprocess.DEVNULL
        pauser = subprocess.Popen(  # noqa: S603 -- our own command line
            ["/bin/sh", "-c", script, str(pid), f"{seconds:.1f}"],
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
        self._pausers.append(pauser)

    async def kill_broker(self, down: float) -> bool:
        """End Kafka by SIGKILL and start it again after so many seconds; False where it is down."""
        if self._is_broker_down:
            return False
        self._is_broker_down = True
        await self.broker.kill()
        await asyncio.sleep(down)
        await self._start_broker()
        self._is_broker_down = False
        return True

    async def _start_broker(self) -> None:
        self._starts += 1
        if self.broker.log.exists():
            self.broker.log.rename(self.broker.log.with_name(f"broker-{self._starts}.log"))
        while True:
            with contextlib.suppress(StreamError):
                return await self.broker.start()
            await asyncio.sleep(0.5)

    def wake(self) -> None:
        """Let everything go on that stands still."""
        for process in (*self.processes, *self.ended):
            process.wake()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.broker.pid, signal.SIGCONT)

    async def watch_memory(self) -> None:
        """Note the peak of each kind of process, without end."""
        while True:
            pids = [(process.kind.partition(" ")[0], process.pid) for process in self.processes]
            with contextlib.suppress(ProcessLookupError):
                pids.append((BROKER, self.broker.pid))
            for kind, pid in pids:
                if pid is not None:
                    self.notes.peaks[kind] = max(self.notes.peaks.get(kind, 0), peak_of(pid))
            await asyncio.sleep(0.5)


def peak_of(pid: int) -> int:
    """Return the bytes of memory that a process has had at most, 0 where it is gone."""
    return _memory(pid, "VmHWM")


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has now, 0 where it is gone."""
    return _memory(pid, "VmRSS")


def _memory(pid: int, name: str) -> int:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
