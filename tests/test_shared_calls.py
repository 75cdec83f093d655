"""Small records of one audience share calls; what becomes of each is what would have become of it alone."""

import asyncio
import dataclasses
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rows_in_flight import NOW, OWNER

from consumer.delivery.adding_and_removing import Adding
from consumer.delivery.audiences import Audiences
from consumer.delivery.call_sharing.call_members import Member, fitting
from consumer.delivery.call_sharing.shared_call import Key
from consumer.delivery.delivery import FRESH, Delivery
from consumer.delivery.outcome import Outcome
from consumer.delivery.rows_in_flight import RowsInFlight
from consumer.ordering.log_position import LogPosition
from consumer.ordering.standing import Standing
from consumer.removals.late_record import RecordInOrder
from consumer.retries.account_gate import Caller
from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.clock import Time
from consumer.retries.retry_policy import RetryPolicy
from consumer.retries.throttles import Throttles
from providers.installed import installed
from providers.kit.current_record import CurrentRecord, record_id
from providers.kit.errors import PlatformError, platform_error
from providers.kit.pre_send_checks import pre_send_check, run_pre_send_checks
from providers.kit.provider import Limits, NamedRowsError, Provider, Rejection, Sent
from providers.kit.rate_limiter import Pace
from providers.kit.rows.rows_per_call import RowGroup
from providers.kit.settings import AccountSettings
from schemas.avro.framing import Framing
from schemas.records import AudienceBatch, AudienceType, AudienceUser
from streams.client.settings import KafkaSettings
from streams.tables.audience_claims import Holding
from streams.tables.audience_directory import Directory
from streams.write.writer import Writer

LIMIT = 20.0
BAD = Rejection("email", "bad")
UNPLACED = Rejection(None, "refused_by_platform")


@dataclass
class Platform:
    """What a platform does with users, by their ids, and the calls that it was given."""

    rejected: Collection[str] = ()
    unplaced: Collection[str] = ()
    """Counted in a call, and not named."""
    named: Collection[str] = ()
    """A call with any of them is refused, by their names."""
    refused: Collection[str] = ()
    """A call with any of them is refused, without a name."""
    broken: Collection[str] = ()
    """Our code fails on a call with any of them."""
    failing: Collection[str] = ()
    """The platform fails on a call with any of them."""
    most: int = 1000
    """Rows that a call may have."""
    errors: list[PlatformError | None] = field(default_factory=list)
    """How the next calls fail, None for one that does not."""
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the bytes of calls may go."""
    is_stepwise: bool = False
    """Whether that is to be set for each call anew."""
    calls: list[list[str]] = field(default_factory=list)
    members: set[str] = field(default_factory=set)

    def take(self, ids: Sequence[str]) -> Sent:
        """Do what a platform does with a call."""
        self.calls.append(list(ids))
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        if len(ids) > self.most:
            raise platform_error("too_much_data")
        if any(one in self.broken for one in ids):
            raise ZeroDivisionError
        if any(one in self.failing for one in ids):
            raise platform_error("platform_error")
        if named := {place: BAD for place, one in enumerate(ids) if one in self.named}:
            raise NamedRowsError("request_refused", rejected=named)
        if any(one in self.refused for one in ids):
            raise platform_error("request_refused")
        rejected = {place: BAD for place, one in enumerate(ids) if one in self.rejected}
        unplaced = sum(one in self.unplaced for one in ids)
        self.members |= {one for one in ids if one not in self.rejected and one not in self.unplaced}
        return Sent(
            rejected=rejected, unplaced={UNPLACED: unplaced} if unplaced else {}, request_ids=[str(len(self.calls))]
        )


class Sharing(Provider[AccountSettings, dict[str, str | None]]):
    """A platform whose calls may be shared."""

    name: ClassVar[str] = "slow"
    settings_type = AccountSettings
    limits = Limits(rows=1000, body=1_000_000)
    rates: ClassVar[dict[str, Any]] = {}
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
        """Wait as for the pace, then let the bytes go."""
        await self.platform.is_open.wait()
        if self.platform.is_stepwise:
            self.platform.is_open.clear()
        await run_pre_send_checks()
        await asyncio.sleep(0)
        return self.platform.take([msgspec.json.decode(row)["id"] for row in rows])


class Alone(Sharing):
    """The same platform, to which each call is one record's."""

    shares_calls: ClassVar[bool] = False


@dataclass
class Heard:
    """What an account's way to its platform was told, and the naps that were taken."""

    throttles: list[str] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)


def delivery_to(
    platform: Platform, kind: type[Sharing] = Sharing, heard: Heard | None = None, search_calls: int = 300
) -> Delivery:
    """Return an account's way to a platform whose audience is known."""
    heard = heard or Heard()
    at = [0.0]

    async def sleep(seconds: float) -> None:
        heard.naps.append(seconds)
        at[0] += seconds
        await asyncio.sleep(0)

    async def tell(error: PlatformError, until: object) -> None:
        heard.throttles.append(error.code)

    time = Time(clock=lambda: at[0], sleep=sleep, chance=lambda: 0.5)
    provider = kind(AccountSettings(base_url="http://127.0.0.1"), None)  # type: ignore[arg-type] # it calls nobody
    provider.platform = platform
    directory = Directory(
        owner=OWNER, topic="directory", writer=Writer(KafkaSettings(bootstrap_servers="127.0.0.1:1")), framing=Framing()
    )
    known = Holding(type="custom", audience_id="1", nonce="", until=NOW)
    for name in ("VIP", "Others", "More"):
        directory._held[OWNER.key(provider.platform_name(name, disable_prefix=False))] = known
    return Delivery(
        provider=provider,
        throttles=Throttles(pace=Pace({}, time.clock, time.sleep), announce=tell, now=lambda: NOW),
        breaker=CircuitBreaker(probe=_say_nothing, announce=_say_nothing, time=time),
        policy=RetryPolicy(),
        time=time,
        audiences=Audiences(provider=provider, directory=directory, time=time, now=lambda: NOW, expiry=30.0),
        in_flight=RowsInFlight(),
        search_calls=search_calls,
    )


async def _say_nothing(*_: object) -> None:
    return None


def record(ids: Sequence[str], name: str = "VIP") -> AudienceBatch:
    """Return a record with such users."""
    return AudienceBatch(batch_id="", name=name, users=[AudienceUser(edge_tag_id=one) for one in ids])


async def calm(ticks: int = 400) -> None:
    """Return when nothing moves any more without the platform."""
    for _ in range(ticks):
        await asyncio.sleep(0)


async def delivered(delivery: Delivery, records: Iterable[Sequence[str]], platform: Platform) -> list[Outcome]:
    """Deliver records at the same time to a platform that answers once all of them wait."""
    tasks = [asyncio.create_task(delivery.deliver(record(ids), _say_nothing)) for ids in records]
    await calm()
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        return await asyncio.gather(*tasks)


def told(outcome: Outcome) -> tuple[object, ...]:
    """Return what is told of a record, but for the calls by which it went."""
    return (
        "postponed" if outcome.postponed else outcome.status,
        outcome.error and outcome.error.code,
        outcome.accepted,
        outcome.reasons,
        outcome.rejected_users,
        outcome.audience_id,
        outcome.is_begun,
        outcome.platform.matched,
    )


async def test_records_that_wait_go_up_together_and_their_completions_name_the_call() -> None:
    platform = Platform()
    outcomes = await delivered(delivery_to(platform), [[str(number)] for number in range(30)], platform)
    assert [sorted(call, key=int) for call in platform.calls] == [[str(number) for number in range(30)]]
    assert [told(outcome)[:3] for outcome in outcomes] == [("delivered", None, 1)] * 30
    assert len({call for outcome in outcomes for call in outcome.shared_calls}) == 1
    assert all(len(outcome.platform.request_ids) == 1 for outcome in outcomes)


async def test_a_record_alone_is_sent_at_once_and_shares_nothing() -> None:
    platform = Platform()
    platform.is_open.set()
    outcome = await delivery_to(platform).deliver(record(["1"]), _say_nothing)
    assert (platform.calls, outcome.shared_calls, outcome.accepted) == ([["1"]], [], 1)


async def test_who_comes_while_the_bytes_of_a_call_wait_goes_up_with_the_next_one() -> None:
    platform = Platform()
    delivery = delivery_to(platform)
    tasks = [asyncio.create_task(delivery.deliver(record(["0"]), _say_nothing))]
    await calm()
    tasks += [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(1, 9)]
    await calm()
    platform.is_open.set()
    await asyncio.gather(*tasks)
    assert [sorted(call) for call in platform.calls] == [["0"], [str(number) for number in range(1, 9)]]


async def test_records_of_several_audiences_never_share() -> None:
    platform = Platform()
    delivery = delivery_to(platform)
    names = ["VIP", "Others"] * 5
    tasks = [
        asyncio.create_task(delivery.deliver(record([f"{name}{number}"], name), _say_nothing))
        for number, name in enumerate(names)
    ]
    await calm()
    platform.is_open.set()
    await asyncio.gather(*tasks)
    assert all(len({one.strip("0123456789") for one in call}) == 1 for call in platform.calls)
    assert len(platform.calls) < len(names)


async def test_records_of_several_partitions_never_share_and_a_call_counts_as_the_first_of_its_records() -> None:
    platform = Platform()
    shared = delivery_to(platform).shared
    ids: list[list[str]] = []

    class Noting(Sharing):
        async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
            ids.append([record_id(), *(msgspec.json.decode(row)["id"] for row in rows)])
            return await super().send(audience_id, rows)

    shared.provider.__class__ = Noting
    places = [(partition, offset) for offset in (5, 4, 3, 2, 1, 6) for partition in (0, 1)]
    tasks = [
        asyncio.create_task(shared.send(Key(partition, "blotout_VIP", "custom"), _at(f"{partition}@{offset}", offset)))
        for partition, offset in places
    ]
    await calm()
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        ends = await asyncio.gather(*tasks)
    assert all(end.result == Sent(request_ids=end.result.request_ids) for end in ends if end.result)
    assert len(ids) < len(places)
    assert sorted(one for _, *call in ids for one in call) == sorted(f"{one}@{other}" for one, other in places)
    for first, *call in ids:
        assert len({one[0] for one in call}) == 1
        assert first == min(call)


def _at(name: str, offset: int) -> Member:
    raw = msgspec.Raw(msgspec.json.encode({"id": name}))
    member = _member(1, 1)
    member.rows, member.place, member.current = RowGroup([raw], [0]), offset, CurrentRecord(id=name)
    return member


@pytest.mark.parametrize("rows", [501, 1000])
async def test_rows_that_fill_more_than_half_a_call_go_by_themselves(rows: int) -> None:
    platform = Platform()
    many = [f"m{number}" for number in range(rows)]
    outcomes = await delivered(delivery_to(platform), [["1"], many, ["2"], ["3"]], platform)
    assert outcomes[1].accepted == rows
    first = [call for call in platform.calls if len(call) >= 500]
    assert all(one.startswith("m") for call in first for one in call)


async def test_a_platform_to_which_a_call_is_one_records_own_gets_one_of_each() -> None:
    platform = Platform()
    await delivered(delivery_to(platform, Alone), [[str(number)] for number in range(9)], platform)
    assert sorted(platform.calls) == [[str(number)] for number in range(9)]
    assert not installed()["webhook"].shares_calls
    assert all(installed()[name].shares_calls for name in ("facebook", "tiktok", "klaviyo"))


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[list[str]], Callable[[], Platform]]:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=12))
    numbers = iter(range(100))
    records = [[str(next(numbers)) for _ in range(size)] for size in sizes]
    every = [one for ids in records for one in ids]
    kinds = ("good", "rejected", "unplaced", "named", "refused")
    kind_of = {one: draw(st.sampled_from(kinds if draw(st.booleans()) else kinds[:1])) for one in every}
    broken = draw(st.sets(st.sampled_from(every), max_size=1))
    most = draw(st.sampled_from([1, 2, 3, 5, 1000]))

    def build() -> Platform:
        rejected, unplaced, named, refused = ({one for one, of in kind_of.items() if of == kind} for kind in kinds[1:])
        return Platform(rejected=rejected, unplaced=unplaced, named=named, refused=refused, broken=broken, most=most)

    return records, build


@settings(max_examples=300, deadline=None)
@given(_worlds())
async def test_what_becomes_of_a_record_is_what_would_become_of_it_alone(
    world: tuple[list[list[str]], Callable[[], Platform]],
) -> None:
    records, build = world
    alone, together = build(), build()
    alone.is_open.set()
    apart = [await delivery_to(alone, Alone).deliver(record(ids), _say_nothing) for ids in records]
    outcomes = await delivered(delivery_to(together), records, together)
    assert [told(outcome) for outcome in outcomes] == [told(outcome) for outcome in apart]
    assert together.members == alone.members
    assert not any(outcome.shared_unplaced for outcome in outcomes)


@settings(max_examples=100, deadline=None)
@given(_worlds(), st.lists(st.sampled_from(["busy", "throttled", "unreachable", "session_lost", None]), max_size=8))
async def test_the_same_holds_where_calls_fail_meanwhile(
    world: tuple[list[list[str]], Callable[[], Platform]], errors: list[str | None]
) -> None:
    records, build = world
    alone, together = build(), build()
    alone.is_open.set()
    together.errors = [platform_error(code, wait=0.01) if code else None for code in errors]
    apart = [await delivery_to(alone, Alone).deliver(record(ids), _say_nothing) for ids in records]
    delivery = delivery_to(together)
    delivery.shared.policy = delivery.policy = RetryPolicy(attempts=100, longest_alone=1e9, longest_in_place=1e9)
    outcomes = await delivered(delivery, records, together)
    for outcome, other in zip(outcomes, apart, strict=True):  # a search that fails again and again gives up
        assert outcome.shared_unplaced or told(outcome) == told(other)
    assert together.members == alone.members


async def test_a_count_that_no_call_is_left_to_place_is_told_to_each_record_and_nobody_is_guessed_at() -> None:
    platform = Platform(unplaced={"3"})
    outcomes = await delivered(delivery_to(platform, search_calls=0), [[str(number)] for number in range(8)], platform)
    shared = [outcome for outcome in outcomes if outcome.shared_unplaced]
    assert {outcome.shared_unplaced for outcome in shared} == {1}
    assert len(shared) == max(map(len, platform.calls))
    assert [outcome.accepted for outcome in outcomes] == [1] * 8
    assert not any(outcome.reasons for outcome in outcomes)


async def test_one_count_among_many_records_is_placed_by_about_as_many_calls_as_the_call_has_halvings() -> None:
    platform = Platform(unplaced={"77"})
    outcomes = await delivered(delivery_to(platform), [[str(number)] for number in range(128)], platform)
    assert len(platform.calls) <= 2 + 8
    assert [outcome.status for outcome in outcomes].count("partial") == 1
    assert outcomes[77].reasons == Counter({"refused_by_platform": 1})


async def test_a_record_that_is_cancelled_while_its_call_waits_leaves_it_and_the_others_go() -> None:
    platform = Platform()
    delivery = delivery_to(platform)
    tasks = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(12)]
    await calm()
    for number in (0, 5, 11):
        tasks[number].cancel()
    await calm()
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    gone = {0, 5, 11}
    assert {number for number, end in enumerate(ended) if isinstance(end, asyncio.CancelledError)} == gone
    assert sorted(one for call in platform.calls for one in call) == sorted(str(n) for n in range(12) if n not in gone)


async def test_a_record_that_is_another_processs_by_now_leaves_the_call_and_the_others_never_notice() -> None:
    platform = Platform()
    delivery = delivery_to(platform)
    lost: set[int] = set()

    def wanted(number: int) -> Callable[[], bool]:
        return lambda: number not in lost

    tasks = [
        asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing, is_wanted=wanted(number)))
        for number in range(12)
    ]
    await calm()
    lost |= {0, 4, 7}
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks)
    assert {number for number, outcome in enumerate(outcomes) if outcome.is_given_up} == lost
    assert not any(outcomes[number].is_sent for number in lost)
    assert sorted(one for call in platform.calls for one in call) == sorted(str(n) for n in range(12) if n not in lost)


async def test_a_record_whose_own_look_fails_ends_by_that_and_no_other_does() -> None:
    platform = Platform()
    delivery = delivery_to(platform)

    async def fail() -> None:
        raise platform_error("bug")

    async def deliver(number: int) -> Outcome:
        if number != 3:
            return await delivery.deliver(record([str(number)]), _say_nothing)
        with pre_send_check(fail):
            return await delivery.deliver(record([str(number)]), _say_nothing)

    tasks = [asyncio.create_task(deliver(number)) for number in range(8)]
    await calm()
    platform.is_open.set()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, BaseException) or outcome.error]
    assert failed == [3]


async def test_records_that_nobody_wants_any_more_make_no_call() -> None:
    platform = Platform()
    delivery = delivery_to(platform)
    tasks = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(5)]
    await calm()
    for task in tasks:
        task.cancel()
    await calm()
    platform.is_open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await calm()
    assert not platform.calls
    assert not delivery.shared._lines
    assert not delivery.shared._tasks


async def test_a_throttle_is_told_once_for_a_call_and_is_no_attempt_of_any_record() -> None:
    platform, heard = Platform(errors=[platform_error("throttled", wait=5)]), Heard()
    outcomes = await delivered(delivery_to(platform, heard=heard), [[str(number)] for number in range(10)], platform)
    assert heard.throttles == ["throttled"]
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert {outcome.excused for outcome in outcomes} == {5.0}


async def test_each_record_of_a_call_that_failed_has_its_own_attempts_and_its_own_error() -> None:
    platform = Platform(errors=[platform_error("busy", wait=30)] * 2)
    outcomes = await delivered(delivery_to(platform), [[str(number)] for number in range(10)], platform)
    errors = [outcome.postponed.error for outcome in outcomes if outcome.postponed is not None]
    assert len(errors) == 10
    assert len({id(error) for error in errors}) == 10
    assert {outcome.attempts for outcome in outcomes} == {1}


@pytest.mark.parametrize(
    "world",
    [{"refused": {"3"}}, {"named": {"3"}}, {"unplaced": {"3"}}, {"broken": {"3"}}, {"failing": {"3"}}, {"most": 1}],
)
async def test_rows_of_shared_calls_are_free_when_their_records_ended_without_the_collector(
    world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.retries.circuit_breaker.FEWEST", 10_000)
    gc.collect()
    gc.disable()
    try:
        platform = Platform(**world)
        outcomes = await delivered(delivery_to(platform), [[str(number)] for number in range(8)], platform)
        assert sum(outcome.accepted for outcome in outcomes) >= 7
        await calm()
        assert not [found for found in gc.get_objects() if isinstance(found, RowGroup | Member)]
    finally:
        gc.enable()


async def test_calls_that_wait_for_their_turn_are_held_when_the_account_is_parked_meanwhile() -> None:
    platform = Platform(errors=[platform_error("token_invalid")], is_stepwise=True)
    delivery = delivery_to(platform)
    tasks = [
        asyncio.create_task(delivery.deliver(record([name], name), _say_nothing)) for name in ("VIP", "Others", "More")
    ]
    for calls in (1, 2, 2):  # one was formed before the account was parked, as those that wait for the pace are
        await calm()
        platform.is_open.set()
        await calm()
        assert len(platform.calls) == calls
    assert delivery.breaker.is_parked
    platform.is_stepwise = False
    watching = asyncio.create_task(delivery.breaker.watch())
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks)
    watching.cancel()
    assert [outcome.accepted for outcome in outcomes] == [1] * 3


async def test_rows_on_which_a_platform_fails_hold_nobody_else_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.retries.circuit_breaker.FEWEST", 10_000)  # so that the account stays open
    platform = Platform(failing={"7"})
    delivery = delivery_to(platform)
    outcomes = await delivered(delivery, [[str(number)] for number in range(40)], platform)
    assert [number for number, outcome in enumerate(outcomes) if not outcome.accepted] == [7]
    assert outcomes[7].postponed is not None


async def test_a_call_that_goes_without_an_answer_leaves_doubt_with_each_record_whose_rows_were_in_it() -> None:
    platform = Platform(errors=[platform_error("no_answer"), platform_error("no_answer")])
    outcomes = await delivered(delivery_to(platform), [[str(number)] for number in range(10)], platform)
    assert all(outcome.doubtful_until > 0 and outcome.accepted == 1 for outcome in outcomes)


async def test_a_stop_parks_the_account_once_and_all_records_of_the_call_wait() -> None:
    platform = Platform(errors=[platform_error("token_invalid")])
    delivery = delivery_to(platform)
    tasks = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(10)]
    await calm()
    platform.is_open.set()
    await calm()
    assert delivery.breaker.is_parked
    assert not any(task.done() for task in tasks)
    watching = asyncio.create_task(delivery.breaker.watch())
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks)
    watching.cancel()
    assert [told(outcome)[:3] for outcome in outcomes] == [("delivered", None, 1)] * 10


class ByOwnMeans(Sharing):
    """A provider whose calls do not go by our transport, so that nobody looks before their bytes go."""

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Wait, then do it."""
        await self.platform.is_open.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return self.platform.take([msgspec.json.decode(row)["id"] for row in rows])


async def test_who_comes_behind_a_call_whose_records_have_all_left_goes_up_with_the_next_one() -> None:
    """They were taken into the call that nobody wanted any more, and given up with it, for good."""
    platform, is_held = Platform(), [True]
    delivery = delivery_to(platform)
    lost = [
        asyncio.create_task(delivery.deliver(record([name]), _say_nothing, is_wanted=lambda: is_held[0]))
        for name in ("lost", "lost too")
    ]
    cancelled = asyncio.create_task(delivery.deliver(record(["cancelled"]), _say_nothing))
    await calm()
    is_held[0] = False
    cancelled.cancel()
    outcomes = await delivered(delivery, [["new"], ["newer"]], platform)
    assert [outcome.accepted for outcome in outcomes] == [1, 1]
    assert platform.calls == [["new", "newer"]]
    assert [outcome.is_given_up for outcome in await asyncio.gather(*lost)] == [True, True]


@pytest.mark.parametrize("closed_by", [None, "provider_broken"])
async def test_a_few_records_on_which_our_code_fails_park_no_account(closed_by: str | None) -> None:
    """The calls that looked for them did, and for ever, as the one that was to show better held the same records."""
    broken = {str(number) for number in range(4, 64, 8)}
    platform = Platform(broken=broken)
    platform.is_open.set()
    delivery = delivery_to(platform)
    if closed_by is not None:
        delivery.breaker.adopt(platform_error(closed_by))
    tasks = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(64)]
    await calm()
    watching = asyncio.create_task(delivery.breaker.watch())
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*tasks)
    watching.cancel()
    assert Counter(told(outcome)[:2] for outcome in outcomes) == {("delivered", None): 56, ("failed", "bug"): 8}
    assert not delivery.breaker.is_parked


async def test_what_the_gate_was_closed_is_excused_to_those_behind_a_call_as_well_and_not_to_who_comes_later() -> None:
    platform = Platform(errors=[None, platform_error("unexpected_answer")])
    platform.is_open.set()
    delivery = delivery_to(platform)
    delivery.provider.limits = Limits(rows=4, body=1_000_000)
    delivery.breaker.adopt(platform_error("token_invalid"))
    waiting = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(6)]
    await calm()
    await delivery.time.sleep(7200)
    late = asyncio.create_task(delivery.deliver(record(["late"]), _say_nothing))
    await calm()
    watching = asyncio.create_task(delivery.breaker.watch())
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*waiting, late)
    watching.cancel()
    assert [told(outcome)[:3] for outcome in outcomes] == [("delivered", None, 1)] * 7
    assert all(outcome.excused >= 7200 for outcome in outcomes[:6])
    assert outcomes[6].excused < 7200


async def test_a_call_that_goes_by_other_means_is_not_made_anew_when_it_has_ended() -> None:
    """Who had come meanwhile was told that it was taken, and was never sent."""
    platform = Platform()
    delivery = delivery_to(platform, ByOwnMeans)
    first = [asyncio.create_task(delivery.deliver(record([str(number)]), _say_nothing)) for number in range(3)]
    await calm()
    outcomes = await delivered(delivery, [["3"], ["4"]], platform)
    assert [outcome.accepted for outcome in [*await asyncio.gather(*first), *outcomes]] == [1] * 5
    assert platform.members == {"0", "1", "2", "3", "4"}


async def test_calls_of_other_audiences_wait_beside_one_that_waits_for_long() -> None:
    """One at a time of an account they had one share of its pace, against one for each call of large records."""
    platform = Platform()
    delivery = delivery_to(platform)
    names = ("VIP", "Others", "More")
    tasks = [asyncio.create_task(delivery.deliver(record([name], name), _say_nothing)) for name in names]
    shared = delivery.shared
    async with asyncio.timeout(LIMIT):
        while any(line.queue for line in shared._lines.values()) or not shared._lines:
            await asyncio.sleep(0.01)
    assert not platform.calls
    platform.is_open.set()
    assert [outcome.accepted for outcome in await asyncio.gather(*tasks)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("is_suspect", "only", "shares"), [(False, None, True), (True, None, True), (True, frozenset([b"1"]), False)]
)
async def test_a_record_that_is_done_again_for_some_goes_alone_and_one_that_another_process_had_does_not(
    is_suspect: bool, only: frozenset[bytes] | None, shares: bool
) -> None:
    """What another process may have had is all that the log held when that died."""
    delivery = delivery_to(Platform())
    standing = Standing(place=LogPosition(partition=0, offset=1, appended_at=0), is_suspect=is_suspect)
    made = delivery._record(record(["1"]), _say_nothing, FRESH, lambda: True, None)
    nothing: Any = None
    order = RecordInOrder(removals=nothing, audience="", mode="add", standing=standing, only=only)
    call = delivery._call(dataclasses.replace(made, order=order))
    assert isinstance(call, Adding)
    assert (call.shared is not None) == shares


def _member(rows: int, size: int, most: int | None = None) -> Member:
    raw = [msgspec.Raw(b"x" * (size - 1))] * rows
    caller = Caller(is_wanted=lambda: True, called=lambda: None, doubt=lambda: None, context={}, most_records=most)
    return Member(caller=caller, rows=RowGroup(raw, range(rows)), outcome=Outcome(), place=0, current=None, since=0.0)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(2, 40), st.none() | st.integers(1, 4)), min_size=1, max_size=20),
    st.integers(1, 12),
    st.integers(1, 300),
    st.integers(1, 8),
)
async def test_a_shared_call_keeps_the_limits_of_one_call_and_the_order_in_which_records_came(
    shapes: list[tuple[int, int, int | None]], rows: int, body: int, most: int
) -> None:
    members = [_member(*shape) for shape in shapes]
    chosen = list(fitting(members, Limits(rows=rows, body=body), most))
    assert chosen == members[: len(chosen)]
    assert chosen
    if len(chosen) > 1:
        assert sum(shape[0] for shape in shapes[: len(chosen)]) <= rows
        assert sum(shape[0] * shape[1] for shape in shapes[: len(chosen)]) <= body
        assert len(chosen) <= min([most, *(shape[2] for shape in shapes[: len(chosen)] if shape[2])])
