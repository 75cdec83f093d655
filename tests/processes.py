"""Processes that a test starts."""

from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def killed_in_the_end(process: Process) -> AsyncIterator[Process]:
    """Yield a process; one that has not ended when the block is left is killed."""
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
