"""How the process of a command ends: in order, within its time, at once on a second signal."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()

LEAST_TO_END = 2.0
"""Seconds that a service has at least to put things in order."""

SECOND_SIGNAL = 130
"""Exit code of a process that did not wait for its end in order. Nothing is lost: what was in hand is repeated."""

LAST_WORD = 60.0
"""Seconds after which a process whose parent is gone ends by force, whatever keeps its event loop."""


async def run(command: Coroutine[Any, Any, None], limit: float | None) -> None:
    """Run a command; SIGINT or SIGTERM cancels it, upon which it puts things in order. A second one ends it at once.

    With a limit it is ended by force when that took so many seconds: what is unfinished is done again.
    """
    task = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()

    def end() -> None:
        if task.cancelling():
            os._exit(SECOND_SIGNAL)
        if limit is not None:
            _end_within(max(limit, LEAST_TO_END))
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    await task


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
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
