"""Klaviyo's stand-in is as strict as Klaviyo."""

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from clocks import Clock

from sandbox import CREDENTIALS, SandboxOptions
from sandbox.app import create_app

KIND = "application/vnd.api+json"
KEY = {"Authorization": f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['KLAVIYO_API_KEY']}"}
HEADERS = {**KEY, "revision": "2026-10-15", "Content-Type": KIND}
JOBS = "/profile-bulk-import-jobs"


class Client:
    """A client of Klaviyo's stand-in."""

    def __init__(self, http: "TestClient[Any, Any]", clock: Clock) -> None:
        self.http, self.clock = http, clock

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] = HEADERS, **more: Any
    ) -> tuple[int, Any]:
        """Call; return status and answer."""
        url = f"/klaviyo/api{path}"
        async with self.http.request(method, url, json=body, headers=headers, **more) as response:
            assert response.content_type == KIND
            return response.status, await response.json(content_type=KIND)

    async def make(self, name: str = "VIP") -> str:
        """Create a list; return its id."""
        status, made = await self.ask("POST", "/lists", a_list(name=name))
        assert status == 201
        return str(made["data"]["id"])

    async def find(self, text: str) -> list[str]:
        """Return the names of lists that a filter finds."""
        status, page = await self.ask("GET", "/lists", params={"filter": text})
        assert status == 200
        return [entry["attributes"]["name"] for entry in page["data"]]

    async def load(self, lists: Sequence[str], *profiles: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
        """Import profiles and wait for the end; return the job's id and what it came to."""
        status, begun = await self.ask("POST", JOBS, an_import(profiles, lists))
        assert status == 202
        self.clock.now += 10
        _, job = await self.ask("GET", f"{JOBS}/{begun['data']['id']}")
        assert job["data"]["attributes"]["status"] == "complete"
        return job["data"]["id"], job["data"]["attributes"]

    async def members(self, audience: str = "VIP") -> list[list[str]]:
        """Return what a list holds."""
        query = {"provider": "klaviyo", "audience": audience}
        async with self.http.get("/_sandbox/members", params=query) as response:
            return list((await response.json())["members"])


@pytest.fixture
async def klaviyo() -> AsyncIterator[Client]:
    """A sandbox whose clock stands still."""
    clock = Clock()
    options = SandboxOptions(latency=0, job_seconds=10, clock=clock)
    async with TestClient(TestServer(create_app(options))) as http:
        yield Client(http, clock)


def a_list(**attributes: object) -> dict[str, Any]:
    """Return the body that makes a list."""
    return {"data": {"type": "list", "attributes": attributes}}


def an_import(profiles: Sequence[object], lists: Sequence[str] = ()) -> dict[str, Any]:
    """Return the body of an import of profiles with these attributes."""
    entries = [{"type": "profile", "attributes": attributes} for attributes in profiles]
    data: dict[str, Any] = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": entries}}}
    data["relationships"] = {"lists": {"data": [{"type": "list", "id": name} for name in lists]}}
    return {"data": data}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"revision": "2026-10-15"}, 401, "not_authenticated"),
        ({"revision": "2026-10-15", "Authorization": "Bearer pk_sandbox_klaviyo"}, 401, "not_authenticated"),
        ({"revision": "2026-10-15", "Authorization": "Klaviyo-API-Key pk_other"}, 401, "authentication_failed"),
        (KEY, 400, "invalid"),
        ({**KEY, "revision": "latest"}, 400, "invalid"),
        ({**KEY, "revision": "2019-01-01"}, 400, "invalid"),
        ({**KEY, "revision": "2999-01-01"}, 400, "invalid"),
    ],
)
async def test_a_call_needs_the_key_and_a_known_revision(
    klaviyo: Client, headers: Mapping[str, str], status: int, code: str
) -> None:
    answered, body = await klaviyo.ask("GET", "/lists", headers=headers)
    (error,) = body["errors"]
    assert (answered, error["status"], error["code"]) == (status, status, code)
    assert set(error) == {"id", "status", "code", "title", "detail", "source", "links", "meta"}


async def test_paths_may_end_with_a_slash_and_unknown_ones_are_not_found(klaviyo: Client) -> None:
    assert (await klaviyo.ask("GET", "/lists/"))[0] == 200
    assert (await klaviyo.ask("POST", JOBS + "/", an_import([{"email": "ada@example.com"}])))[0] == 202
    assert (await klaviyo.ask("GET", "/nothing"))[0] == 404


async def test_bodies_are_json_api_or_json(klaviyo: Client) -> None:
    for kind, status in (("application/json", 201), ("text/plain", 415)):
        answered, _ = await klaviyo.ask("POST", "/lists", a_list(name="VIP"), {**HEADERS, "Content-Type": kind})
        assert answered == status


async def test_a_list_has_an_id_of_six_and_a_name_that_may_repeat(klaviyo: Client) -> None:
    first, second = await klaviyo.make(), await klaviyo.make()
    assert first != second
    assert len(first) == 6
    assert first.isalnum()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"data": {"type": "profile", "attributes": {"name": "VIP"}}},
        a_list(),
        a_list(name=""),
        a_list(name="VIP", opt_in_process="none"),
        a_list(name="VIP", colour="red"),
    ],
)
async def test_a_list_with_a_wrong_attribute_is_not_made(klaviyo: Client, body: object) -> None:
    assert (await klaviyo.ask("POST", "/lists", body))[0] == 400


async def test_lists_are_found_by_their_exact_name_escapes_included(klaviyo: Client) -> None:
    for name in ("VIP", "vip", 'say "hi"', "back\\slash", "a,b)"):
        await klaviyo.make(name)
    assert await klaviyo.find('equals(name,"VIP")') == ["VIP"]
    assert await klaviyo.find('equals(name,"say \\"hi\\"")') == ['say "hi"']
    assert await klaviyo.find('equals(name,"back\\\\slash")') == ["back\\slash"]
    assert await klaviyo.find("equals(name,'a,b)')") == ["a,b)"]
    assert await klaviyo.find('equals(name,"VI")') == []
    assert await klaviyo.find('any(name,["vip","a,b)","none"])') == ["vip", "a,b)"]


@pytest.mark.parametrize(
    "text",
    ["", "name", 'equals(name,"a"b")', "equals(name,VIP)", 'contains(name,"VIP")', 'equals(size,"1")', "any(name,[])"],
)
async def test_a_filter_outside_the_grammar_is_refused(klaviyo: Client, text: str) -> None:
    status, body = await klaviyo.ask("GET", "/lists", params={"filter": text})
    assert (status, body["errors"][0]["source"]) == (400, {"parameter": "filter"})


async def test_lists_go_by_pages_of_at_most_ten_joined_by_links(klaviyo: Client) -> None:
    for number in range(12):
        klaviyo.clock.now += 1
        await klaviyo.make(f"list {number}")
    _, first = await klaviyo.ask("GET", "/lists")
    assert len(first["data"]) == 10
    assert first["links"]["prev"] is None
    async with klaviyo.http.session.get(first["links"]["next"], headers=HEADERS) as response:
        second = await response.json(content_type=KIND)
    assert [entry["attributes"]["name"] for entry in second["data"]] == ["list 10", "list 11"]
    assert second["links"]["next"] is None


@pytest.mark.parametrize("query", ["page[size]=11", "page[size]=0", "page[size]=x", "page[cursor]=x", "limit=5"])
async def test_a_page_that_can_not_be_is_refused(klaviyo: Client, query: str) -> None:
    assert (await klaviyo.ask("GET", f"/lists?{query}"))[0] == 400


async def test_a_new_list_is_missing_from_look_ups_for_a_while() -> None:
    clock = Clock()
    options = SandboxOptions(latency=0, listing_lag=5, clock=clock)
    async with TestClient(TestServer(create_app(options))) as http:
        client = Client(http, clock)
        await client.make()
        assert await client.find('equals(name,"VIP")') == []
        clock.now += 5
        assert await client.find('equals(name,"VIP")') == ["VIP"]


async def test_an_import_is_queued_then_processing_then_complete(klaviyo: Client) -> None:
    made = await klaviyo.make()
    status, begun = await klaviyo.ask("POST", JOBS, an_import([{"email": "ada@example.com"}], [made]))
    assert (status, begun["data"]["attributes"]["status"]) == (202, "queued")
    seen = []
    for _ in range(3):
        _, job = await klaviyo.ask("GET", f"{JOBS}/{begun['data']['id']}")
        attributes = job["data"]["attributes"]
        seen.append((attributes["status"], attributes["completed_count"], bool(attributes["completed_at"])))
        klaviyo.clock.now += 5
    assert seen == [("queued", 0, False), ("processing", 0, False), ("complete", 1, True)]


async def test_profiles_are_in_the_list_when_the_import_is_complete_and_not_before(klaviyo: Client) -> None:
    made = await klaviyo.make()
    await klaviyo.ask("POST", JOBS, an_import([{"email": "ada@example.com"}], [made]))
    assert await klaviyo.members() == []
    klaviyo.clock.now += 10
    assert await klaviyo.members() == [["ada@example.com"]]


@pytest.mark.parametrize(
    ("profile", "attribute"),
    [
        ({"email": "nobody"}, "/email"),
        ({"email": "a b@example.com"}, "/email"),
        ({"phone_number": "4155550100"}, "/phone_number"),
        ({"phone_number": "+0155550100"}, "/phone_number"),
        ({"email": "bea@example.com", "phone_number": "+1 415 555 0100"}, "/phone_number"),
        ({"external_id": "e" * 256}, "/external_id"),
        ({"first_name": "Bea"}, ""),
    ],
)
async def test_a_profile_that_is_wrong_fails_alone_and_is_named(
    klaviyo: Client, profile: dict[str, object], attribute: str
) -> None:
    made = await klaviyo.make()
    job, attributes = await klaviyo.load([made], {"email": "ada@example.com"}, profile)
    assert (attributes["total_count"], attributes["completed_count"], attributes["failed_count"]) == (2, 1, 1)
    _, errors = await klaviyo.ask("GET", f"{JOBS}/{job}/import-errors")
    assert errors["data"][0]["attributes"]["source"] == {
        "pointer": f"/data/attributes/profiles/data/1/attributes{attribute}"
    }
    assert errors["data"][0]["attributes"]["original_payload"] == profile
    assert await klaviyo.members() == [["ada@example.com"]]


async def test_import_errors_go_by_pages_of_at_most_a_hundred(klaviyo: Client) -> None:
    job, _ = await klaviyo.load([], *({"email": f"person {number}"} for number in range(150)))
    path = f"{JOBS}/{job}/import-errors"
    _, first = await klaviyo.ask("GET", path, params={"page[size]": "100"})
    async with klaviyo.http.session.get(first["links"]["next"], headers=HEADERS) as response:
        second = await response.json(content_type=KIND)
    assert (len(first["data"]), len(second["data"]), second["links"]["next"]) == (100, 50, None)
    assert (await klaviyo.ask("GET", path, params={"page[size]": "101"}))[0] == 400


async def test_profiles_are_merged_by_any_identifier_they_share(klaviyo: Client) -> None:
    made, other = await klaviyo.make(), await klaviyo.make("other")
    phone = "+14155550100"
    await klaviyo.load([made], {"email": "ada@example.com"}, {"external_id": "edge-2"})
    await klaviyo.load([made], {"email": "ada@example.com", "phone_number": phone})
    await klaviyo.load([other], {"phone_number": phone, "external_id": "edge-1"})
    assert await klaviyo.members() == [["ada@example.com", phone, "edge-1"], ["edge-2"]]
    assert await klaviyo.members("other") == [["ada@example.com", phone, "edge-1"]]


async def test_an_identifier_of_another_profile_stays_with_that_one(klaviyo: Client) -> None:
    made = await klaviyo.make()
    await klaviyo.load([made], {"email": "ada@example.com"}, {"external_id": "edge-2"})
    await klaviyo.load([made], {"email": "ada@example.com", "external_id": "edge-2"})
    assert await klaviyo.members() == [["ada@example.com"], ["edge-2"]]


async def test_null_does_not_clear_what_a_profile_has(klaviyo: Client) -> None:
    made = await klaviyo.make()
    await klaviyo.load([made], {"email": "ada@example.com", "external_id": "edge-1"})
    await klaviyo.load([made], {"email": "ada@example.com", "external_id": None})
    assert await klaviyo.members() == [["ada@example.com", "edge-1"]]


async def test_ten_thousand_profiles_fit_into_an_import_and_no_more(klaviyo: Client) -> None:
    profiles = [{"external_id": f"edge-{number}"} for number in range(10_001)]
    assert (await klaviyo.ask("POST", JOBS, an_import(profiles[1:])))[0] == 202
    assert (await klaviyo.ask("POST", JOBS, an_import(profiles)))[0] == 400
    assert (await klaviyo.ask("POST", JOBS, an_import([])))[0] == 400


async def test_five_megabytes_fit_into_an_import_and_no_more(klaviyo: Client) -> None:
    profiles = [{"external_id": str(number), "title": "x" * 50_000} for number in range(101)]
    for count, status in ((99, 202), (101, 413)):
        body = io.BytesIO(json.dumps(an_import(profiles[:count])).encode())
        async with klaviyo.http.post(f"/klaviyo/api{JOBS}", data=body, headers=HEADERS) as response:
            assert response.status == status


async def test_a_hundred_kilobytes_fit_into_a_profile_and_no_more(klaviyo: Client) -> None:
    for length, status in ((99_000, 202), (100_000, 400)):
        profiles = [{"external_id": "edge-1", "title": "x" * length}]
        assert (await klaviyo.ask("POST", JOBS, an_import(profiles)))[0] == status


@pytest.mark.parametrize(
    "profile",
    [
        {"email": "ada@example.com", "colour": "red"},
        {"email": 5},
        {"email": "ada@example.com", "location": "US"},
        {"email": "ada@example.com", "location": {"postcode": "1"}},
        {"email": "ada@example.com", "properties": []},
        None,
    ],
)
async def test_an_import_with_a_profile_of_another_form_is_refused_whole(klaviyo: Client, profile: object) -> None:
    status, body = await klaviyo.ask("POST", JOBS, an_import([{"email": "bea@example.com"}, profile]))
    assert (status, body["errors"][0]["source"]["pointer"]) == (400, "/data/attributes/profiles/data/1")


async def test_all_documented_attributes_are_taken(klaviyo: Client) -> None:
    location = {"country": "United States", "zip": "02110", "latitude": 42.3}
    profile = {"email": "ada@example.com", "first_name": "Ada", "location": location, "properties": {"profit": 12.5}}
    assert (await klaviyo.ask("POST", JOBS, an_import([profile])))[0] == 202


async def test_an_import_into_an_unknown_list_is_not_found(klaviyo: Client) -> None:
    status, body = await klaviyo.ask("POST", JOBS, an_import([{"email": "ada@example.com"}], ["NoLst1"]))
    assert (status, body["errors"][0]["code"]) == (404, "not_found")
    wrong = an_import([{"email": "ada@example.com"}])
    wrong["data"]["relationships"] = {"lists": {"data": ["NoLst1"]}}
    assert (await klaviyo.ask("POST", JOBS, wrong))[0] == 400


async def test_an_unknown_import_is_not_found(klaviyo: Client) -> None:
    assert (await klaviyo.ask("GET", f"{JOBS}/unknown"))[0] == 404
    assert (await klaviyo.ask("GET", f"{JOBS}/unknown/import-errors"))[0] == 404


async def test_answers_tell_what_is_left_and_a_throttle_only_how_long_to_wait(klaviyo: Client) -> None:
    headers = []
    for _ in range(11):
        async with klaviyo.http.post("/klaviyo/api/lists", json=a_list(name="VIP"), headers=HEADERS) as response:
            headers.append(response.headers)
            status, body = response.status, await response.json(content_type=KIND)
    left = [(h["RateLimit-Limit"], h["RateLimit-Remaining"], h["RateLimit-Reset"]) for h in headers[:2]]
    assert left == [("150", "149", "60"), ("150", "148", "60")]
    assert "Retry-After" not in headers[0]
    assert (status, headers[-1]["Retry-After"]) == (429, "1")
    assert not [name for name in headers[-1] if name.lower().startswith("ratelimit")]
    assert body["errors"][0]["detail"] == "Request was throttled. Expected available in 1 second(s)."


async def test_imports_are_limited_by_the_second_and_by_the_minute(klaviyo: Client) -> None:
    statuses = []
    for number in range(151):
        klaviyo.clock.now = number // 10
        statuses.append((await klaviyo.ask("POST", JOBS, {}))[0])
    assert statuses == [400] * 150 + [429]
    klaviyo.clock.now = 60
    assert (await klaviyo.ask("POST", JOBS, {}))[0] == 400


async def test_look_ups_have_a_limit_of_their_own(klaviyo: Client) -> None:
    statuses = [(await klaviyo.ask("GET", "/lists"))[0] for _ in range(76)]
    assert statuses == [200] * 75 + [429]


async def test_a_day_sees_a_hundred_and_fifty_new_lists(klaviyo: Client) -> None:
    for number in range(150):
        klaviyo.clock.now = number * 60
        await klaviyo.make(f"list {number}")
    klaviyo.clock.now = 150 * 60
    async with klaviyo.http.post("/klaviyo/api/lists", json=a_list(name="VIP"), headers=HEADERS) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) == 86_400 - 150 * 60
    klaviyo.clock.now = 86_400
    await klaviyo.make()


async def test_without_limits_nothing_is_throttled() -> None:
    async with TestClient(TestServer(create_app(SandboxOptions(latency=0, limits=False)))) as http:
        client = Client(http, Clock())
        assert [(await client.ask("GET", "/lists"))[0] for _ in range(80)] == [200] * 80
