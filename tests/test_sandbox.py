"""The stand-ins are as strict as the platforms: what those reject, they reject."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from clocks import Clock
from world import sandbox_running

from sandbox import SandboxOptions

HASH = hashlib.sha256(b"person1@example.com").hexdigest()
FACEBOOK = {"Authorization": "Bearer sandbox-facebook-token"}
TIKTOK = {"Access-Token": "sandbox-tiktok-token"}
KLAVIYO = {"Authorization": "Klaviyo-API-Key pk_sandbox_klaviyo", "revision": "2026-10-15"}


class Caller:
    """Calls the sandbox as a client of a platform would."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Clock) -> None:
        self.session, self.url, self.clock = session, url, clock

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
        """Return status, JSON and headers."""
        async with self.session.request(method, self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def facebook(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call Meta's stand-in; return status and the error's code and subcode, or the answer."""
        status, answer, _ = await self.call(method, f"/facebook/v26.0{path}", body, **FACEBOOK)
        error = answer.get("error")
        return status, (error["code"], error.get("error_subcode")) if error else answer

    async def tiktok(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call TikTok's stand-in; return its code and data."""
        status, answer, _ = await self.call(method, f"/tiktok/open_api/v1.3{path}", body, **TIKTOK)
        assert status == 200
        return answer["code"], answer["data"]

    async def klaviyo(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call Klaviyo's stand-in."""
        status, answer, _ = await self.call(method, f"/klaviyo/api{path}", body, **KLAVIYO)
        return status, answer


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A sandbox whose clock stands still."""
    clock = Clock()
    options = SandboxOptions(latency=0, job_seconds=10, listing_lag=5, clock=clock)
    async with sandbox_running(options) as url, aiohttp.ClientSession() as session:
        yield Caller(session, url, clock)


async def facebook_audience(caller: Caller, **more: object) -> str:
    """Create an audience; return its id."""
    body = {"name": "VIP", "customer_file_source": "USER_PROVIDED_ONLY", **more}
    _, made = await caller.facebook("POST", "/act_1/customaudiences", body)
    return str(made["id"])


def facebook_rows(rows: list[list[Any]], schema: list[str] | None = None, **session: object) -> dict[str, Any]:
    """Return an upload to Meta."""
    of = {"session_id": 7, "batch_seq": 1, "last_batch_flag": False, **session}
    return {"payload": {"schema": schema or ["EMAIL"], "data": rows}, "session": of}


@pytest.mark.parametrize(
    ("upload", "error"),
    [
        (facebook_rows([]), (100, None)),
        (facebook_rows([[HASH]] * 10_001), (100, None)),
        (facebook_rows([[HASH, HASH]]), (100, None)),
        (facebook_rows([[HASH]], ["NOTHING"]), (100, None)),
        (facebook_rows([[HASH, 1]], ["EMAIL", "LOOKALIKE_VALUE"]), (100, None)),
        (facebook_rows([[HASH]], batch_seq=0), (100, None)),
        (facebook_rows([[HASH]], batch_seq=2), (2650, 1870147)),
        ({"payload": {"schema": ["EMAIL"], "data": [[HASH]]}}, (100, None)),
    ],
)
async def test_meta_refuses_uploads_that_break_its_rules(caller: Caller, upload: object, error: object) -> None:
    audience = await facebook_audience(caller)
    assert await caller.facebook("POST", f"/{audience}/users", upload) == (400, error)


async def test_meta_takes_rows_but_those_that_are_no_hashes(caller: Caller) -> None:
    audience = await facebook_audience(caller)
    rows = [[HASH], ["person1@example.com"], [HASH.upper()], [HASH]]
    _, answer = await caller.facebook("POST", f"/{audience}/users", facebook_rows(rows))
    assert (answer["num_received"], answer["num_invalid_entries"]) == (4, 2)
    _, held, _ = await caller.call("GET", "/_sandbox/members?provider=facebook&audience=VIP")
    assert held == {"members": [[HASH]]}


async def test_meta_s_sessions_keep_their_schema_and_end_after_ninety_minutes(caller: Caller) -> None:
    audience = await facebook_audience(caller)
    path = f"/{audience}/users"
    assert (await caller.facebook("POST", path, facebook_rows([[HASH]])))[0] == 200
    other = facebook_rows([[HASH]], ["PHONE"], batch_seq=2)
    assert await caller.facebook("POST", path, other) == (400, (100, None))
    caller.clock.now += 91 * 60
    late = facebook_rows([[HASH]], batch_seq=2)
    assert await caller.facebook("POST", path, late) == (400, (2650, 1870158))
    last = facebook_rows([[HASH]], session_id=8, last_batch_flag=True)
    assert (await caller.facebook("POST", path, last))[0] == 200
    assert await caller.facebook("POST", path, last) == (400, (2650, 1870159))


async def test_meta_wants_values_where_the_audience_has_them(caller: Caller) -> None:
    audience = await facebook_audience(caller, is_value_based=True)
    plain = facebook_rows([[HASH]])
    assert await caller.facebook("POST", f"/{audience}/users", plain) == (400, (100, None))
    valued = facebook_rows([[HASH, 1.5]], ["EMAIL", "LOOKALIKE_VALUE"])
    assert (await caller.facebook("POST", f"/{audience}/users", valued))[0] == 200


async def test_new_audiences_are_missing_from_look_ups_for_a_while(caller: Caller) -> None:
    await facebook_audience(caller)
    path = "/act_1/customaudiences?fields=id,name"
    assert (await caller.facebook("GET", path))[1]["data"] == []
    caller.clock.now += 5
    assert [entry["name"] for entry in (await caller.facebook("GET", path))[1]["data"]] == ["VIP"]
    assert (await caller.facebook("GET", "/act_2/customaudiences"))[1]["data"] == []


async def test_tiktok_refuses_uploads_that_break_its_rules(caller: Caller) -> None:
    form = {"advertiser_id": "1", "custom_audience_name": "n" * 80}
    code, made = await caller.tiktok("POST", "/segment/audience/", form)
    assert code == 0
    audience = made["audience_id"]
    cell = {"id": HASH, "audience_ids": [audience]}

    async def upload(rows: list[Any], schema: list[str], account: str = "1") -> int:
        body = {"advertiser_ids": [account], "action": "add", "id_schema": schema, "batch_data": rows}
        code, _ = await caller.tiktok("POST", "/segment/mapping/", body)
        caller.clock.now += 1
        return int(code)

    two = ["EMAIL_SHA256", "PHONE_SHA256"]
    assert await upload([[cell, {}]], two) == 0
    assert await upload([[cell]], two) == 40002
    assert await upload([[cell, cell]], ["EMAIL_SHA256"] * 2) == 40002
    assert await upload([[{**cell, "id": "person1@example.com"}, {}]], two) == 40002
    assert await upload([[{**cell, "audience_ids": ["9"]}, {}]], two) == 40007
    assert await upload([[cell, {}]], two, account="2") == 40007
    assert await upload([[cell, {}]] * 1001, two) == 40002
    caller.clock.now += 5
    _, listed = await caller.tiktok("GET", "/dmp/custom_audience/list/?advertiser_id=1")
    assert listed["list"][0]["name"] == "n" * 67 + "..."


async def test_tiktok_says_what_is_wrong_with_a_token_and_wants_its_slashes(caller: Caller) -> None:
    path = "/tiktok/open_api/v1.3/dmp/custom_audience/list/?advertiser_id=1"
    assert (await caller.call("GET", path))[1]["code"] == 40104
    assert (await caller.call("GET", path, **{"Access-Token": "x"}))[1]["code"] == 40105
    async with caller.session.get(caller.url + path.replace("list/", "list"), headers=TIKTOK) as response:
        assert response.status == 404


async def test_tiktok_s_calls_are_limited_by_the_second(caller: Caller) -> None:
    path = "/dmp/custom_audience/list/?advertiser_id=1"
    codes = [(await caller.tiktok("GET", path))[0] for _ in range(11)]
    assert codes == [0] * 10 + [40100]


async def test_klaviyo_s_imports_take_their_time_and_name_profiles_that_they_could_not_take(caller: Caller) -> None:
    body = {"data": {"type": "list", "attributes": {"name": "VIP"}}}
    status, made = await caller.klaviyo("POST", "/lists", body)
    assert status == 201
    profiles = [{"type": "profile", "attributes": {"email": value}} for value in ("person1@example.com", "nobody")]
    job = {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": profiles}},
            "relationships": {"lists": {"data": [{"type": "list", "id": made["data"]["id"]}]}},
        }
    }
    status, begun = await caller.klaviyo("POST", "/profile-bulk-import-jobs/", job)
    assert status == 202
    path = f"/profile-bulk-import-jobs/{begun['data']['id']}"
    seen = []
    for wait in (0, 5, 5):
        caller.clock.now += wait
        seen.append((await caller.klaviyo("GET", path))[1]["data"]["attributes"]["status"])
    assert seen == ["queued", "processing", "complete"]
    _, errors = await caller.klaviyo("GET", f"{path}/import-errors")
    pointers = [entry["attributes"]["source"]["pointer"] for entry in errors["data"]]
    assert pointers == ["/data/attributes/profiles/data/1/attributes/email"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/lists?page[size]=11", KLAVIYO, 400),
        ("/lists?filter=name", KLAVIYO, 400),
        ("/lists", {"Authorization": KLAVIYO["Authorization"]}, 400),
        ("/lists", {"revision": "2026-10-15"}, 401),
        ("/profile-bulk-import-jobs/unknown", KLAVIYO, 404),
    ],
)
async def test_klaviyo_refuses_calls_that_break_its_rules(
    caller: Caller, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await caller.call("GET", f"/klaviyo/api{path}", **headers))[0] == status


async def test_klaviyo_says_how_much_is_left_and_when_to_come_again(caller: Caller) -> None:
    answers = [await caller.call("POST", "/klaviyo/api/lists", {}, **KLAVIYO) for _ in range(11)]
    assert [status for status, _, _ in answers] == [400] * 10 + [429]
    _, _, headers = answers[-1]
    assert headers["Retry-After"] == "1"
    assert "RateLimit-Limit" not in headers


async def test_klaviyo_merges_profiles_that_share_an_identifier(caller: Caller) -> None:
    _, made = await caller.klaviyo("POST", "/lists", {"data": {"type": "list", "attributes": {"name": "VIP"}}})
    for attributes in ({"email": "a@example.com"}, {"email": "a@example.com", "external_id": "edge-1"}):
        profile = {"type": "profile", "attributes": attributes}
        job = {
            "data": {
                "type": "profile-bulk-import-job",
                "attributes": {"profiles": {"data": [profile]}},
                "relationships": {"lists": {"data": [{"type": "list", "id": made["data"]["id"]}]}},
            }
        }
        assert (await caller.klaviyo("POST", "/profile-bulk-import-jobs", job))[0] == 202
    caller.clock.now += 10
    _, held, _ = await caller.call("GET", "/_sandbox/members?provider=klaviyo")
    assert held == {"members": [["a@example.com", "edge-1"]]}


async def test_faults_hit_the_next_calls_and_then_end(caller: Caller) -> None:
    status, _, _ = await caller.call(
        "POST", "/_sandbox/faults", {"provider": "facebook", "fault": "auth", "calls": 2, "operation": "find"}
    )
    assert status == 201
    path = "/act_1/customaudiences"
    answers = [(await caller.facebook("GET", path))[0] for _ in range(3)]
    assert answers == [400, 400, 200]


@pytest.mark.parametrize(
    "body",
    [{"provider": "x", "fault": "auth"}, {"provider": "facebook", "fault": "x"}, {"fault": "auth"}, [], {"a": 1}],
)
async def test_a_fault_that_is_none_is_refused(caller: Caller, body: object) -> None:
    status, answer, _ = await caller.call("POST", "/_sandbox/faults", body)
    assert status == 400
    assert answer["error"]


async def test_an_unknown_platform_is_refused_by_name(caller: Caller) -> None:
    status, answer, _ = await caller.call("GET", "/_sandbox/members?provider=myspace")
    assert (status, answer) == (400, {"error": "provider: expected one of facebook, tiktok, klaviyo"})


async def test_members_can_be_forgotten_by_audience_or_altogether(caller: Caller) -> None:
    audience = await facebook_audience(caller)
    await caller.facebook("POST", f"/{audience}/users", facebook_rows([[HASH]]))
    await caller.session.delete(f"{caller.url}/_sandbox/members?provider=facebook&audience=VIP")
    _, held, _ = await caller.call("GET", "/_sandbox/audiences?provider=facebook")
    assert [(entry["name"], entry["members"]) for entry in held["audiences"]] == [("VIP", 0)]
    await caller.session.delete(f"{caller.url}/_sandbox/members?provider=facebook")
    assert (await caller.call("GET", "/_sandbox/audiences?provider=facebook"))[1] == {"audiences": []}
