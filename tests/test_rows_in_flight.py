"""Rows and bodies that are with the platform are bounded by bytes; every record gets its turn, in order."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.audiences import Audiences
from consumer.delivery.delivery import Delivery
from consumer.delivery.outcome import Outcome
from consumer.delivery.rows_in_flight import COPIES, RowsInFlight
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.kit.provider import Limits, Provider, Sent
from providers.kit.rate_limiter import Pace
from providers.kit.rows.users_to_rows import Rows
from providers.kit.settings import AccountSettings
from schemas.avro.framing import Framing
from schemas.records import AudienceBatch, AudienceType, AudienceUser
from streams.client.settings import KafkaSettings
from streams.tables.audience_claims import Holding
from streams.tables.audience_directory import Directory
from streams.tables.audience_owner import Owner
from streams.write.writer import Writer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = Owner(provider="slow", host="127.0.0.1", platform_account_id="1")
LIMIT = 10.0


@dataclass
class Platform:
    """What a platform was given: calls that are under way, and all of them."""

    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: list[int] = field(default_factory=list)
    peak: int = 0
    calls: list[str] = field(default_factory=list)


class Slow(Provider[AccountSettings, dict[str, str | None]]):
    """A platform that answers when it is told to."""

    name: ClassVar[str] = "slow"
    settings_type = AccountSettings
    limits = Limits(rows=1000, body=10_000_000)
    rates: ClassVar[dict[str, Any]] = {}
    shares_calls: ClassVar[bool] = False  # each call is one record's
    platform: Platform

    account_id = "1"

    def row(self, user: AudienceUser) -> dict[str, str | None]:
        """Return what the user is known by."""
        return {"id": user.edge_tag_id}

    def identifiers(self, row: dict[str, str | None]) -> Sequence[str]:
        """Return the one that there is."""
        return list(row)

    async def find_audience(self, platform_name: str) -> str | None:
        """Return the audience that there always was."""
        return "1"

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Never be asked."""
        raise NotImplementedError

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Hold the call until the platform answers."""
        size, platform = sum(map(len, rows)), self.platform
        platform.calls.append(msgspec.json.decode(rows[0])["id"][:3])
        platform.under_way.append(size)
        platform.peak = max(platform.peak, sum(platform.under_way))
        await platform.is_open.wait()
        await asyncio.sleep(0)
        platform.under_way.remove(size)
        return Sent()


def delivery_to(platform: Platform, most: int) -> Delivery:
    """Return an account's way to a platform whose audience is known."""
    provider, time = Slow(AccountSettings(base_url="http://127.0.0.1"), None), Time()  # type: ignore[arg-type] # it calls nobody
    provider.platform = platform
    directory = Directory(
        owner=OWNER, topic="directory", writer=Writer(KafkaSettings(bootstrap_servers="127.0.0.1:1")), framing=Framing()
    )
    known = Holding(type="custom", audience_id="1", nonce="", until=NOW)
    directory._held[OWNER.key(provider.platform_name("VIP", disable_prefix=False))] = known
    pace = Pace({})
    return Delivery(
        provider=provider,
        throttles=Throttles(pace=pace, announce=_say_nothing, now=lambda: NOW),
        breaker=CircuitBreaker(probe=_say_nothing, announce=_say_nothing),
        policy=RetryPolicy(),
        time=time,
        audiences=Audiences(provider=provider, directory=directory, time=time, now=lambda: NOW, expiry=30.0),
        in_flight=RowsInFlight(most),
    )


async def _say_nothing(*_: object) -> None:
    return None


def record(number: int, size: int) -> AudienceBatch:
    """Return a record whose rows take about so many bytes."""
    users = [AudienceUser(edge_tag_id=f"{number:03}{'x' * (size // 10)}") for _ in range(10)]
    return AudienceBatch(batch_id=str(number), name="VIP", users=users)


async def calm(tasks: Sequence["asyncio.Task[Outcome]"], platform: Platform) -> None:
    """Return when nothing more reaches the platform."""
    for _ in range(10 * len(tasks)):
        await asyncio.sleep(0)
    assert platform.calls


async def test_rows_with_the_platform_are_bounded_by_bytes_however_many_records_come() -> None:
    platform = Platform()
    delivery = delivery_to(platform, COPIES * 350_000)
    tasks = [asyncio.create_task(delivery.deliver(record(number, 100_000), _say_nothing)) for number in range(12)]
    await calm(tasks, platform)
    assert platform.calls == ["000", "001", "002"]
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks)
    assert platform.calls == [f"{number:03}" for number in range(12)]
    assert platform.peak <= 350_000
    assert [outcome.accepted for outcome in outcomes] == [10] * 12


async def test_a_record_with_more_rows_than_there_is_room_for_goes_alone_and_in_its_turn() -> None:
    platform = Platform()
    delivery = delivery_to(platform, COPIES * 350_000)
    sizes = [100_000, 1_000_000, 100_000]
    tasks = [asyncio.create_task(delivery.deliver(record(*pair), _say_nothing)) for pair in enumerate(sizes)]
    await calm(tasks, platform)
    assert platform.calls == ["000"]
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*tasks)
    assert platform.calls == ["000", "001", "002"]
    assert platform.peak < 1_100_000


async def test_a_record_that_is_cancelled_leaves_its_room_to_others_with_the_platform_or_waiting() -> None:
    platform = Platform()
    delivery = delivery_to(platform, COPIES * 150_000)
    tasks = [asyncio.create_task(delivery.deliver(record(number, 100_000), _say_nothing)) for number in range(5)]
    await calm(tasks, platform)
    for number in (0, 1, 3):  # with the platform, waiting for room, and waiting for its rows to be made
        tasks[number].cancel()
    await calm(tasks, platform)
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ended] == [True, True, False, True, False]
    assert platform.calls == ["000", "002", "004"]


async def test_rows_that_can_t_be_made_take_no_room() -> None:
    in_flight = RowsInFlight(1)

    def failing() -> Iterator[Rows]:
        yield Rows(rows=[msgspec.Raw(b"1")])
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with in_flight.held(failing()):
                pass
    async with asyncio.timeout(LIMIT), in_flight.held(iter([Rows()])) as made:
        assert made == Rows()


@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 100))
async def test_any_rows_get_room_in_the_order_in_which_they_come(sizes: list[int], most: int) -> None:
    in_flight, under_way, order = RowsInFlight(most), [], []

    async def work(number: int, size: int) -> None:
        async with in_flight.held(iter([Rows(rows=[msgspec.Raw(b"1")] * size)])):
            under_way.append(COPIES * size)
            order.append(number)
            assert len(under_way) == 1 or sum(under_way) <= most or COPIES * size == 0
            await asyncio.sleep(0)
            under_way.remove(COPIES * size)

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*(work(number, size) for number, size in enumerate(sizes)))
    assert order == list(range(len(sizes)))
