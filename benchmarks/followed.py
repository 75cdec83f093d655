"""Reports of accounts, as they come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.tail import Tail


@asynccontextmanager
async def followed_completions(
    kafka: KafkaSettings, names: TopicNames, follow: Callable[[Tail], Coroutine[Any, Any, None]]
) -> AsyncIterator[None]:
    """Run what follows completions, from now on, while the block is entered."""
    async with Tail(kafka, names.completions) as tail:
        following = asyncio.create_task(follow(tail))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
