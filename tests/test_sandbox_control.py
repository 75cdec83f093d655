"""What the sandbox shows of itself, and how it fails on demand."""

import asyncio
import hashlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import AppRunner

from sandbox import CREDENTIALS, SandboxOptions
from sandbox.app import create_app, serve

ADA = hashlib.sha256(b"ada@example.com").hexdigest()
BEA = hashlib.sha256(b"bea@example.com").hexdigest()
PROVIDERS = ("facebook", "tiktok", "klaviyo")
SESSIONS = itertools.count(1)
"""An upload to Meta is a session of its own."""

HEADERS: Mapping[str, Mapping[str, str]] = {
    "facebook": {"Authorization": f"Bearer {CREDENTIALS['facebook']['FACEBOOK_ACCESS_TOKEN']}"},
    "tiktok": {"Access-Token": CREDENTIALS["tiktok"]["TIKTOK_ACCESS_TOKEN"]},
    "klaviyo": {
        "Authorization": f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['KLAVIYO_API_KEY']}",
        "revision": "2026-10-15",
    },
}
FIND: Mapping[str, str] = {
    "facebook": "/facebook/v26.0/act_1001/customaudiences?fields=name",
    "tiktok": "/tiktok/open_api/v1.3/dmp/custom_audience/list/?advertiser_id=1001",
    "klaviyo": "/klaviyo/api/lists",
}
CREATE: Mapping[str, tuple[str, dict[str, Any]]] = {
    "facebook": (
        "/facebook/v26.0/act_1001/customaudiences",
        {"name": "VIP", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"},
    ),
    "tiktok": (
        "/tiktok/open_api/v1.3/segment/audience/",
        {"advertiser_id": "1001", "action": "create", "custom_audience_name": "VIP"},
    ),
    "klaviyo": ("/klaviyo/api/lists", {"data": {"type": "list", "attributes": {"name": "VIP"}}}),
}


class Client:
    """A client of all stand-ins and of what controls them."""

    def __init__(self, http: "TestClient[Any, Any]") -> None:
        self.http = http

    async def ask(self, provider: str, path: str, body: object = None) -> tuple[int, Any, Mapping[str, str]]:
        """Call a platform; return status, answer and headers."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, path, json=body, headers=HEADERS[provider]) as response:
            text = await response.text()
            return response.status, json.loads(text) if "json" in response.content_type else text, response.headers

    async def make(self, provider: str) -> str:
        """Create an audience; return its id."""
        _, made, _ = await self.ask(provider, *CREATE[provider])
        found = made.get("id") or made["data"].get("id") or made["data"]["audience_id"]
        return str(found)

    async def upload(self, provider: str, audience: str) -> tuple[int, Any, Mapping[str, str]]:
        """Upload two made-up people."""
        return await self.ask(provider, *an_upload(provider, audience))

    async def control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call the sandbox itself."""
        async with self.http.request(method, f"/_sandbox/{path}", json=body) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def fail(self, provider: str, fault: str, **more: object) -> None:
        """Make calls fail."""
        status, answer = await self.control("POST", "faults", {"provider": provider, "fault": fault, **more})
        assert status == 201, answer

    async def members(self, provider: str, query: str = "") -> list[list[str]]:
        """Return what a platform holds."""
        return list((await self.control("GET", f"members?provider={provider}{query}"))[1]["members"])

    async def counters(self, provider: str) -> dict[str, Any]:
        """Return the counters of a platform."""
        return dict((await self.control("GET", "counters"))[1][provider])

    async def in_flight(self, provider: str, count: int) -> None:
        """Wait until so many calls are in flight."""
        async with asyncio.timeout(5):
            while (await self.counters(provider))["inFlight"] != count:
                await asyncio.sleep(0.005)


def an_upload(provider: str, audience: str) -> tuple[str, dict[str, Any]]:
    """Return path and body of an upload of two made-up people."""
    if provider == "facebook":
        session = {"session_id": next(SESSIONS), "batch_seq": 1, "last_batch_flag": True}
        payload = {"schema": ["EMAIL"], "data": [[ADA], [BEA]]}
        return f"/facebook/v26.0/{audience}/users", {"payload": payload, "session": session}
    if provider == "tiktok":
        rows = [[{"id": digest, "audience_ids": [audience]}] for digest in (ADA, BEA)]
        body = {"advertiser_ids": ["1001"], "id_schema": ["EMAIL_SHA256"], "batch_data": rows}
        return "/tiktok/open_api/v1.3/segment/mapping/", body
    people = [{"type": "profile", "attributes": {"email": f"{name}@example.com"}} for name in ("ada", "bea")]
    data = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": people}}}
    lists = {"lists": {"data": [{"type": "list", "id": audience}]}}
    return "/klaviyo/api/profile-bulk-import-jobs", {"data": {**data, "relationships": lists}}


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Client]:
    """Run a sandbox that answers at once."""
    chosen = SandboxOptions(**{"latency": 0, "job_seconds": 0, "limits": False, **options})
    async with TestClient(TestServer(create_app(chosen))) as http:
        yield Client(http)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A sandbox that answers at once."""
    async with opened() as found:
        yield found


async def test_it_says_that_it_is_up(client: Client) -> None:
    async with client.http.get("/healthz") as response:
        assert (response.status, await response.text()) == (200, "ok")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_members_are_shown_by_audience_and_account_or_all_together(client: Client, provider: str) -> None:
    people = [["ada@example.com"], ["bea@example.com"]] if provider == "klaviyo" else sorted([[ADA], [BEA]])
    await client.upload(provider, await client.make(provider))
    account = "" if provider == "klaviyo" else "1001"
    for query in ("", "&audience=VIP", f"&account={account}", f"&audience=VIP&account={account}"):
        assert await client.members(provider, query) == people
    assert await client.members(provider, "&audience=other") == []
    assert await client.members(provider, "&account=9") == []


async def test_a_member_of_several_audiences_is_shown_once(client: Client) -> None:
    for _ in range(2):
        await client.upload("tiktok", await client.make("tiktok"))
    assert await client.members("tiktok") == sorted([[ADA], [BEA]])
    assert len((await client.control("GET", "audiences?provider=tiktok"))[1]["audiences"]) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_members_of_an_audience_are_emptied_or_everything_is_forgotten(client: Client, provider: str) -> None:
    made = await client.make(provider)
    await client.upload(provider, made)
    assert (await client.control("DELETE", f"members?provider={provider}&audience=VIP"))[0] == 204
    assert await client.members(provider) == []
    _, shown = await client.control("GET", f"audiences?provider={provider}")
    assert [(entry["id"], entry["name"], entry["members"]) for entry in shown["audiences"]] == [(made, "VIP", 0)]
    assert (await client.control("DELETE", f"members?provider={provider}"))[0] == 204
    assert await client.control("GET", f"audiences?provider={provider}") == (200, {"audiences": []})
    await client.upload(provider, await client.make(provider))
    assert len(await client.members(provider)) == 2


@pytest.mark.parametrize("path", ["members", "members?provider=myspace", "audiences?provider="])
async def test_an_unknown_platform_is_a_bad_request(client: Client, path: str) -> None:
    assert await client.control("GET", path) == (
        400,
        {"error": "provider: expected one of facebook, tiktok, klaviyo"},
    )


async def test_calls_are_counted_by_platform_and_operation_but_not_those_to_the_sandbox(client: Client) -> None:
    made = await client.make("klaviyo")
    _, begun, _ = await client.upload("klaviyo", made)
    await client.ask("klaviyo", f"/klaviyo/api/profile-bulk-import-jobs/{begun['data']['id']}")
    await client.ask("klaviyo", FIND["klaviyo"])
    await client.ask("klaviyo", "/klaviyo/api/nothing")
    assert await client.counters("klaviyo") == {
        "calls": 5,
        "inFlight": 0,
        "highestInFlight": 1,
        "refusedByLimits": 0,
        "byOperation": {"find": 1, "create": 1, "upload": 1, "job": 1, "lookup": 0, "remove": 0, "other": 1},
        "rows": 2,
        "repeatedRows": 0,
    }
    assert (await client.counters("tiktok"))["calls"] == 0
    assert (await client.control("DELETE", "counters"))[0] == 204
    assert (await client.counters("klaviyo"))["calls"] == 0


@pytest.mark.parametrize(("provider", "allowed"), [("tiktok", 10), ("klaviyo", 75)])
async def test_calls_that_a_limit_refuses_are_counted_but_not_throttles_on_demand(provider: str, allowed: int) -> None:
    async with opened(limits=True, clock=lambda: 1000.0) as client:
        for _ in range(allowed + 3):
            await client.ask(provider, FIND[provider])
        assert (await client.counters(provider))["refusedByLimits"] == 3
        assert (await client.control("DELETE", "counters"))[0] == 204
        await client.fail(provider, "throttled")
        await client.ask(provider, FIND[provider])
        assert (await client.counters(provider))["refusedByLimits"] == 0


async def test_a_call_takes_its_latency_and_is_in_flight_meanwhile() -> None:
    async with opened(latency=0.1) as client:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.ask("tiktok", FIND["tiktok"]) for _ in range(5)))
        assert asyncio.get_running_loop().time() - started >= 0.1
        counters = await client.counters("tiktok")
        assert (counters["inFlight"], counters["highestInFlight"]) == (0, 5)


REFUSED: Mapping[tuple[str, str], tuple[int, object]] = {
    ("facebook", "throttled"): (400, (80003, 2446079)),
    ("facebook", "auth"): (400, (190, 463)),
    ("facebook", "terms"): (403, (200, 1870090)),
    ("facebook", "server_error"): (500, (2, None)),
    ("facebook", "not_found"): (400, (100, 33)),
    ("facebook", "invalid"): (400, (100, None)),
    ("tiktok", "throttled"): (200, 40100),
    ("tiktok", "auth"): (200, 40102),
    ("tiktok", "terms"): (200, 40118),
    ("tiktok", "server_error"): (200, 50000),
    ("tiktok", "not_found"): (200, 40007),
    ("tiktok", "invalid"): (200, 40002),
    ("klaviyo", "throttled"): (429, "throttled"),
    ("klaviyo", "auth"): (401, "authentication_failed"),
    ("klaviyo", "terms"): (403, "permission_denied"),
    ("klaviyo", "server_error"): (503, "error"),
    ("klaviyo", "not_found"): (404, "not_found"),
    ("klaviyo", "invalid"): (400, "invalid"),
}


def code_of(provider: str, body: Any) -> object:
    """Return what stands for the error in a platform's envelope."""
    if provider == "facebook":
        return body["error"]["code"], body["error"].get("error_subcode")
    return body["code"] if provider == "tiktok" else body["errors"][0]["code"]


@pytest.mark.parametrize(("provider", "fault"), REFUSED)
async def test_a_refusal_comes_in_the_platform_s_own_envelope_and_nothing_is_done(
    client: Client, provider: str, fault: str
) -> None:
    made = await client.make(provider)
    await client.fail(provider, fault)
    status, body, _ = await client.upload(provider, made)
    assert (status, code_of(provider, body)) == REFUSED[provider, fault]
    assert await client.members(provider) == []
    await client.upload(provider, made)
    assert len(await client.members(provider)) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_gateway_answers_in_html(client: Client, provider: str) -> None:
    await client.fail(provider, "html")
    status, body, headers = await client.ask(provider, FIND[provider])
    assert status == 502
    assert headers["Content-Type"].startswith("text/html")
    assert body.startswith("<html>")


async def test_a_throttle_names_its_wait_as_the_platform_does(client: Client) -> None:
    for provider in PROVIDERS:
        await client.fail(provider, "throttled", seconds=300)
    _, _, headers = await client.ask("facebook", FIND["facebook"])
    ((usage,),) = json.loads(headers["X-Business-Use-Case-Usage"]).values()
    assert (usage["estimated_time_to_regain_access"], usage["call_count"]) == (5, 100)
    _, body, _ = await client.ask("tiktok", FIND["tiktok"])
    assert body["message"] == "Advertiser (1)'s QPM (601) reaches QPM limit 600 for current path"
    _, _, headers = await client.ask("klaviyo", FIND["klaviyo"])
    assert headers["Retry-After"] == "300"
    assert "RateLimit-Limit" not in headers


async def test_meta_s_throttle_also_comes_as_http_429(client: Client) -> None:
    await client.fail("facebook", "throttled", status=429)
    status, body, _ = await client.ask("facebook", FIND["facebook"])
    assert (status, code_of("facebook", body)) == (429, (80003, 2446079))


async def test_a_partial_upload_takes_all_but_the_first_row_and_waits_for_an_upload(client: Client) -> None:
    made = {provider: await client.make(provider) for provider in PROVIDERS}
    for provider in PROVIDERS:
        await client.fail(provider, "partial")
        await client.ask(provider, FIND[provider])
    assert (await client.upload("facebook", made["facebook"]))[1]["num_invalid_entries"] == 1
    assert (await client.upload("tiktok", made["tiktok"]))[1]["code"] == 20001
    _, begun, _ = await client.upload("klaviyo", made["klaviyo"])
    assert begun["data"]["attributes"]["failed_count"] == 1
    assert await client.members("facebook") == await client.members("tiktok") == [[BEA]]
    assert await client.members("klaviyo") == [["bea@example.com"]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_of_half_an_upload_the_first_half_is_taken_which_only_tiktok_can_say(
    client: Client, provider: str
) -> None:
    made = await client.make(provider)
    await client.fail(provider, "half")
    await client.ask(provider, FIND[provider])
    if provider == "tiktok":
        assert (await client.upload(provider, made))[1]["code"] == 20001
    else:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.upload(provider, made)
    assert await client.members(provider) == [["ada@example.com"] if provider == "klaviyo" else [ADA]]
    await client.upload(provider, made)
    assert len(await client.members(provider)) == 2


async def test_a_row_alone_has_no_half_so_that_it_is_never_the_row_at_fault(client: Client) -> None:
    path, body = an_upload("tiktok", await client.make("tiktok"))
    await client.fail("tiktok", "half")
    assert (await client.ask("tiktok", path, {**body, "batch_data": body["batch_data"][:1]}))[1]["code"] == 0
    assert await client.members("tiktok") == [[ADA]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_rows_are_counted_and_those_that_their_audience_held_already(client: Client, provider: str) -> None:
    made, other = await client.make(provider), await client.make(provider)
    for audience in (made, made, other):
        await client.upload(provider, audience)
    await client.members(provider)
    counters = await client.counters(provider)
    assert (counters["rows"], counters["repeatedRows"]) == (6, 2)
    await client.control("DELETE", "counters")
    counters = await client.counters(provider)
    assert (counters["rows"], counters["repeatedRows"]) == (0, 0)


async def test_a_fault_hits_its_operation_so_many_times_and_is_listed_meanwhile(client: Client) -> None:
    await client.fail("tiktok", "server_error", calls=2, operation="find")
    assert (await client.ask("tiktok", *CREATE["tiktok"]))[1]["code"] == 0
    assert (await client.ask("klaviyo", FIND["klaviyo"]))[0] == 200
    assert (await client.ask("tiktok", FIND["tiktok"]))[1]["code"] == 50000
    assert (await client.control("GET", "faults"))[1] == {
        "faults": [{"provider": "tiktok", "fault": "server_error", "calls": 1, "operation": "find"}]
    }
    assert (await client.ask("tiktok", FIND["tiktok"]))[1]["code"] == 50000
    assert (await client.ask("tiktok", FIND["tiktok"]))[1]["code"] == 0
    assert (await client.control("GET", "faults"))[1] == {"faults": []}


@pytest.mark.parametrize("more", [{"until": "cleared"}, {"until": "cleared", "calls": 0}, {"untilCleared": True}])
async def test_a_fault_may_last_until_it_is_cleared(client: Client, more: dict[str, object]) -> None:
    await client.fail("tiktok", "auth", **more)
    assert [(await client.ask("tiktok", FIND["tiktok"]))[1]["code"] for _ in range(4)] == [40102] * 4
    assert (await client.control("DELETE", "faults"))[0] == 204
    assert (await client.ask("tiktok", FIND["tiktok"]))[1]["code"] == 0


async def test_faults_of_one_platform_are_ended_all_or_by_kind(client: Client) -> None:
    for provider, fault in [("tiktok", "auth"), ("tiktok", "html"), ("tiktok", "drop"), ("klaviyo", "auth")]:
        await client.fail(provider, fault)
    assert (await client.control("DELETE", "faults?provider=tiktok&fault=auth"))[0] == 204
    left = (await client.control("GET", "faults"))[1]["faults"]
    assert [(fault["provider"], fault["fault"]) for fault in left] == [
        ("tiktok", "html"),
        ("tiktok", "drop"),
        ("klaviyo", "auth"),
    ]
    await client.control("DELETE", "faults?provider=tiktok")
    left = (await client.control("GET", "faults"))[1]["faults"]
    assert [(fault["provider"], fault["fault"]) for fault in left] == [("klaviyo", "auth")]
    assert (await client.control("DELETE", "faults?provider=myspace"))[0] == 400


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "myspace"}, "provider"),
        ({"provider": None}, "provider"),
        ({"fault": "boredom"}, "fault"),
        ({"calls": 0}, "calls"),
        ({"calls": -1}, "calls"),
        ({"calls": "many"}, "calls"),
        ({"calls": 2, "until": "cleared"}, "calls"),
        ({"until": "monday"}, "until"),
        ({"operation": "dance"}, "operation"),
        ({"fault": "partial", "operation": "find"}, "operation"),
        ({"fault": "half", "operation": "job"}, "operation"),
        ({"seconds": -1}, "seconds"),
        ({"status": 99}, "status"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"body": 5}, "body"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_fault_that_can_not_be_is_refused_by_field(
    client: Client, wrong: dict[str, object], field: str
) -> None:
    status, answer = await client.control("POST", "faults", {"provider": "tiktok", "fault": "auth", **wrong})
    assert status == 400
    assert field in answer["error"]
    assert (await client.control("GET", "faults"))[1] == {"faults": []}


async def test_a_fault_that_is_no_json_is_refused(client: Client) -> None:
    async with client.http.post("/_sandbox/faults", data=b"{") as response:
        assert response.status == 400
        assert (await response.json())["error"]


async def test_a_stalled_call_is_in_flight_until_the_fault_is_cleared(client: Client) -> None:
    await client.fail("facebook", "stall", until="cleared")
    async with asyncio.TaskGroup() as tasks:
        stalled = tasks.create_task(client.ask("facebook", FIND["facebook"]))
        await client.in_flight("facebook", 1)
        assert not stalled.done()
        await client.control("DELETE", "faults")
    assert stalled.result()[0] == 200
    assert (await client.counters("facebook"))["inFlight"] == 0


async def test_a_stall_ends_by_itself_after_its_seconds(client: Client) -> None:
    await client.fail("facebook", "stall", seconds=0.05)
    assert (await client.ask("facebook", FIND["facebook"]))[0] == 200


async def test_a_slow_call_is_done_at_once_and_answered_later(client: Client) -> None:
    made = await client.make("facebook")
    await client.fail("facebook", "slow", seconds=60)
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(client.upload("facebook", made))
        await client.in_flight("facebook", 1)
        async with asyncio.timeout(5):
            while not await client.members("facebook"):
                await asyncio.sleep(0.005)
        assert not slow.done()
        await client.control("DELETE", "faults")
    assert slow.result()[0] == 200


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("fault", "held"), [("drop", 0), ("drop_after", 2)])
async def test_a_dropped_call_gets_no_answer_whether_it_was_done_or_not(
    client: Client, provider: str, fault: str, held: int
) -> None:
    made = await client.make(provider)
    await client.fail(provider, fault)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.upload(provider, made)
    assert len(await client.members(provider)) == held
    assert (await client.counters(provider))["inFlight"] == 0


@pytest.mark.parametrize(("body", "text"), [("<p>", "<p>"), ({"code": 1}, {"code": 1}), ([1], [1])])
async def test_a_custom_answer_is_given_as_it_is(client: Client, body: object, text: object) -> None:
    await client.fail("klaviyo", "custom", status=418, headers={"X-Teapot": "short"}, body=body)
    status, answered, headers = await client.ask("klaviyo", FIND["klaviyo"])
    assert (status, answered, headers["X-Teapot"]) == (418, text, "short")


@asynccontextmanager
async def served() -> AsyncIterator[tuple[AppRunner, aiohttp.ClientSession]]:
    """Run a sandbox as the demo does; the session's base URL is its address."""
    runner = await serve("127.0.0.1", 0, SandboxOptions(latency=0))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield runner, session
    finally:
        await runner.cleanup()


async def stall(session: aiohttp.ClientSession) -> None:
    """Let TikTok's calls stall."""
    fault = {"provider": "tiktok", "fault": "stall", "until": "cleared"}
    async with session.post("/_sandbox/faults", json=fault) as response:
        assert response.status == 201


async def in_flight(session: aiohttp.ClientSession, count: int) -> None:
    """Wait until so many calls to TikTok are in flight."""
    async with asyncio.timeout(5):
        while True:
            async with session.get("/_sandbox/counters") as response:
                if (await response.json())["tiktok"]["inFlight"] == count:
                    return
            await asyncio.sleep(0.005)


async def test_the_server_ends_at_once_though_calls_are_stalled() -> None:
    async with served() as (runner, session):
        await stall(session)
        stalled = asyncio.create_task(session.get(FIND["tiktok"]))
        await in_flight(session, 1)
        async with asyncio.timeout(2):
            await runner.cleanup()
        await asyncio.wait([stalled], timeout=2)
        assert stalled.exception() is not None or stalled.result().status == 200


async def test_a_client_that_leaves_is_no_longer_in_flight() -> None:
    async with served() as (_, session):
        await stall(session)
        with pytest.raises(TimeoutError):
            await session.get(FIND["tiktok"], timeout=aiohttp.ClientTimeout(total=0.1))
        await in_flight(session, 0)


async def test_a_taken_port_is_an_error() -> None:
    async with served() as (runner, _):
        with pytest.raises(OSError, match="in use"):
            await serve("127.0.0.1", runner.addresses[0][1])


async def test_nothing_is_logged_of_calls(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (_, session):
        with caplog.at_level(logging.INFO):
            for provider in PROVIDERS:
                path, body = an_upload(provider, "1")
                async with session.post(path, json=body, headers=HEADERS[provider]) as response:
                    assert response.status in (200, 400, 404)
    assert caplog.records == []
