"""What the platforms refuse, the sandbox refuses, and the adapters keep to or read right: item by item."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from world import sandbox_account, sandbox_running

from providers.facebook.provider import Facebook
from providers.installed import open_account, open_session
from providers.kit.errors import PlatformError
from providers.kit.http import Answer, HttpTransport
from providers.kit.provider import AnyProvider, Rejection, Surroundings
from providers.kit.rate_limiter import Pace
from providers.klaviyo import Klaviyo
from sandbox import SandboxOptions
from schemas.records import AudienceUser
from schemas.target import Target


@dataclass
class Clock:
    """The sandbox's clock, moved by the test."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Stage:
    """The sandbox and its clock."""

    url: str
    clock: Clock
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def account(
        self, name: str, randbits: Callable[[int], int] | None = None, **settings: str
    ) -> AsyncIterator[Any]:
        """Open an account; the sandbox's jobs are done when they are first looked at."""

        async def sleep(seconds: float) -> None:
            self.clock.now += seconds

        around = Surroundings(sleep=sleep, randbits=randbits) if randbits else Surroundings(sleep=sleep)
        served = sandbox_account(Target(name), self.url, **settings)
        async with open_session(served.settings) as session:
            yield open_account(served.kind, served.settings, session, Pace({}), around)

    async def inject(self, **fault: object) -> None:
        """Make the next call fail."""
        async with self.session.post(f"{self.url}/_sandbox/faults", json=fault) as response:
            assert response.status == 201


@asynccontextmanager
async def staged(*, limits: bool = False) -> AsyncIterator[Stage]:
    """Run the sandbox by a clock of our own."""
    clock = Clock()
    options = SandboxOptions(limits=limits, latency=0, clock=clock)
    async with sandbox_running(options) as url, aiohttp.ClientSession() as session:
        yield Stage(url, clock, session)


def raw(*rows: object) -> list[msgspec.Raw]:
    """Return rows as they are sent."""
    return [msgspec.Raw(msgspec.json.encode(row)) for row in rows]


def rows_of(provider: AnyProvider, count: int) -> list[msgspec.Raw]:
    """Return rows of made-up users."""
    return raw(*(provider.row(AudienceUser(email=f"person{number}@example.com")) for number in range(count)))


async def refused(call: Any) -> PlatformError:
    """Return what a call was refused with."""
    with pytest.raises(PlatformError) as raised:
        await call
    return raised.value


# Meta.


@pytest.mark.parametrize("account_id", ["1001", "act_1001"])
async def test_meta_s_account_may_be_written_with_or_without_its_prefix(account_id: str) -> None:
    async with staged() as stage, stage.account("facebook", ad_account_id=account_id) as provider:
        made = await provider.create_audience("VIP", "custom")
        assert await provider.find_audience("VIP") == made


async def test_meta_takes_10_000_rows_a_call_and_not_one_more() -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        audience = await provider.create_audience("VIP", "custom")
        rows = rows_of(provider, provider.limits.rows + 1)
        assert provider.limits.rows == 10_000
        assert not (await provider.send(audience, rows[:-1])).rejected
        assert (await refused(provider.send(audience, rows))).platform_code == "100"


@pytest.mark.parametrize("rows", [[], [["edge-1"]], [["edge-1", "", "", "", "", "", "", ""]]])
async def test_meta_refuses_no_rows_and_rows_that_are_not_as_long_as_the_schema(rows: list[object]) -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        audience = await provider.create_audience("VIP", "custom")
        assert (await refused(provider.send(audience, raw(*rows)))).code == "request_refused"


async def test_a_session_of_meta_that_is_finished_takes_no_more_and_the_next_attempt_opens_another() -> None:
    numbers = iter([7, 7, 8])
    async with staged() as stage, stage.account("facebook", lambda _: next(numbers)) as provider:
        audience = await provider.create_audience("VIP", "custom")
        await provider.send(audience, rows_of(provider, 1))
        error = await refused(provider.send(audience, rows_of(provider, 1)))
        assert (error.code, error.platform_code) == ("session_lost", "2650/1870159")
        await provider.send(audience, rows_of(provider, 1))


async def test_an_upload_to_meta_may_take_longer_than_a_session_lasts() -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        audience = await provider.create_audience("VIP", "custom")
        for _ in range(3):
            await provider.send(audience, rows_of(provider, 2))
            stage.clock.now += 80 * 60


async def test_meta_takes_values_in_value_based_audiences_only_and_there_demands_them() -> None:
    value = {"value_from": "profit", "value_currency": "EUR"}
    async with (
        staged() as stage,
        stage.account("facebook") as plain,
        stage.account("facebook", None, **value) as valued,
    ):
        without, having = (
            await plain.create_audience("plain", "custom"),
            await valued.create_audience("values", "custom"),
        )
        await plain.send(without, rows_of(plain, 1))
        await valued.send(having, rows_of(valued, 1))
        for provider, audience in ((plain, having), (valued, without)):
            assert (await refused(provider.send(audience, rows_of(provider, 1)))).code == "request_refused"
        assert (await refused(plain.find_audience("values"))).code == "audience_kind"
        assert (await refused(valued.find_audience("plain"))).code == "audience_kind"


async def test_entries_that_meta_calls_invalid_are_found_again_among_the_rows() -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        audience = await provider.create_audience("VIP", "custom")
        rows = rows_of(provider, 5)
        rows[3] = raw(["edge-3", "no hash", "", "", "", "", ""])[0]
        sent = await provider.send(audience, rows)
        assert sent.rejected == {3: Rejection(None, "refused_by_platform")}
        assert not sent.unplaced


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({"b": "Invalid entry"}, {1: Rejection("email", "refused_by_platform")}),
        (["b"], {1: Rejection("email", "refused_by_platform")}),
        ([["", "b"]], {1: Rejection(None, "refused_by_platform")}),
        ({'["","b"]': "Invalid entry"}, {1: Rejection(None, "refused_by_platform")}),
        ({"unknown": 1}, {}),
        (None, {}),
        ("text", {}),
    ],
)
async def test_meta_s_samples_are_read_in_every_form_that_its_pages_leave_open(
    samples: object, expected: dict[int, Rejection]
) -> None:
    answer = {"audience_id": "1", "session_id": "5", "num_received": 2, "num_invalid_entries": 1}
    async with staged() as stage, stage.account("facebook") as provider:
        body = {**answer, "invalid_entry_samples": samples}
        await stage.inject(provider="facebook", fault="custom", status=200, body=body)
        sent = await provider.send("1", raw(["", "a"], ["", "b"]))
        assert sent.rejected == expected
        assert sum(sent.unplaced.values()) == 1 - len(expected)


@pytest.mark.parametrize("status", [400, 429])
async def test_meta_s_throttle_is_read_from_its_code_and_its_wait_from_the_header(status: int) -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        await stage.inject(provider="facebook", fault="throttled", seconds=120, status=status)
        error = await refused(provider.find_audience("VIP"))
        assert (error.code, error.platform_code, error.wait) == ("throttled", "80003/2446079", 120)


def test_meta_s_usage_headers_slow_the_pace_before_meta_refuses() -> None:
    def pause(percent: float, minutes: float = 0) -> float:
        entry = {"type": "custom_audience", "call_count": 3, "total_cputime": percent, "total_time": 1}
        usage = {"1": [{**entry, "estimated_time_to_regain_access": minutes}]}
        headers = {"X-Business-Use-Case-Usage": msgspec.json.encode(usage).decode()}
        found = Facebook.pause_after(Answer(status=200, headers=headers, body=b""))
        assert found is None or found.is_account_wide
        return found.seconds if found else 0

    assert pause(79) == 0
    assert 0 < pause(85) < pause(95) < pause(100) <= 30
    assert pause(100, minutes=5) == 300
    for header in ("X-App-Usage", "X-Ad-Account-Usage"):
        text = '{"call_count": 100, "acc_id_util_pct": 99.5}'
        assert Facebook.pause_after(Answer(status=200, headers={header: text}, body=b""))


async def test_every_answer_of_meta_says_how_much_is_used_and_the_transport_heeds_it() -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        usage = '{"1": [{"type": "custom_audience", "call_count": 100}]}'
        headers = {"X-Business-Use-Case-Usage": usage}
        await stage.inject(provider="facebook", fault="custom", status=200, headers=headers, body={"data": []})
        pace = Pace({})
        slots = asyncio.Semaphore(1)
        url = f"{stage.url}/facebook"
        provider.transport = HttpTransport(
            stage.session, url, slots=slots, pace=pace, timeout=5, pause_after=Facebook.pause_after
        )
        assert await provider.find_audience("VIP") is None
        assert pace.wait("upload") > 20


async def test_a_look_up_that_is_too_much_for_meta_asks_for_less() -> None:
    async with staged() as stage, stage.account("facebook") as provider:
        for number in range(40):
            await provider.create_audience(f"other {number}", "custom")
        made = await provider.create_audience("VIP", "custom")
        body = {"error": {"code": 1, "message": "Please reduce the amount of data you're asking for, then retry"}}
        await stage.inject(provider="facebook", fault="custom", status=500, body=body, calls=2)
        assert await provider.find_audience("VIP") == made


# TikTok.


async def test_tiktok_answers_a_missing_wrong_and_expired_token_by_codes_in_http_200() -> None:
    async with staged() as stage:
        for token, code in (("", "40104"), ("wrong", "40105")):
            async with stage.account("tiktok", access_token=token) as provider:
                error = await refused(provider.find_audience("VIP"))
                assert (error.code, error.platform_code) == ("token_invalid", code)
        async with stage.account("tiktok") as provider:
            await stage.inject(provider="tiktok", fault="auth")
            assert (await refused(provider.find_audience("VIP"))).platform_code == "40102"


async def test_tiktok_s_paths_end_with_a_slash_and_without_it_nothing_is_found() -> None:
    paths = ("/dmp/custom_audience/list", "/segment/audience", "/segment/mapping")
    async with staged() as stage, stage.account("tiktok") as provider:
        for path in paths:
            error = await refused(provider._call("find", "POST", path, body={}))
            assert error.code == "unexpected_answer"


async def test_tiktok_shortens_long_names_and_the_adapter_finds_what_it_made() -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        name = provider.platform_name("n" * 200, disable_prefix=False)
        made = await provider.create_audience("blotout_" + "n" * 200, "custom")
        assert await provider.find_audience(name) == made
        assert (len(name), name[-3:]) == (70, "...")


async def test_of_tiktok_s_audiences_with_one_name_the_smallest_id_counts_as_a_number() -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        ids = [await provider.create_audience("VIP", "custom") for _ in range(5)]
        assert all(isinstance(audience_id, str) and int(audience_id) > 2**53 for audience_id in ids)
        assert await provider.find_audience("VIP") == min(ids, key=int)


@pytest.mark.parametrize(
    "rows", [[["a" * 64]], [["a" * 64, "b" * 64, "c" * 64]], [["A" * 64, ""]], [["abc", ""]], [["", ""]]]
)
async def test_tiktok_refuses_rows_out_of_line_with_the_schema_and_ids_that_are_no_hashes(rows: list[object]) -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        audience = await provider.create_audience("VIP", "custom")
        assert (await refused(provider.send(audience, raw(*rows)))).platform_code == "40002"


async def test_tiktok_takes_1_000_rows_and_1_mb_a_call_and_the_adapter_stays_below_both() -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        audience = await provider.create_audience("VIP", "custom")
        assert (await refused(provider.send(audience, raw(*[["a" * 64, ""]] * 1001)))).platform_code == "40002"
        assert provider.limits.rows == 1000
    widest, narrowest = ["a" * 64, "b" * 64], ["a" * 64, ""]
    for row in (widest, narrowest):
        held = len(msgspec.json.encode(row)) + 1
        sent = len(msgspec.json.encode([{"id": cell, "audience_ids": ["1" * 20]} if cell else {} for cell in row])) + 1
        assert provider.limits.body / held * sent < 999_000


async def test_tiktok_s_unknown_audience_is_gone_and_its_partial_success_is_not_tried_again() -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        assert (await refused(provider.send("1", rows_of(provider, 1)))).code == "audience_gone"
        audience = await provider.create_audience("VIP", "custom")
        await stage.inject(provider="tiktok", fault="partial")
        error = await refused(provider.send(audience, rows_of(provider, 2)))
        assert (error.code, error.platform_code) == ("partly_taken", "20001")


@pytest.mark.parametrize(("seconds", "wait"), [(1, 1), (300, 300)])
async def test_tiktok_s_wait_is_told_from_its_words(seconds: int, wait: int) -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        await stage.inject(provider="tiktok", fault="throttled", seconds=seconds)
        assert (await refused(provider.find_audience("VIP"))).wait == wait


@pytest.mark.parametrize("message", ["The audience is being processed.", "Audience size is 0 now"])
async def test_an_audience_that_tiktok_still_works_on_is_busy(message: str) -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        await stage.inject(provider="tiktok", fault="custom", status=200, body={"code": 40002, "message": message})
        assert (await refused(provider.send("1", rows_of(provider, 1)))).code == "busy"


async def test_a_request_that_tiktok_has_had_before_is_done() -> None:
    async with staged() as stage, stage.account("tiktok") as provider:
        await stage.inject(provider="tiktok", fault="custom", status=200, body={"code": 40050, "request_id": "r"})
        assert (await provider.send("1", rows_of(provider, 1))).request_ids == ["r"]


# Klaviyo.


async def test_klaviyo_refuses_an_unknown_revision_and_a_wrong_key() -> None:
    async with staged() as stage:
        for setting, value, code in (("revision", "1999-01-01", "HTTP 410"), ("api_key", "wrong", "HTTP 401")):
            async with stage.account("klaviyo", None, **{setting: value}) as provider:
                error = await refused(provider.find_audience("VIP"))
                assert error.platform_code == code
                assert error.request_id


async def test_names_are_escaped_in_klaviyo_s_filters_and_found_over_pages_of_ten() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        name = '"VIP", \\"equals(name,"x")'
        ids = [await provider.create_audience(name, "custom") for _ in range(12)]
        await provider.create_audience("x", "custom")
        assert await provider.find_audience(name) == min(ids)


async def test_klaviyo_makes_150_lists_a_day_and_then_only_creating_waits() -> None:
    async with staged(limits=True) as stage, stage.account("klaviyo") as provider:
        for number in range(150):
            await provider.create_audience(f"list {number}", "custom")
            stage.clock.now += 1
        error = await refused(provider.create_audience("one more", "custom"))
        assert (error.code, error.operation) == ("throttled", "create")
        assert error.wait is not None
        assert error.wait > 3600
        pace = Pace({"create": (), "upload": ()})
        pace.hold(error.wait, error.operation)
        assert pace.wait("upload") == 0
        assert pace.wait("create") > 3600


async def test_klaviyo_takes_10_000_profiles_and_5_mb_a_call() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        audience = await provider.create_audience("VIP", "custom")
        profile = {"type": "profile", "attributes": {"external_id": "edge-1"}}
        assert (await refused(provider.send(audience, raw(*[profile] * 10_001)))).code == "request_refused"
        large = {"type": "profile", "attributes": {"external_id": "e", "properties": {"x": "x" * 90_000}}}
        assert (await refused(provider.send(audience, raw(*[large] * 60)))).code == "too_much_data"
        assert provider.limits.rows == 10_000
        assert provider.limits.body < 5_000_000 - 200
        assert provider.limits.row == 100_000


async def test_an_import_of_klaviyo_is_seen_to_its_end_and_its_errors_are_mapped_back_to_rows() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        audience = await provider.create_audience("VIP", "custom")
        rows = rows_of(provider, 250)
        for place in range(0, 250, 2):
            attributes = {"email": "no address"} if place % 4 else {"email": "a@example.com", "phone_number": "123"}
            rows[place] = raw({"type": "profile", "attributes": attributes})[0]
        sent = await provider.send(audience, rows)
        fields = ("phone", "email")
        expected = {place: Rejection(fields[place // 2 % 2], "refused_by_platform") for place in range(0, 250, 2)}
        assert sent.rejected == expected


async def test_a_look_at_klaviyo_s_job_that_fails_does_not_import_everything_again() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        audience = await provider.create_audience("VIP", "custom")
        for fault in ("server_error", "drop", "throttled", "html"):
            await stage.inject(provider="klaviyo", fault=fault, operation="job")
        await provider.send(audience, rows_of(provider, 3))
        async with stage.session.get(f"{stage.url}/_sandbox/counters") as response:
            assert (await response.json())["klaviyo"]["byOperation"]["upload"] == 1


async def test_no_slot_is_held_while_klaviyo_works_on_an_import() -> None:
    async with sandbox_running(SandboxOptions(limits=False, latency=0, job_seconds=0.6)) as url:
        served = sandbox_account(Target("klaviyo"), url, slots="1")
        async with open_session(served.settings) as session:
            provider = open_account(served.kind, served.settings, session, Pace({}))
            audience = await provider.create_audience("VIP", "custom")
            sending = asyncio.create_task(provider.send(audience, rows_of(provider, 1)))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(0.3):
                assert await provider.find_audience("VIP") == audience
            await sending


async def test_klaviyo_s_profiles_are_updated_by_any_identifier() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        audience = await provider.create_audience("VIP", "custom")
        users = (
            AudienceUser(email="a@example.com", edge_tag_id="edge-1"),
            AudienceUser(edge_tag_id="edge-1", phone="+14155550100"),
            AudienceUser(phone="+14155550100", first_name="Ada"),
        )
        for user in users:
            await provider.send(audience, raw(provider.row(user)))
            stage.clock.now += 1
        async with stage.session.get(f"{stage.url}/_sandbox/members?provider=klaviyo") as response:
            assert (await response.json())["members"] == [["a@example.com", "+14155550100", "edge-1"]]


async def test_klaviyo_s_refusals_say_when_to_come_back_and_for_which_endpoint() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        await stage.inject(provider="klaviyo", fault="throttled", seconds=7)
        error = await refused(provider.find_audience("VIP"))
        assert (error.code, error.wait, error.operation) == ("throttled", 7, "find")


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {"RateLimit-Remaining": "5", "RateLimit-Reset": "40"}, 0),
        (200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "40"}, 40),
        (429, {"Retry-After": "9"}, 9),
        (429, {}, 60),
        (200, {}, 0),
    ],
)
def test_klaviyo_s_headers_hold_one_endpoint(status: int, headers: dict[str, str], seconds: float) -> None:
    pause = Klaviyo.pause_after(Answer(status=status, headers=headers, body=b""))
    assert (pause.seconds if pause else 0) == seconds
    assert pause is None or not pause.is_account_wide


# All.


@pytest.mark.parametrize("name", ["facebook", "tiktok", "klaviyo"])
async def test_a_gateway_s_page_in_html_is_nobody_s_answer(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        for status in (200, 403, 502):
            page = f"<html>{status}</html>"
            await stage.inject(provider=name, fault="custom", status=status, body=page)
            error = await refused(provider.find_audience("VIP"))
            assert error.code in ("gateway_error", "unexpected_answer", "permission_missing")


@pytest.mark.parametrize("name", ["facebook", "tiktok", "klaviyo"])
async def test_new_audiences_may_show_late_and_their_ids_are_random(name: str) -> None:
    clock = Clock()
    options = SandboxOptions(limits=False, latency=0, clock=clock, listing_lag=60)
    async with (
        sandbox_running(options) as url,
        aiohttp.ClientSession() as session,
        Stage(url, clock, session).account(name) as provider,
    ):
        ids = [await provider.create_audience("VIP", "custom") for _ in range(3)]
        assert await provider.find_audience("VIP") is None
        clock.now += 61
        assert await provider.find_audience("VIP") in ids
        assert not any(int(b, 36) - int(a, 36) == 1 for a, b in itertools.pairwise(ids))
