"""What the collector of cycles has to go through: little, and never rows."""

import asyncio
import dataclasses
import gc
from collections.abc import Iterator
from types import ModuleType
from typing import Literal, NoReturn

import pytest
from test_rows_in_flight import Platform, calm, delivery_to, record

from cli.consume.garbage_collection import BUSY, CALM, FIRST, NEVER, REST, YOUNG, Freezing, Passes
from cli.consume.garbage_collection import MANY as MANY_PASSES
from consumer.delivery.outcome import Outcome
from consumer.retries.retry_policy import RetryPolicy
from providers.kit.errors import PlatformError, platform_error
from providers.kit.rows import normalisers
from providers.kit.rows.rows_per_call import RowGroup
from schemas.repairs.phones import repaired_phone

MANY = 3_000
ROOM = 10_000_000


class Refusing(asyncio.Event):
    """Answers a platform's calls with an error, as a library beneath would: one that comes of another."""

    def __init__(self, code: str, calls: int) -> None:
        super().__init__()
        self.code, self.calls = code, calls

    async def wait(self) -> Literal[True]:
        """Raise for as many calls as were asked for."""
        self.calls -= 1
        if self.calls < 0:
            return True
        try:
            _drop()
        except ConnectionError as error:
            raise platform_error(self.code) from error


def _drop() -> NoReturn:
    raise ConnectionError


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have nothing collected but what the test collects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def frozen() -> Iterator[None]:
    """Have the collector forget what there is, as a command does when it begins."""
    gc.freeze()
    yield
    gc.unfreeze()


def references() -> int:
    """Return what a full pass of the collector follows, modules aside.

    To ask for those of asyncio spoils its free list in Python 3.12 and 3.13.0 (CPython's issue 122695).
    """
    gc.collect()
    found = (one for one in gc.get_objects() if not isinstance(one, ModuleType))
    return sum(len(gc.get_referents(one)) for one in found)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("platform_error", 1),
        ("platform_error", 99),
        ("no_answer", 99),
        ("request_refused", 99),
        ("too_much_data", 99),
        ("request_refused", 1),
        ("unexpected_answer", 99),
    ],
)
async def test_rows_of_a_failed_call_are_free_when_it_ended_without_the_collector(code: str, calls: int) -> None:
    platform = Platform(is_open=Refusing(code, calls))
    delivery = dataclasses.replace(delivery_to(platform, ROOM), policy=RetryPolicy(attempts=2, base=0.001))
    outcome = await delivery.deliver(record(1, 1000), _say_nothing)
    assert platform.calls
    assert outcome.error or outcome.postponed or outcome.accepted
    assert not [found for found in gc.get_objects() if isinstance(found, RowGroup)]


@pytest.mark.usefixtures("uncollected")
async def test_users_that_wait_for_their_rows_are_nothing_that_the_collector_goes_through() -> None:
    """Their number would make each of its passes longer, and it counts what it has not yet looked at."""
    platform = Platform()
    delivery = delivery_to(platform, ROOM)
    batch = record(1, 1000)
    batch.users[:] = batch.users * (MANY // len(batch.users))
    before = len(gc.get_objects())
    delivering = asyncio.create_task(delivery.deliver(batch, _say_nothing))
    await asyncio.sleep(0)
    assert not platform.calls
    assert len(gc.get_objects()) - before < MANY // 4
    platform.is_open.set()
    assert (await delivering).accepted == MANY


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("room", [ROOM, 1])
async def test_users_and_rows_that_a_pass_has_met_are_not_gone_through_again(room: int) -> None:
    """Whether they are in a call or wait for room, but for one record's rows, which wait to be cut into calls."""
    platform = Platform()
    delivery = delivery_to(platform, room)
    batches = [record(number, 1000) for number in (1, 2, 3, 4)]
    for batch in batches:
        batch.users[:] = batch.users * (MANY // len(batch.users))
    references()
    before = references()
    deliveries = [asyncio.create_task(delivery.deliver(batch, _say_nothing)) for batch in batches]
    for _ in range(20):
        await calm(deliveries, platform)
    references()
    assert references() - before < MANY // 2 + (0 if room == ROOM else MANY)
    platform.is_open.set()
    assert [outcome.accepted for outcome in await asyncio.gather(*deliveries)] == [MANY] * 4


@pytest.mark.usefixtures("frozen")
def test_what_is_remembered_of_phone_numbers_is_nothing_that_the_collector_goes_through() -> None:
    """Tables of tens of thousands of them held the event loop for 4 ms in each full pass."""
    normalisers.forget_phones()
    for number in range(2):
        _read(number)
    before = references()
    for number in range(MANY):
        _read(number)
    _read(MANY)
    assert references() - before < MANY // 4


def _read(number: int) -> None:
    text = f"Tel.: +49 (0) 30 {100_000 + number}"
    assert repaired_phone(text).repairs
    assert normalisers.phone(f"+49 (0) 30 {100_000 + number}", "DE")


async def _say_nothing(error: PlatformError, outcome: Outcome) -> None:
    del error, outcome


@dataclasses.dataclass
class Hand:
    """Holds records, and notes when it was told to take no more."""

    records_in_flight: int
    rests: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    def rest(self, left: int, seconds: float) -> None:
        """Note it."""
        self.rests.append((left, seconds))


@pytest.fixture
def passes_alone() -> Iterator[None]:
    """Have no passes but those that the test has."""
    usual = gc.get_threshold()
    gc.collect()
    gc.set_threshold(YOUNG, NEVER, NEVER)
    yield
    gc.set_threshold(*usual)
    gc.enable()


def full_passes() -> int:
    """Return how many there were."""
    count: int = gc.get_stats()[2]["collections"]
    return count


@pytest.mark.usefixtures("passes_alone")
def test_there_is_no_pass_while_many_records_are_in_hand_and_one_when_few_are_left() -> None:
    hand = Hand(CALM + 1)
    passes, before = Passes(hand, lambda: 0.0), full_passes()
    passes.look()
    assert not gc.isenabled()
    kept = [[number] for number in range(3 * YOUNG * MANY_PASSES)]
    passes.look()
    assert full_passes() == before
    hand.records_in_flight = CALM
    passes.look()
    assert gc.isenabled()
    assert full_passes() == before + 1
    passes.look()
    assert full_passes() == before + 1, "nothing is new"
    assert not hand.rests
    assert kept


@pytest.mark.usefixtures("passes_alone")
def test_a_busy_reader_is_told_to_rest_once_and_collected_in_the_end_where_something_is_new() -> None:
    hand, now = Hand(1000), 0.0
    passes, before = Passes(hand, lambda: now), full_passes()
    for now in (0.0, BUSY, BUSY + 1):  # noqa: B007 -- the clock
        passes.look()
    assert hand.rests == [(CALM, REST)]
    kept = [[number] for number in range(2 * YOUNG * MANY_PASSES)]
    now = BUSY + REST
    passes.look()
    assert full_passes() == before + 1
    now = 2 * (BUSY + REST)
    passes.look()
    assert full_passes() == before + 1, "nothing is new"
    assert hand.rests == [(CALM, REST)]
    assert kept


def test_what_full_passes_leave_is_frozen_ever_more_seldom() -> None:
    now = 0.0
    freezing, frozen_at, kept = Freezing(lambda: now), [], list[list[int]]()
    try:
        for second in range(int(20 * FIRST)):
            now = float(second)
            kept += ([] for _ in range(100))
            before = gc.get_freeze_count()
            freezing("stop", {"generation": 2})
            if gc.get_freeze_count() > before:
                frozen_at.append(second)
    finally:
        gc.unfreeze()
    assert frozen_at == [FIRST, 3 * FIRST, 7 * FIRST, 15 * FIRST]


def test_the_collector_tells_the_freezing_of_its_full_passes() -> None:
    """Python 3.12 and later freeze what is immortal in any full pass: what is counted here is what is new."""
    kept: list[list[int]] = [[] for _ in range(100)]
    gc.collect()
    freezing = Freezing(iter((0.0, FIRST)).__next__)
    gc.callbacks.append(freezing)
    try:
        before = gc.get_freeze_count()
        gc.collect(1)
        assert gc.get_freeze_count() == before
        gc.collect()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.callbacks.remove(freezing)
        gc.unfreeze()
