"""Work that blocks, beside the event loop: Ctrl-C leaves it behind, and the end of the process ends it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Return what work returns, or raise what it raises.

    One of asyncio's own threads would be waited for at the end of the process.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            _later(loop, ended, partial(ended.set_exception, error))
        else:
            _later(loop, ended, partial(ended.set_result, result))

    threading.Thread(target=run, name="upload", daemon=True).start()
    return await ended


def _later(loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[T]", settle: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(lambda: None if ended.done() else settle())
