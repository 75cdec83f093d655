"""What asks a deployment while it works: a Prometheus that scrapes each process, and who follows its events."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from benchmarks.alongside import alongside
from benchmarks.whole.trees import Process

EVERY = 5.0
"""Seconds between scrapes of a process, three times as often as a Prometheus does by itself."""

FOREVER = aiohttp.ClientTimeout(total=None)


def asked(session: aiohttp.ClientSession, running: Sequence[Process]) -> AbstractAsyncContextManager[None]:
    """Ask while the block is entered; ingestion is first. Raises aiohttp.ClientError where one does not answer."""
    return alongside(_listen(session, running[0]), *(_scrape(session, process) for process in running))


async def _scrape(session: aiohttp.ClientSession, process: Process) -> None:
    while True:
        async with session.get(f"{process.url}/metrics") as response:
            response.raise_for_status()
            await response.read()
        await asyncio.sleep(EVERY)


async def _listen(session: aiohttp.ClientSession, ingestion: Process) -> None:
    async with session.get(f"{ingestion.url}/events", timeout=FOREVER) as response:
        response.raise_for_status()
        async for _ in response.content:
            pass
