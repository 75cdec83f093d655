"""Work that may wait for long, on a thread of its own: those that all share are for what is over soon."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def on_own_thread(work: Callable[[], T], name: str) -> T:
    """Return what work returns, whatever it raises; what nobody waits for any more goes on to its end."""
    thread = ThreadPoolExecutor(1, name)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    finally:
        thread.shutdown(wait=False)
