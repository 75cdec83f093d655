"""How the process of a command ends: in order, within its time, at once on a second signal."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from cli.errors import CommandError
from schemas.tracebacks import place_of
from streams.processes.watched_threads import watched_thread

log = structlog.get_logger()

LEAST_TO_END = 2.0
"""Seconds that a service has at least to put things in order."""

SECOND_SIGNAL = 130
"""Exit code of a process that did not wait for its end in order. Nothing is lost: what was in hand is repeated."""

LAST_WORD = 60.0
"""Seconds after which a process whose parent is gone ends by force, whatever keeps its event loop."""


class ThreadFailedError(CommandError):
    """A thread ended by an error, which the log describes: start the process again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


async def run(command: Coroutine[Any, Any, None], limit: float | None) -> None:
    """Run a command; SIGINT or SIGTERM cancels it, upon which it puts things in order. A second one ends it at once.

    With a limit it is ended by force when that took so many seconds: what is unfinished is done again. A thread that
    fails, whoever started it, is as a signal: without it the process would only seem to work. Raises ThreadFailedError.
    """
    task = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()
    failed: list[str] = []

    def end_as_thread_failed(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "unknown"
        at = place_of(failure.exc_value) if isinstance(failure.exc_value, Exception) else failure.exc_type.__name__
        log.error("A thread failed: the process ends.", thread=name, at=at)
        failed.append(name)
        loop.call_soon_threadsafe(lambda: None if task.cancelling() else end())

    def end() -> None:
        if task.cancelling():
            os._exit(SECOND_SIGNAL)
        if limit is not None:
            _end_within(max(limit, LEAST_TO_END))
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    threading.excepthook = end_as_thread_failed
    try:
        await task
    except asyncio.CancelledError:
        if failed:
            raise ThreadFailedError from None
        raise


def _end_within(seconds: float) -> None:
    """End this process by force once so many seconds are over; a thread does, as the event loop may be at work."""
    log.info("Ending.", seconds_at_most=seconds)

    def force() -> None:
        log.warning("Not all came to its end in time: ended by force. What is unfinished is done again.")
        os._exit(0)

    _after(seconds, force)


def end_with_parent() -> None:
    """End in order as the parent is gone, and by force if that takes too long."""
    os.kill(os.getpid(), signal.SIGTERM)
    _after(LAST_WORD, lambda: os._exit(1))


def _after(seconds: float, call: Callable[[], object]) -> None:
    def wait() -> None:
        time.sleep(seconds)
        call()

    watched_thread("deadline", wait, lambda _: os._exit(1)).start()
