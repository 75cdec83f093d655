"""Call a function in a process of its own: for what may end the process that does it."""

import asyncio
import contextlib
import os
import pickle
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import TypeVar, cast

from streams.processes.parent_guard import killed_with_parent

T = TypeVar("T")

TRIES = 3
"""Processes that may be ended by a signal until the call counts as failed."""


class ChildEndedError(Exception):
    """The process that was to answer ended, or did not answer in time."""


async def in_child(function: Callable[..., T], *arguments: object, limit: float) -> T:
    """Return what a function returns in a child process; one that a signal ends is followed by another.

    Function, arguments and result are pickled and pass through pipes, so they may be secret. Raises ChildEndedError,
    also where the function raises, or a child takes longer than `limit` seconds.
    """
    asked = pickle.dumps((function, arguments))
    reason = ""
    for _ in range(TRIES):
        child = await _started()
        try:
            async with asyncio.timeout(limit):
                answer, _unused = await child.communicate(asked)
        except TimeoutError as error:
            raise ChildEndedError("no answer") from error
        finally:
            await _end(child)
        if child.returncode == 0:
            return cast(T, pickle.loads(answer))  # noqa: S301 -- our own child's
        reason = _describe(child.returncode or 0)
        if not _is_by_signal(child):
            break
    raise ChildEndedError(reason)


async def _started() -> Process:
    """Start a child that finds modules where we do, and hears of no signals of the terminal."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = (sys.executable, "-P", "-m", "streams.processes.child_call")
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environ, start_new_session=True
    )


async def _end(child: Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _is_by_signal(child: Process) -> bool:
    return (child.returncode or 0) < 0


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def main() -> None:
    """Call the function that comes on standard input, and answer on standard output what it returns."""
    killed_with_parent()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    function, arguments = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 -- the parent's own
    with open(answers, "wb") as out:
        out.write(pickle.dumps(function(*arguments)))


if __name__ == "__main__":
    main()
