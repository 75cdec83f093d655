"""When an account is parked, for whom, and by what it goes on."""

import asyncio

import pytest
from test_decisions import Clock, ignore, make_attempts, pass_probe

from consumer.retries.attempts import PostponedError
from consumer.retries.circuit_breaker import FEWEST, CircuitBreaker
from consumer.retries.clock import Time
from providers.kit.errors import PlatformError, RetryError, platform_error


def make_breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(probe=pass_probe, announce=ignore, time=Time(clock=clock, sleep=clock.sleep))


async def test_a_call_that_began_before_the_account_was_parked_does_not_open_it() -> None:
    breaker = make_breaker(Clock())
    early, late = await breaker.enter(), await breaker.enter()
    breaker.failed(late, platform_error("token_invalid"))
    breaker.passed(early)
    assert breaker.is_parked
    early_failure = platform_error("platform_error")
    breaker.failed(early, early_failure)
    assert breaker.parked_by is not None
    assert breaker.parked_by.code == "token_invalid"


async def test_a_stop_of_one_audience_is_put_off_and_the_account_goes_on_for_the_others() -> None:
    clock = Clock()
    breaker = make_breaker(clock)
    watching = asyncio.create_task(breaker.watch())
    passed = 0

    async def forbidden() -> None:
        await asyncio.sleep(0)
        raise platform_error("permission_missing")

    async def allowed() -> None:
        nonlocal passed
        await asyncio.sleep(0)
        passed += 1

    async def many() -> None:
        for _ in range(50):
            await make_attempts(clock, breaker=breaker).run(allowed)

    others = asyncio.create_task(many())
    async with asyncio.timeout(5):
        with pytest.raises(PostponedError) as raised:
            await make_attempts(clock, breaker=breaker, attempts=1).run(forbidden)
        await others
    watching.cancel()
    assert raised.value.error.code == "permission_missing"
    assert passed == 50
    assert not breaker.is_parked


async def test_a_stop_that_everybody_meets_puts_off_nobody() -> None:
    clock = Clock()
    breaker = make_breaker(clock)
    watching = asyncio.create_task(breaker.watch())
    is_good = False

    async def call() -> None:
        await asyncio.sleep(0)
        if not is_good:
            raise platform_error("token_invalid")

    waiting = [
        asyncio.create_task(make_attempts(clock, breaker=breaker, attempts=1, max_age=1).run(call)) for _ in range(5)
    ]
    while clock.now < 10_000:
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    is_good = True
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    watching.cancel()


async def test_a_bug_fails_its_call_and_many_bugs_park_the_account_and_fail_nothing_more() -> None:
    clock = Clock()
    breaker = make_breaker(clock)
    watching = asyncio.create_task(breaker.watch())
    is_mended = False

    async def call() -> str:
        await asyncio.sleep(0)
        if not is_mended:
            raise KeyError("person1@example.com")
        return "done"

    for _ in range(FEWEST - 1):
        with pytest.raises(KeyError):
            await make_attempts(clock, breaker=breaker).run(call)
    assert not breaker.is_parked
    waiting = [asyncio.create_task(make_attempts(clock, breaker=breaker).run(call)) for _ in range(3)]
    while clock.now < 10_000:
        await asyncio.sleep(0)
    assert breaker.parked_by is not None
    assert breaker.parked_by.code == "provider_broken"
    assert not any(task.done() for task in waiting)
    is_mended = True
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == ["done"] * 3
    watching.cancel()
    assert not breaker.is_parked


async def test_a_few_bugs_among_many_calls_that_pass_park_nobody() -> None:
    breaker = make_breaker(Clock())
    for number in range(100):
        permit = await breaker.enter()
        if number % 2:
            assert not breaker.broke(permit)
        else:
            breaker.passed(permit)
    assert not breaker.is_parked


async def test_an_account_that_was_left_parked_begins_parked_says_nothing_new_and_is_probed_at_once() -> None:
    clock, said = Clock(), []

    async def announce(error: PlatformError | None) -> None:
        said.append(error.code if error else None)

    breaker = CircuitBreaker(probe=pass_probe, announce=announce, time=Time(clock=clock, sleep=clock.sleep))
    breaker.adopt(platform_error("token_invalid"))
    watching = asyncio.create_task(breaker.watch())
    async with asyncio.timeout(5):
        breaker.passed(await breaker.enter())
        while said != [None]:
            await asyncio.sleep(0)
    watching.cancel()
    assert clock.now == 0


async def test_without_a_registry_an_account_is_told_to_be_parked_once_until_the_last_one_has_it_back() -> None:
    said: list[str | None] = []

    async def announce(error: PlatformError | None) -> None:
        said.append(error.code if error else None)

    async def told(count: int) -> None:
        async with asyncio.timeout(5):
            while len(said) < count:
                await asyncio.sleep(0)

    breaker = CircuitBreaker(probe=pass_probe, announce=announce)
    watching = asyncio.create_task(breaker.watch())
    with breaker.without_registry():
        with breaker.without_registry():
            await told(2)
        await breaker.enter()  # calls that need no registry go on
    await told(3)
    watching.cancel()
    assert said == [None, "registry_unreachable", None]


async def test_one_operation_s_long_throttle_puts_the_record_off_and_is_neither_attempt_nor_age() -> None:
    async def throttled() -> None:
        raise platform_error("throttled", wait=80_000, operation="create")

    clock = Clock()
    attempts = make_attempts(clock, attempts=1, max_age=10)
    with pytest.raises(PostponedError) as raised:
        await attempts.run(throttled)
    assert (raised.value.seconds, attempts.most, attempts.excused, clock.now) == (80_000, 0, 80_000, 0)


async def test_while_the_whole_account_is_held_no_call_is_made_and_no_age_is_counted() -> None:
    clock, calls = Clock(), 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        assert clock.now >= 5000
        if calls < 3:
            raise platform_error("no_answer")

    attempts = make_attempts(clock, max_age=100)
    attempts.throttles.pace.hold(5000)
    await attempts.run(call)
    assert (calls, attempts.most, attempts.excused) == (3, 3, 5000)


async def test_an_audience_s_failure_waits_less_in_place_than_the_account_s() -> None:
    async def busy() -> None:
        raise platform_error("busy", wait=5)

    with pytest.raises(PostponedError):
        await make_attempts(Clock()).run(busy)

    async def no_answer() -> None:
        raise platform_error("no_answer", wait=5)

    with pytest.raises(RetryError):
        await make_attempts(Clock(), max_age=6).run(no_answer)


async def test_a_call_that_is_not_made_after_all_leaves_the_trial_to_the_next_and_no_probe_is_waited_for() -> None:
    clock, probes = Clock(), 0

    async def probe() -> None:
        nonlocal probes
        probes += 1

    breaker = CircuitBreaker(probe=probe, announce=ignore, time=Time(clock=clock, sleep=clock.sleep))
    breaker.failed(await breaker.enter(), platform_error("token_invalid"))

    async def lost() -> None:
        breaker.withdrew(await breaker.enter())

    async def ours() -> None:
        breaker.passed(await breaker.enter())

    waiting = [asyncio.create_task(one) for one in (lost(), lost(), lost(), ours())]
    watching = asyncio.create_task(breaker.watch())
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    watching.cancel()
    assert (breaker.is_parked, probes) == (False, 1)


async def test_where_nobody_is_left_to_try_an_account_whose_probe_has_passed_is_open() -> None:
    clock = Clock()
    breaker = make_breaker(clock)
    breaker.failed(await breaker.enter(), platform_error("token_invalid"))

    async def lost() -> None:
        breaker.withdrew(await breaker.enter())

    waiting, watching = asyncio.create_task(lost()), asyncio.create_task(breaker.watch())
    async with asyncio.timeout(5):
        await waiting
    watching.cancel()
    assert not breaker.is_parked
