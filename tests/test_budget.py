"""Bytes of bodies that are held at once: nobody waits for ever, and one can always finish."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

import pytest
from wire import chunked, connected, exchange, head, multipart, part, usual
from world import make_batch, make_users, world

from producer.answers import Refused
from producer.transport.body_budget import GRACE, STEP, Budget, Room
from producer.transport.decoding_limiter import DecodingLimiter
from streams.client.settings import KafkaSettings

LARGEST = 16 * STEP


@dataclass
class Clock:
    """Time that passes when told."""

    at: float = 0.0
    budget: Budget = field(init=False)

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def make_budget(size: int, *, longest_wait: float = 5.0, clock: Clock | None = None) -> Budget:
    """Return a budget for bodies of at most LARGEST."""
    return Budget(size, LARGEST, body_timeout=60, longest_wait=longest_wait, now=clock or Clock())


@pytest.fixture
def rooms() -> Iterator[ExitStack]:
    """What is held; all is given back at the end."""
    with ExitStack() as stack:
        yield stack


def hold(rooms: ExitStack, budget: Budget, declared: int | None = None) -> Room:
    """Hold a body until the end of the test."""
    held: AbstractContextManager[Room] = budget.hold(declared)
    return rooms.enter_context(held)


async def test_a_body_of_known_length_is_held_before_it_comes_or_refused_at_once(rooms: ExitStack) -> None:
    budget = make_budget(LARGEST)
    hold(rooms, budget, LARGEST - 10)
    with pytest.raises(Refused):
        hold(rooms, budget, 11)
    hold(rooms, budget, 10)


async def test_a_body_of_unknown_length_holds_what_came_and_little_more(rooms: ExitStack) -> None:
    budget = make_budget(10 * LARGEST)
    room = hold(rooms, budget)
    await room.arrive(STEP + 1)
    assert room.size == 2 * STEP
    room.settle(STEP + 1)
    assert room.size == STEP + 1
    hold(rooms, budget, 10 * LARGEST - STEP - 1)


async def test_who_gets_no_more_gives_all_back_and_is_refused(rooms: ExitStack) -> None:
    budget = make_budget(LARGEST, longest_wait=0.01)
    hold(rooms, budget, LARGEST - STEP)
    with budget.hold(None) as room:
        await room.arrive(STEP)
        with pytest.raises(Refused) as refused:
            await room.arrive(1)
    assert (refused.value.response.status, refused.value.response.headers["Retry-After"]) == (503, "5")
    hold(rooms, budget, STEP)


async def test_the_eldest_can_always_finish_where_many_grow(rooms: ExitStack) -> None:
    """All ask in turns, the eldest last: those that can't go on wait, and it is not one of them."""
    budget = make_budget(2 * LARGEST)
    growing = [hold(rooms, budget) for _ in range(8)]
    waiting = [asyncio.ensure_future(_fill(room)) for room in reversed(growing)]
    async with asyncio.timeout(4):
        await waiting[-1]
    assert growing[0].arrived == LARGEST
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_all_that_grow_finish_one_after_the_other(rooms: ExitStack) -> None:
    del rooms
    budget = make_budget(LARGEST)

    async def one() -> None:
        with budget.hold(None) as room:
            await _fill(room)
            room.settle(0)

    async with asyncio.timeout(4):
        await asyncio.gather(*(one() for _ in range(20)))


async def _fill(room: Room) -> None:
    while room.arrived < LARGEST:
        await room.arrive(STEP)
        await asyncio.sleep(0)


async def test_nobody_overtakes_the_eldest_while_it_waits(rooms: ExitStack) -> None:
    budget = make_budget(LARGEST)
    with budget.hold(LARGEST - 10):
        eldest = hold(rooms, budget)
        waiting = asyncio.ensure_future(eldest.arrive(STEP))
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            hold(rooms, budget, 5)
    await waiting


async def test_who_declares_much_and_sends_little_gives_way_to_others(rooms: ExitStack) -> None:
    clock = Clock()
    budget = make_budget(2 * LARGEST, clock=clock)
    slow, quick = (hold(rooms, budget, LARGEST) for _ in range(2))
    await quick.arrive(LARGEST)
    await slow.arrive(10)
    with pytest.raises(Refused):
        hold(rooms, budget, STEP)
    clock.at = GRACE + 1
    hold(rooms, budget, STEP)
    assert (slow.size, quick.size) == (10, LARGEST)
    await slow.arrive(10)
    assert slow.size == STEP


async def test_what_is_held_without_having_been_asked_for_keeps_others_out(rooms: ExitStack) -> None:
    """Records and their copies may be more than the body was."""
    budget = make_budget(LARGEST)
    room = hold(rooms, budget, LARGEST)
    room.settle(2 * LARGEST)
    with pytest.raises(Refused):
        hold(rooms, budget, 1)
    room.settle(0)
    hold(rooms, budget, LARGEST)


async def test_as_much_is_decoded_at_once_as_is_allowed_in_the_order_of_asking() -> None:
    limiter, order = DecodingLimiter(10), list[str]()

    async def decode(name: str, size: int) -> None:
        async with limiter.turn(size):
            order.append(name)
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")

    await asyncio.gather(decode("large", 20), decode("small", 4), decode("other", 6))
    assert order == ["large", "large ends", "small", "other", "small ends", "other ends"]


async def test_who_gives_up_waiting_for_a_turn_holds_up_nobody() -> None:
    limiter = DecodingLimiter(10)

    async def decode() -> None:
        async with limiter.turn(10):
            await asyncio.sleep(0.01)

    first, second, third = (asyncio.ensure_future(decode()) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(first, third)
        await decode()


async def test_many_uploads_of_unknown_length_at_once_are_all_taken(kafka: KafkaSettings, topic_prefix: str) -> None:
    """16 at a time, ten each, of one user in a session of its own, in as little memory as the server can have."""
    settings = {"AUDIENCE_MAX_BODY": 1_000_000, "AUDIENCE_BODY_BUDGET": 1_000_000}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server:

        async def ten(thread: int) -> list[int]:
            return [(await exchange(server, _chunked_upload(thread, number))).status for number in range(10)]

        found = await asyncio.gather(*(ten(thread) for thread in range(16)))
    assert [status for statuses in found for status in statuses] == [200] * 160


def _chunked_upload(thread: int, number: int) -> bytes:
    batch = json.dumps(make_batch(sessionId=100 * thread + number))
    body = multipart(usual(part("batch", batch), part("users", json.dumps(make_users(1)))))
    return head({"Transfer-Encoding": "chunked"}) + chunked(body[:50], body[50:])


async def test_an_upload_that_can_not_grow_is_put_off_and_others_get_through(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """The first one declares nearly all of the budget and stalls; what it has not sent is lent after a while."""
    settings = {"AUDIENCE_MAX_BODY": 200_000, "AUDIENCE_BODY_BUDGET": 400_000}
    async with (
        world(kafka, topic_prefix, consuming=(), settings=settings) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        for wire in (first, second):
            await wire.send(head(length=199_000) + b"--b\r\n")
        async with asyncio.timeout(30):
            while (answer := await exchange(server, _chunked_upload(1, 1))).status != 200:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
