"""What is worked on at once is bounded, and pointers come in the order in which they fall due."""

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.in_flight_limiter import InFlightLimiter
from consumer.records.retry_schedule import Schedule
from schemas.records import Origin, RetryPointer
from streams.read.consumer_thread import Record


@given(st.lists(st.integers(0, 120), max_size=40), st.integers(1, 6), st.integers(1, 100))
async def test_places_bound_records_and_bytes_and_everybody_gets_one_in_turn(
    sizes: list[int], records: int, most: int
) -> None:
    limiter, under_way, order = InFlightLimiter(records, most), [], []

    async def work(number: int, size: int) -> None:
        await limiter.take(size)
        under_way.append(size)
        order.append(number)
        assert len(under_way) == 1 or (len(under_way) <= records and sum(under_way) <= most)
        await asyncio.sleep(0)
        under_way.remove(size)
        limiter.give_back(size)

    async with asyncio.timeout(5):
        await asyncio.gather(*(work(number, size) for number, size in enumerate(sizes)))
    assert order == list(range(len(sizes)))


async def test_who_no_longer_wants_a_place_holds_up_nobody() -> None:
    limiter = InFlightLimiter(1, 10)
    await limiter.take(10)
    waiting = [asyncio.create_task(limiter.take(10)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limiter.give_back(10)
    waiting[1].cancel()  # in the moment in which its place was given
    async with asyncio.timeout(5):
        await waiting[2]


@given(st.lists(st.floats(0, 1000)))
def test_pointers_come_in_the_order_in_which_they_fall_due(times: list[float]) -> None:
    schedule, now = Schedule(), datetime.now(UTC)
    for offset, at in enumerate(times):
        origin = Origin(topic="audience.facebook.retry", partition=0, offset=offset)
        pointer = RetryPointer(origin=origin, attempt=1, not_before=now, first_attempt_at=now, first_failure="busy")
        schedule.add(at, Record(origin=origin), pointer, is_put_off=False)
    taken = []
    while (at_next := schedule.next_at()) is not None:
        entry = schedule.take()
        assert entry.at == at_next
        taken.append((entry.at, entry.record.origin.offset))
    assert taken == sorted((at, offset) for offset, at in enumerate(times))
