"""Pure decisions: when to try again, how fast to call, what a text means."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.retries.attempts import Attempts, History, PostponedError
from consumer.retries.circuit_breaker import FEWEST, LONGEST_PROBE, CircuitBreaker, FailureShare
from consumer.retries.clock import Time
from consumer.retries.retry_policy import InPlace, Later, RetryPolicy
from consumer.retries.throttles import Throttles
from producer.request.numbers import number_text
from producer.request.unknown_names import total
from producer.request.users_json import PayloadError, parse_users
from producer.settings import ServerSettings
from providers.installed import installed
from providers.kit.errors import PlatformError, RetryError, ThrottleError, platform_error
from providers.kit.provider import Limits
from providers.kit.rate_limiter import Pace, Rate, parse_rates
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import Rows
from providers.kit.settings import account_values, variables
from schemas.records import AudienceBatch, AudienceUser
from schemas.target import Target, parse_target
from schemas.validity import invalidity

policies = st.builds(
    RetryPolicy, attempts=st.integers(1, 20), base=st.floats(0.01, 5), cap=st.floats(1, 100), max_age=st.floats(1, 1e4)
)


@given(policies, st.integers(1, 30), st.floats(0, 1e4), st.none() | st.floats(0, 1e3), st.floats(0, 1), st.booleans())
def test_a_wait_is_bounded_and_never_shorter_than_the_platform_asks(
    policy: RetryPolicy, attempt: int, age: float, asked: float | None, chance: float, is_shared: bool
) -> None:
    decision = policy.decide(attempt, age=age, asked=asked, chance=chance, is_shared=is_shared)
    if decision is None:
        assert age + max(policy.cap, asked or 0) > policy.max_age
    else:
        assert (asked or 0) <= decision.seconds <= max(policy.cap, asked or 0)
        assert age + decision.seconds <= policy.max_age
        if isinstance(decision, InPlace):
            assert attempt < policy.attempts
            assert decision.seconds <= (policy.longest_in_place if is_shared else policy.longest_alone)
        else:
            assert isinstance(decision, Later)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def ignore(error: PlatformError | None) -> None:
    del error


async def pass_probe() -> None:
    """Answer a probe as a platform that works."""


async def tell_nobody(error: ThrottleError, until: datetime) -> None:
    del error, until


def make_throttles(clock: Clock) -> Throttles:
    return Throttles(pace=Pace({}, clock, clock.sleep), announce=tell_nobody, now=lambda: datetime.now(UTC))


def make_attempts(
    clock: Clock, history: History | None = None, breaker: CircuitBreaker | None = None, **policy: Any
) -> Attempts:
    time = Time(clock=clock, sleep=clock.sleep, chance=lambda: 1.0)
    return Attempts(
        policy=RetryPolicy(**policy),
        throttles=make_throttles(clock),
        breaker=breaker or CircuitBreaker(probe=pass_probe, announce=ignore, time=time),
        time=time,
        notice=ignore,
        context={},
        history=history or History(),
        is_wanted=lambda: True,
    )


async def test_a_call_is_tried_so_often_in_place_and_then_later() -> None:
    clock, calls = Clock(), 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise platform_error("busy")

    with pytest.raises(PostponedError) as raised:
        await make_attempts(clock, attempts=4).run(fail)
    assert calls == 4
    assert raised.value.error.code == "busy"


async def test_a_long_wait_is_not_sat_out_in_place() -> None:
    async def fail() -> None:
        raise platform_error("busy", wait=300)

    clock = Clock()
    with pytest.raises(PostponedError) as raised:
        await make_attempts(clock).run(fail)
    assert (clock.now, raised.value.seconds) == (0, 300)


async def test_age_and_attempts_go_on_where_a_pointer_left_them_and_end_at_the_limit() -> None:
    async def fail() -> None:
        raise platform_error("busy")

    attempts = make_attempts(Clock(), History(attempts=11, age=90), max_age=1000)
    with pytest.raises(PostponedError):
        await attempts.run(fail)
    assert attempts.most == 12
    with pytest.raises(RetryError):
        await make_attempts(Clock(), History(attempts=11, age=990), max_age=1000).run(fail)


async def test_a_stop_parks_the_account_and_the_call_goes_on_when_a_probe_has_passed() -> None:
    said: list[str | None] = []
    probes = iter([platform_error("token_invalid"), platform_error("terms_not_accepted"), None])

    async def announce(error: PlatformError | None) -> None:
        said.append(error.code if error else None)

    async def probe() -> None:
        if error := next(probes):
            raise error

    clock, refusals = Clock(), iter([platform_error("token_invalid"), None])

    async def call() -> str:
        if error := next(refusals):
            raise error
        return "done"

    breaker = CircuitBreaker(probe=probe, announce=announce, time=Time(clock=clock, sleep=clock.sleep))
    watching = asyncio.create_task(breaker.watch())
    attempts = make_attempts(clock, breaker=breaker, max_age=1)
    assert await attempts.run(call) == "done"
    await asyncio.sleep(0)
    watching.cancel()
    assert said == [None, "token_invalid", "terms_not_accepted", None]
    assert attempts.most == 1
    assert attempts.excused == clock.now == 2 + 4 + 8


async def test_of_many_that_wait_one_tries_and_the_others_go_when_it_has_passed() -> None:
    clock, calls, is_good = Clock(), 0, False
    breaker = CircuitBreaker(probe=pass_probe, announce=ignore, time=Time(clock=clock, sleep=clock.sleep))
    watching = asyncio.create_task(breaker.watch())

    async def call() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.001)
        if not is_good:
            raise platform_error("permission_missing")

    tasks = [asyncio.create_task(make_attempts(clock, breaker=breaker).run(call)) for _ in range(20)]
    while calls < 30:
        await asyncio.sleep(0.001)
    assert clock.now > 5 * LONGEST_PROBE  # ten tries alone after the first twenty, ever rarer
    is_good = True
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    watching.cancel()
    assert calls <= 30 + 2 + 20


def test_a_circuit_opens_by_share_and_not_by_count() -> None:
    share = FailureShare()
    assert not any(share.note(0, is_failure=number % 2 == 0) for number in range(1000))
    share = FailureShare()
    assert [share.note(0, is_failure=True) for _ in range(FEWEST)] == [False] * (FEWEST - 1) + [True]
    assert not share.note(100, is_failure=True)


async def test_a_throttle_is_waited_out_and_is_neither_attempt_nor_age() -> None:
    clock, left = Clock(), 50

    async def throttled() -> str:
        nonlocal left
        left -= 1
        if left:
            raise platform_error("throttled", wait=100)
        return "done"

    attempts = make_attempts(clock, attempts=1, max_age=10)
    assert await attempts.run(throttled) == "done"
    assert clock.now == 4900
    assert attempts.most == 1


@pytest.mark.parametrize("code", ["audience_refused", "request_refused"])
async def test_what_will_never_pass_is_not_tried_again(code: str) -> None:
    async def refuse() -> None:
        raise platform_error(code)

    attempts = make_attempts(Clock())
    with pytest.raises(PlatformError):
        await attempts.run(refuse)
    assert attempts.most == 1


@given(st.lists(st.floats(0, 2), max_size=80), st.floats(0.05, 1))
async def test_no_window_sees_more_calls_than_its_rate(pauses: list[float], share: float) -> None:
    clock = Clock()
    pace = Pace({"upload": [Rate(5, 1), Rate(20, 10)]}, clock, clock.sleep, lambda: share)
    calls = []
    for pause in pauses:
        clock.now += pause
        await pace.ready("upload")
        assert pace.take("upload")
        calls.append(clock.now)
    for rate in (Rate(5, 1), Rate(20, 10)):
        for call in calls:
            assert sum(call <= other < call + rate.seconds * 0.999 for other in calls) <= rate.calls


@given(st.lists(st.tuples(st.floats(0, 0.7), st.integers(0, 12)), max_size=200))
async def test_two_processes_that_hand_over_partitions_never_exceed_the_account_s_limit(
    steps: list[tuple[float, int]],
) -> None:
    """What one gives up it gives up first; whoever gets it was told later, and waits for the window to pass."""
    clock, held, calls = Clock(), [12, 0], list[float]()
    paces = [
        Pace({"upload": [Rate(24, 1)]}, clock, clock.sleep, lambda mine=mine: max(0.01, held[mine]) / 12)  # type: ignore[misc]
        for mine in (0, 1)
    ]
    for pause, wanted in steps:
        clock.now += pause
        for mine, new in sorted(((0, wanted), (1, 12 - wanted)), key=lambda one: one[1] - held[one[0]]):
            held[mine] = new
            while paces[mine].take("upload"):
                calls.append(clock.now)
    for call in calls:
        assert sum(call <= other < call + 1 for other in calls) <= 24 + 1  # a share below one call is still one


async def test_a_hold_stops_every_operation() -> None:
    clock = Clock()
    pace = Pace({"upload": []}, clock, clock.sleep)
    pace.hold(30)
    pace.hold(10)
    await pace.ready("find")
    assert clock.now == 30


def test_rates_are_written_as_calls_per_unit() -> None:
    assert parse_rates("10/s, 150/m") == (Rate(10, 1), Rate(150, 60))
    assert parse_rates("off") == ()
    for wrong in ("", "10", "0/s", "10/w", "-1/s"):
        with pytest.raises(ValueError, match="write rates"):
            parse_rates(wrong)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=60), st.integers(1, 10), st.integers(60, 200))
def test_groups_keep_order_and_limits(raw: list[bytes], rows: int, body: int) -> None:

    made = Rows(rows=[msgspec.Raw(row) for row in raw], indexes=list(range(len(raw))))
    groups = list(group_rows(made, Limits(rows=rows, body=body)))
    assert [index for group in groups for index in group.indexes] == made.indexes
    for group in groups:
        assert 1 <= len(group.rows) <= rows
        assert sum(len(row) + 1 for row in group.rows) <= body


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_s_text_says_the_same_number_and_is_stable(number: float) -> None:
    try:
        text = number_text(number)
    except ValueError:
        assert abs(number) > 1e308
        return
    assert float(text) == float(number)
    assert number_text(float(text)) == number_text(float(number))


@pytest.mark.parametrize(
    ("number", "text"),
    [(5.0, "5"), (-0.0, "0"), (0.1, "0.1"), (12345678901234567890, "12345678901234567890"), (1e21, "1e+21")],
)
def test_a_number_s_text_is_its_shortest(number: float, text: str) -> None:
    assert number_text(number) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["email", "phone", "purchase", "profit", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_as_users_is_parsed_or_refused_by_place(value: object) -> None:

    refusals = []
    try:
        parse_users(json.dumps(value).encode())
    except PayloadError as error:
        refusals.append(str(error))
    assert all(refusal.startswith("users") for refusal in refusals)


def test_numbers_become_text_and_unknown_members_are_counted() -> None:
    found = parse_users(b'[{"phone": 14155550100, "postalCode": 1234.0, "x": 1, "purchase": {"y": 2}}, {"z": 3}]')
    assert found.users[0].phone == "14155550100"
    assert found.users[0].postal_code == "1234"
    assert total(found.unknown) == 3


@pytest.mark.parametrize(
    "text", ["facebook/", "Facebook", "facebook/EU", "facebook/retry", "facebook/replay", "", "a b"]
)
def test_a_target_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match=r"target|account"):
        parse_target(text)


def test_a_bare_provider_means_all_its_accounts() -> None:
    eu = parse_target("facebook/eu")
    assert eu.is_meant_by(["facebook"])
    assert eu.is_meant_by(["tiktok", "facebook/eu"])
    assert eu.is_meant_by(None)
    assert not eu.is_meant_by(["facebook/us"])
    assert eu.group_id("audience") == "audience.facebook.eu"


def test_credentials_never_fall_back_to_another_account_s() -> None:
    environ = {
        "FACEBOOK_ACCESS_TOKEN": "made-up",
        "FACEBOOK_AD_ACCOUNT_ID": "1",
        "FACEBOOK_API_VERSION": "v25.0",
        "FACEBOOK_EU_WEST_AD_ACCOUNT_ID": "2",
    }
    values = account_values(installed()["facebook"].settings_type, Target("facebook", "eu-west"), environ)
    assert values == {"ad_account_id": "2", "api_version": "v25.0"}


def test_an_account_s_name_may_not_collide_with_a_setting() -> None:
    with pytest.raises(ValueError, match="FACEBOOK_ACCESS_TOKEN is a setting"):
        variables(installed()["facebook"].settings_type, Target("facebook", "access"))


def test_without_tokens_only_loopback_is_listened_on() -> None:
    with pytest.raises(ValueError, match="AUDIENCE_API_TOKENS"):
        ServerSettings.model_validate({"AUDIENCE_LISTEN": "0.0.0.0:8080"})
    ServerSettings.model_validate({"AUDIENCE_LISTEN": "0.0.0.0:8080", "AUDIENCE_API_TOKENS": "made-up"})
    ServerSettings.model_validate({"AUDIENCE_LISTEN": "[::1]:8080"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"batch_id": "7"}, "batchId"),
        ({"name": " "}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"users": []}, "users"),
        ({"part": 2}, "part"),
        ({"sequence": 3, "total_batches": 2}, "sequence"),
    ],
)
def test_an_invalid_batch_is_named_by_field(change: dict[str, object], field: str) -> None:
    good: dict[str, object] = {
        "batch_id": "0b2c7f1e-9a55-4f7e-8c0c-0d9f3a0b6f11",
        "name": "VIP",
        "users": [AudienceUser(email="a@example.com")],
    }
    assert invalidity(AudienceBatch(**good)) is None  # type: ignore[arg-type] # any field
    assert (invalidity(AudienceBatch(**{**good, **change})) or "").startswith(field)  # type: ignore[arg-type] # any field
