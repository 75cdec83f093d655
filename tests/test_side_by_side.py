import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from consumer.account.side_by_side import side_by_side
from streams.client.errors import KafkaUnreachableError


@asynccontextmanager
async def opened(name: str, told: list[str], is_waited_for: asyncio.Event, opens: asyncio.Event) -> AsyncIterator[str]:
    told.append(f"{name} begins")
    opens.set()
    try:
        await is_waited_for.wait()
        yield name
    finally:
        told.append(f"{name} is closed")


async def fail(after: asyncio.Event) -> None:
    await after.wait()
    raise KafkaUnreachableError


async def test_two_things_are_opened_at_once_and_closed_with_what_opened_them() -> None:
    told: list[str] = []
    one, other = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        first = stack.enter_async_context(opened("one", told, other, one))  # each waits for the other to begin
        found = await side_by_side(first, stack.enter_async_context(opened("other", told, one, other)))
        assert found == ("one", "other")
        assert told == ["one begins", "other begins"]
    assert sorted(told[2:]) == ["one is closed", "other is closed"]


async def test_where_one_fails_the_other_is_closed_before_that_error_is_raised_as_it_is() -> None:
    told: list[str] = []
    begun = asyncio.Event()
    async with AsyncExitStack() as stack:
        waiting = stack.enter_async_context(opened("one", told, asyncio.Event(), begun))
        with pytest.raises(KafkaUnreachableError):
            await side_by_side(waiting, fail(begun))
        assert told == ["one begins", "one is closed"]


async def test_a_start_that_is_cancelled_closes_both() -> None:
    told: list[str] = []
    one, other = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:
        first = stack.enter_async_context(opened("one", told, asyncio.Event(), one))
        second = stack.enter_async_context(opened("other", told, asyncio.Event(), other))
        task = asyncio.create_task(side_by_side(first, second))
        await asyncio.gather(one.wait(), other.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(told) == ["one begins", "one is closed", "other begins", "other is closed"]


async def test_an_error_keeps_what_caused_it() -> None:
    async def fail_for(cause: Exception) -> None:
        raise KafkaUnreachableError from cause

    cause = OSError()
    with pytest.raises(KafkaUnreachableError) as raised:
        await side_by_side(fail_for(cause), asyncio.sleep(0))
    assert raised.value.__cause__ is cause
