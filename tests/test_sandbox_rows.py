"""What the sandbox does about single rows: refuses or leaves out those of some people, or finds rows too many."""

import hashlib
from collections.abc import Mapping

import pytest
from test_fidelity import Stage, raw, refused, staged

from providers.kit.errors import TooMuchError
from providers.kit.provider import AnyProvider, NamedRowsError, Sent
from schemas.records import AudienceUser

PLATFORMS = ("facebook", "tiktok", "klaviyo")
LEAVING_OUT = ("facebook", "klaviyo")
UNTIL = {"until": "cleared"}


def mail(number: int) -> str:
    return f"person{number}@example.com"


def value(provider: str, number: int) -> str:
    """Return what a platform is sent of somebody."""
    return mail(number) if provider == "klaviyo" else hashlib.sha256(mail(number).encode()).hexdigest()


async def sent(provider: AnyProvider, audience: str, *numbers: int) -> Sent:
    rows = raw(*(provider.row(AudienceUser(email=mail(number))) for number in numbers))
    return await provider.send(audience, rows)


async def held(stage: Stage, provider: str) -> set[int]:
    """Return who is in the audiences of a platform."""
    async with stage.session.get(f"{stage.url}/_sandbox/members", params={"provider": provider}) as response:
        cells = {cell for member in (await response.json())["members"] for cell in member}
    return {number for number in range(20) if value(provider, number) in cells}


async def clear(stage: Stage, **query: str) -> None:
    async with stage.session.delete(f"{stage.url}/_sandbox/faults", params=query) as response:
        assert response.status == 204


@pytest.mark.parametrize("name", LEAVING_OUT)
async def test_rows_that_are_left_out_are_named_or_only_counted_and_the_others_are_taken(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        made = await provider.create_audience("VIP", "custom")
        for numbers, names in ((range(3), True), (range(3, 6), False)):
            disliked = [value(name, numbers[1])]
            await stage.inject(provider=name, fault="leaves_out", values=disliked, names=names)
            taken = await sent(provider, made, *numbers)
            assert set(taken.rejected) == ({1} if names else set())
            assert sum(taken.unplaced.values()) == (0 if names else 1)
        assert await held(stage, name) == {0, 2, 3, 5}


@pytest.mark.parametrize("name", LEAVING_OUT)
async def test_some_rows_that_are_left_out_may_be_named_and_others_not(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        made = await provider.create_audience("VIP", "custom")
        await stage.inject(provider=name, fault="leaves_out", values=[value(name, 0)], **UNTIL)
        await stage.inject(provider=name, fault="leaves_out", values=[value(name, 2)], names=False, **UNTIL)
        taken = await sent(provider, made, 0, 1, 2)
        assert (set(taken.rejected), sum(taken.unplaced.values())) == ({0}, 1)
        assert await held(stage, name) == {1}


@pytest.mark.parametrize("name", PLATFORMS)
async def test_what_a_platform_dislikes_until_cleared_it_dislikes_whatever_else_a_call_meets(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        made = await provider.create_audience("VIP", "custom")
        await stage.inject(provider=name, fault="dislikes", values=[value(name, 1)], **UNTIL)
        await stage.inject(provider=name, fault="slow", seconds=0)
        assert (await refused(sent(provider, made, 0, 1))).code == "request_refused"
        await stage.inject(provider=name, fault="throttled")
        assert (await refused(sent(provider, made, 0))).code == "throttled"
        await sent(provider, made, 0, 2)
        await clear(stage, but="dislikes,leaves_out")
        assert (await refused(sent(provider, made, 1))).code == "request_refused"
        assert await held(stage, name) == {0, 2}
        await clear(stage)
        await sent(provider, made, 1)
        assert await held(stage, name) == {0, 1, 2}


async def test_of_rows_that_klaviyo_dislikes_those_are_named_that_are_to_be() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        made = await provider.create_audience("VIP", "custom")
        await stage.inject(provider="klaviyo", fault="dislikes", values=[mail(0)], names=False, **UNTIL)
        await stage.inject(provider="klaviyo", fault="dislikes", values=[mail(2)], **UNTIL)
        error = await refused(sent(provider, made, 0, 1, 2))
        assert isinstance(error, NamedRowsError)
        assert set(error.rejected) == {2}
        assert not isinstance(await refused(sent(provider, made, 0, 1)), NamedRowsError)


@pytest.mark.parametrize("name", LEAVING_OUT)
async def test_more_rows_than_a_platform_bears_are_too_much_and_as_many_are_not(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        made = await provider.create_audience("VIP", "custom")
        await stage.inject(provider=name, fault="too_much", rows=2, calls=2)
        assert isinstance(await refused(sent(provider, made, 0, 1, 2)), TooMuchError)
        assert await held(stage, name) == set()
        await sent(provider, made, 0, 1)
        assert await held(stage, name) == {0, 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": "tiktok", "fault": "leaves_out"},
        {"provider": "tiktok", "fault": "too_much"},
        {"provider": "facebook", "fault": "too_much", "rows": 0},
        {"provider": "facebook", "fault": "partial", "rows": 2},
        {"provider": "facebook", "fault": "too_much", "values": ["x"]},
        {"provider": "facebook", "fault": "leaves_out", "operation": "find"},
        {"provider": "klaviyo", "fault": "leaves_out", "operation": "remove"},
    ],
)
async def test_faults_about_rows_that_can_t_be_are_refused(fault: Mapping[str, object]) -> None:
    async with staged() as stage, stage.session.post(f"{stage.url}/_sandbox/faults", json=fault) as response:
        assert response.status == 400
