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
    return alongside(listen(session, running[0].url), *(scrape(session, process.url) for process in running))


async def scrape(session: aiohttp.ClientSession, url: str) -> None:
    """Ask for the metrics of a process again and again. Raises aiohttp.ClientError."""
    while True:
        async with session.get(f"{url}/metrics") as response:
            response.raise_for_status()
            await response.read()
        await asyncio.sleep(EVERY)


async def listen(session: aiohttp.ClientSession, url: str) -> None:
    """Follow all events of ingestion. Raises aiohttp.ClientError."""
    async with session.get(f"{url}/events", timeout=FOREVER) as response:
        response.raise_for_status()
        async for _ in response.content:
            pass
