"""TikTok's stand-in is as strict as TikTok."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from clocks import Clock

from sandbox import CREDENTIALS, SandboxOptions
from sandbox.app import create_app

TOKEN = {"Access-Token": CREDENTIALS["tiktok"]["TIKTOK_ACCESS_TOKEN"]}
ADVERTISER = CREDENTIALS["tiktok"]["TIKTOK_ADVERTISER_ID"]
BASE = "/tiktok/open_api/v1.3"
LIST = "/dmp/custom_audience/list/"
BOTH = ("EMAIL_SHA256", "PHONE_SHA256")


def hashed(text: str) -> str:
    """Return a value as TikTok wants it."""
    return hashlib.sha256(text.encode()).hexdigest()


ADA, PHONE = hashed("ada@example.com"), hashed("+14155550100")


class Client:
    """A client of TikTok's stand-in."""

    def __init__(self, http: "TestClient[Any, Any]", clock: Clock) -> None:
        self.http, self.clock = http, clock

    async def ask(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, Any]:
        """Call a second later, with the token; return code and data."""
        self.clock.now += 1
        params = {name: str(value) for name, value in query.items()}
        async with self.http.request(method, BASE + path, json=body, headers=TOKEN, params=params) as response:
            answer = await response.json()
            assert response.status == 200
            assert set(answer) == {"code", "message", "request_id", "data"}
            return answer["code"], answer["data"]

    async def make(self, name: str = "VIP", advertiser: str = ADVERTISER) -> str:
        """Create an audience; return its id."""
        body = {"advertiser_id": advertiser, "action": "create", "custom_audience_name": name}
        code, made = await self.ask("POST", "/segment/audience/", body)
        assert code == 0
        return str(made["audience_id"])

    async def map(self, rows: object, schema: object = BOTH, **more: object) -> int:
        """Upload rows; return the code."""
        body = {"advertiser_ids": [ADVERTISER], "action": "add", "id_schema": schema, "batch_data": rows, **more}
        return (await self.ask("POST", "/segment/mapping/", body))[0]

    async def members(self, audience: str = "VIP") -> list[list[str]]:
        """Return what an audience holds."""
        query = {"provider": "tiktok", "audience": audience}
        async with self.http.get("/_sandbox/members", params=query) as response:
            return list((await response.json())["members"])


@pytest.fixture
async def tiktok() -> AsyncIterator[Client]:
    """A sandbox whose clock goes on by a second with each call."""
    clock = Clock()
    async with TestClient(TestServer(create_app(SandboxOptions(latency=0, clock=clock)))) as http:
        yield Client(http, clock)


def cell(digest: str, *audiences: str) -> dict[str, object]:
    """Return one id with the audiences that get it."""
    return {"id": digest, "audience_ids": list(audiences)}


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, 40104), ({"Access-Token": ""}, 40104), ({"Access-Token": "x"}, 40105), ({"Authorization": "x"}, 40104)],
)
async def test_a_missing_or_wrong_token_is_a_code_behind_http_200(
    tiktok: Client, headers: Mapping[str, str], code: int
) -> None:
    async with tiktok.http.get(BASE + LIST, headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (200, code)


async def test_a_path_without_its_slash_is_not_found(tiktok: Client) -> None:
    async with tiktok.http.get(BASE + LIST.rstrip("/"), headers=TOKEN) as response:
        assert response.status == 404


async def test_ids_are_text_beyond_what_a_float_holds_and_names_may_repeat(tiktok: Client) -> None:
    first, second = await tiktok.make(), await tiktok.make()
    assert first != second
    assert int(first) > 2**53


async def test_lists_go_by_numbered_pages(tiktok: Client) -> None:
    made = [await tiktok.make(f"audience {number}") for number in range(5)]
    seen = []
    for page in (1, 2, 3):
        _, data = await tiktok.ask("GET", LIST, advertiser_id=ADVERTISER, page=page, page_size=2)
        assert data["page_info"] == {"page": page, "page_size": 2, "total_number": 5, "total_page": 3}
        seen += [entry["audience_id"] for entry in data["list"]]
    assert seen == made
    assert (await tiktok.ask("GET", LIST, advertiser_id=ADVERTISER, page=4, page_size=2))[1]["list"] == []


async def test_a_list_is_of_one_advertiser_and_of_the_ids_asked_for(tiktok: Client) -> None:
    first, _, _ = await tiktok.make(), await tiktok.make("other"), await tiktok.make(advertiser="7")
    _, whole = await tiktok.ask("GET", LIST, advertiser_id=ADVERTISER)
    assert whole["page_info"]["page_size"] == 10
    assert [entry["name"] for entry in whole["list"]] == ["VIP", "other"]
    _, some = await tiktok.ask("GET", LIST, advertiser_id=ADVERTISER, custom_audience_ids=json.dumps([first, "1"]))
    assert [entry["audience_id"] for entry in some["list"]] == [first]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"advertiser_id": "x"},
        {"advertiser_id": "7", "page": 0},
        {"advertiser_id": "7", "page_size": 0},
        {"advertiser_id": "7", "page_size": 101},
        {"advertiser_id": "7", "page_size": "many"},
        {"advertiser_id": "7", "custom_audience_ids": "[]"},
        {"advertiser_id": "7", "custom_audience_ids": "[7]"},
    ],
)
async def test_a_list_with_a_wrong_parameter_is_40002(tiktok: Client, query: dict[str, object]) -> None:
    assert (await tiktok.ask("GET", LIST, **query))[0] == 40002


async def test_one_audience_is_shown_by_its_id(tiktok: Client) -> None:
    made = await tiktok.make()
    path, names = "/dmp/custom_audience/get/", json.dumps([made])
    _, data = await tiktok.ask("GET", path, advertiser_id=ADVERTISER, custom_audience_ids=names)
    assert data["list"][0]["audience_details"]["audience_id"] == made
    assert (await tiktok.ask("GET", path, advertiser_id="7", custom_audience_ids=names))[0] == 40007


@pytest.mark.parametrize(("length", "kept"), [(70, "n" * 70), (71, "n" * 67 + "...")])
async def test_a_name_beyond_seventy_characters_is_shortened(tiktok: Client, length: int, kept: str) -> None:
    await tiktok.make("n" * length)
    assert (await tiktok.ask("GET", LIST, advertiser_id=ADVERTISER))[1]["list"][0]["name"] == kept


@pytest.mark.parametrize(
    "wrong",
    [{"advertiser_id": None}, {"advertiser_id": 7}, {"custom_audience_name": ""}, {"action": "rename"}],
)
async def test_an_audience_with_a_wrong_parameter_is_not_made(tiktok: Client, wrong: dict[str, object]) -> None:
    body = {"advertiser_id": ADVERTISER, "custom_audience_name": "VIP", **wrong}
    assert (await tiktok.ask("POST", "/segment/audience/", body))[0] == 40002


async def test_an_account_holds_four_hundred_audiences(tiktok: Client) -> None:
    for number in range(400):
        await tiktok.make(f"audience {number}")
    body = {"advertiser_id": ADVERTISER, "custom_audience_name": "one more"}
    assert (await tiktok.ask("POST", "/segment/audience/", body))[0] == 40002


async def test_an_audience_is_deleted_by_its_own_advertiser_only(tiktok: Client) -> None:
    made = await tiktok.make()
    body = {"advertiser_id": "7", "action": "delete", "delete_audience_id": made}
    assert (await tiktok.ask("POST", "/segment/audience/", body))[0] == 40007
    assert (await tiktok.ask("POST", "/segment/audience/", {**body, "advertiser_id": ADVERTISER}))[0] == 0
    assert await tiktok.map([[cell(ADA, made), {}]]) == 40007


async def test_ids_are_held_once_by_row_and_can_be_deleted(tiktok: Client) -> None:
    made = await tiktok.make()
    rows = [[cell(ADA, made), cell(PHONE, made)], [{}, cell(hashed("+14155550101"), made)]]
    assert [await tiktok.map(rows), await tiktok.map(rows)] == [0, 0]
    assert await tiktok.members() == sorted([[ADA, PHONE], [hashed("+14155550101")]])
    assert await tiktok.map(rows[:1], action="delete") == 0
    assert await tiktok.members() == [[hashed("+14155550101")]]


async def test_each_id_goes_to_the_audiences_that_it_names(tiktok: Client) -> None:
    first, second = await tiktok.make("first"), await tiktok.make("second")
    assert await tiktok.map([[cell(ADA, first, second), cell(PHONE, second)]]) == 0
    assert await tiktok.members("first") == [[ADA]]
    assert await tiktok.members("second") == [[ADA, PHONE]]


async def test_kinds_of_ids_may_stand_in_lower_case(tiktok: Client) -> None:
    made = await tiktok.make()
    assert await tiktok.map([[cell(ADA, made)]], ["email_sha256"]) == 0


@pytest.mark.parametrize(
    "schema", [[], None, ["EMAIL"], ["EMAIL_SHA256", "EMAIL_SHA256"], ["EMAIL_SHA256", "email_sha256"], [1]]
)
async def test_a_wrong_or_repeated_kind_of_id_is_40002(tiktok: Client, schema: object) -> None:
    made = await tiktok.make()
    length = len(schema) if isinstance(schema, list) else 1
    assert await tiktok.map([[cell(ADA, made)] * length], schema) == 40002


@pytest.mark.parametrize(
    "wrong", ["ada@example.com", ADA.upper(), ADA[:-1], hashlib.md5(b"ada", usedforsecurity=False).hexdigest(), "", 5]
)
async def test_an_id_that_is_no_sha_256_spoils_the_call(tiktok: Client, wrong: object) -> None:
    made = await tiktok.make()
    rows = [[cell(ADA, made), {}], [{"id": wrong, "audience_ids": [made]}, {}]]
    assert await tiktok.map(rows) == 40002
    assert await tiktok.members() == []


async def test_a_row_has_one_cell_for_each_kind_and_at_least_one_id(tiktok: Client) -> None:
    made = await tiktok.make()
    whole = cell(ADA, made)
    rows: list[object] = [[whole], [whole] * 3, [{}, {}], [], None, [None, {}], [{"id": ADA}, {}]]
    for row in rows:
        assert await tiktok.map([row]) == 40002


async def test_a_call_takes_a_thousand_rows_and_no_more(tiktok: Client) -> None:
    made = await tiktok.make()
    row = [cell(ADA, made), {}]
    assert await tiktok.map([row] * 1000) == 0
    assert await tiktok.map([row] * 1001) == 40002
    assert await tiktok.map([]) == 40002


async def test_a_call_takes_a_megabyte_and_no_more(tiktok: Client) -> None:
    made = await tiktok.make()
    assert await tiktok.map([[cell(ADA, made), {}]], padding="x" * 1_000_000) == 40002


async def test_an_audience_must_be_of_an_advertiser_that_the_call_names(tiktok: Client) -> None:
    made = await tiktok.make()
    rows = [[cell(ADA, made), {}]]
    assert await tiktok.map(rows, advertiser_ids=["7"]) == 40007
    assert await tiktok.map(rows, advertiser_ids=["7", ADVERTISER]) == 0
    assert await tiktok.map([[cell(ADA, "1"), {}]]) == 40007
    assert await tiktok.map(rows, advertiser_ids=[]) == 40002


async def test_a_body_that_is_no_json_object_is_40002(tiktok: Client) -> None:
    async with tiktok.http.post(BASE + "/segment/mapping/", data="{}", headers=TOKEN) as as_text:
        assert (await as_text.json())["code"] == 40002
    assert (await tiktok.ask("POST", "/segment/mapping/", []))[0] == 40002


async def test_ten_queries_a_second_are_answered_by_path_and_advertiser(tiktok: Client) -> None:
    async def ask(advertiser: str) -> Any:
        query = {"advertiser_id": advertiser}
        async with tiktok.http.get(BASE + LIST, params=query, headers=TOKEN) as response:
            return await response.json()

    codes = [(await ask("7"))["code"] for _ in range(10)]
    assert codes == [0] * 10
    refused = await ask("7")
    assert refused["code"] == 40100
    assert refused["message"] == "Advertiser (7)'s QPS (11) reaches QPS limit 10 for current path"
    assert (await ask("8"))["code"] == 0
    tiktok.clock.now += 1
    assert (await ask("7"))["code"] == 0
