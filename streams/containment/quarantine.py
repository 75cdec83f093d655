"""Records tried in a child process first, where reading one may have ended a process of ours.

Libraries in C can end a process on unusual bytes, and whoever may write to the topic can write those. So where the
last holder of a partition ended uncleanly, what it may have had in hand is first judged by a child; what ends the
child, twice, is quarantined. A death by SIGKILL or an exit of its own says nothing of the record.
"""

import asyncio
import os
import pickle
import resource
import signal
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import BinaryIO, cast

import structlog

from streams.processes.parent_guard import killed_with_parent
from streams.read.consumer_thread import Record

log = structlog.get_logger()

DEATHS = 2
"""How often a record must end the child; once may be chance."""

LIMIT = 60
"""Seconds of work that a record may take, after which the child ends itself; it takes milliseconds."""

CHILD_TIMEOUT = 120.0
"""Seconds for which a child that does nothing is waited for; for a registry it waits less long: see schema_registry."""

IDLE = 10.0
"""Seconds after which a child that nothing is asked of is ended."""

OF_THE_RECORD = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGPROF})
"""Ends of a child that count: what bytes can bring about, and its own end after LIMIT."""

STANDSTILL = "standstill"
"""What a child ended by that was waited for too long."""

_DONE = b"."
_SIZE = struct.Struct(">I")

Judge = Callable[[Record], object]
"""What is done with a record's bytes, to be pickled; what it raises ends nothing, and is said again in our process."""


@dataclass(slots=True)
class Trial:
    """Tries records in a child, one at a time; the child is started for the first one and ended when idle."""

    judge: Judge
    limit: float = LIMIT
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _child: Process | None = None
    _ending: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Trial":
        """Start nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        child = self._child
        self._end()
        if child is not None:
            await child.wait()

    async def ends_process(self, record: Record) -> bool:
        """Tell whether judging a record ends a process."""
        async with self._turn:
            self._keep()
            try:
                return await self._ends_child(record)
            finally:
                self._ending = asyncio.get_running_loop().call_later(IDLE, self._end)

    async def _ends_child(self, record: Record) -> bool:
        for death in range(1, DEATHS + 1):
            by = await self._death_by(record)
            if by is None:
                return False
            log.error("A record has ended a child process.", origin=str(record.origin), by=by, deaths=death)
        return True

    async def _death_by(self, record: Record) -> str | None:
        """Have a record judged; return what the child ended by, None where it did not or that says nothing."""
        child = self._child = self._child or await _started(self.judge, self.limit)
        assert child.stdin is not None  # noqa: S101 -- a pipe
        assert child.stdout is not None  # noqa: S101 -- another
        answer = b""
        is_still = False
        try:
            async with asyncio.timeout(CHILD_TIMEOUT):
                child.stdin.write(_packed(replace(record, assignment=None)))
                await child.stdin.drain()
                answer = await child.stdout.read(1)
        except TimeoutError:
            is_still = True
            child.kill()
        except ConnectionError:
            pass  # the child is gone, as its end tells
        if answer == _DONE:
            return None
        self._child, code = None, await child.wait()
        if is_still:
            return STANDSTILL
        if code >= 0 or -code not in OF_THE_RECORD:
            log.warning("A child process has ended, not by its record.", origin=str(record.origin), code=code)
            return None
        return signal.Signals(-code).name

    def _keep(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end(self) -> None:
        self._keep()
        if self._child is not None and self._child.returncode is None:
            self._child.kill()  # it holds nothing
        self._child = None


async def _started(judge: Judge, limit: float) -> Process:
    """Start a child that finds modules where we do, and hears of no signals of the terminal."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = (sys.executable, "-P", "-m", "streams.containment.quarantine")
    child = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environ, start_new_session=True
    )
    assert child.stdin is not None  # noqa: S101 -- a pipe
    child.stdin.write(_packed((judge, limit)))
    return child


def _packed(thing: object) -> bytes:
    data = pickle.dumps(thing)
    return _SIZE.pack(len(data)) + data


def _unpacked(source: BinaryIO) -> object:
    """Return what comes next. Raises EOFError once the parent has closed its end, or is gone."""
    head = source.read(_SIZE.size)
    if len(head) < _SIZE.size:
        raise EOFError
    return pickle.loads(source.read(_SIZE.unpack(head)[0]))  # noqa: S301 -- the parent's own


def main() -> None:
    """Judge the records that come on standard input, and say after each that we are still there."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold people's data
    killed_with_parent()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    with suppress(EOFError):
        judge, limit = cast(tuple[Judge, float], _unpacked(sys.stdin.buffer))
        while True:
            record = cast(Record, _unpacked(sys.stdin.buffer))
            signal.setitimer(signal.ITIMER_PROF, limit)
            with suppress(Exception):
                judge(record)
            os.write(answers, _DONE)


if __name__ == "__main__":
    main()
