"""Meta's stand-in is as strict as Meta."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from clocks import Clock

from sandbox import CREDENTIALS, SandboxOptions
from sandbox.app import create_app

TOKEN = CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SCHEMA = ["EXTERN_ID", "EMAIL", "PHONE"]


def hashed(text: str) -> str:
    """Return a value as Meta wants it."""
    return hashlib.sha256(text.encode()).hexdigest()


ADA, BEA = hashed("ada@example.com"), hashed("bea@example.com")


class Meta:
    """A client of Meta's stand-in."""

    def __init__(self, http: "TestClient[Any, Any]", clock: Clock) -> None:
        self.http, self.clock = http, clock

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Call with the token; return status and answer."""
        url = f"/facebook/v26.0{path}"
        async with self.http.request(method, url, json=body, headers=BEARER, **more) as response:
            return response.status, await response.json()

    async def error(self, method: str, path: str, body: object = None) -> tuple[int, int, int | None]:
        """Call; return status, code and subcode of the error."""
        status, answer = await self.ask(method, path, body)
        return status, answer["error"]["code"], answer["error"].get("error_subcode")

    async def make(self, name: str = "VIP", account: str = "1001", **more: object) -> str:
        """Create an audience; return its id."""
        body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **more}
        status, made = await self.ask("POST", f"/act_{account}/customaudiences", body)
        assert status == 200, made
        return str(made["id"])

    async def members(self, audience: str = "VIP") -> list[list[str]]:
        """Return what an audience holds."""
        query = {"provider": "facebook", "audience": audience}
        async with self.http.get("/_sandbox/members", params=query) as response:
            return list((await response.json())["members"])


@pytest.fixture
async def meta() -> AsyncIterator[Meta]:
    """A sandbox whose clock stands still."""
    clock = Clock()
    options = SandboxOptions(latency=0, listing_lag=5, clock=clock)
    async with TestClient(TestServer(create_app(options))) as http:
        yield Meta(http, clock)


def upload(rows: Sequence[object], schema: object = ("EMAIL",), **session: object) -> dict[str, Any]:
    """Return the body of an upload, in a session of its own unless told otherwise."""
    given = {"session_id": 7, "batch_seq": 1, "last_batch_flag": True, "estimated_num_total": len(rows), **session}
    return {"payload": {"schema": schema, "data": rows}, "session": given}


async def test_a_token_is_taken_as_bearer_query_or_form(meta: Meta) -> None:
    path = "/facebook/v25.0/act_1001/customaudiences"
    form = {"name": "VIP", "customer_file_source": "USER_PROVIDED_ONLY", "access_token": TOKEN}
    async with meta.http.get(path, headers=BEARER) as by_header:
        assert by_header.status == 200
    async with meta.http.get(path, params={"access_token": TOKEN}) as by_query:
        assert by_query.status == 200
    async with meta.http.post(path, data=form) as by_form:
        assert by_form.status == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_any_other_token_is_error_190(meta: Meta, headers: Mapping[str, str]) -> None:
    async with meta.http.get("/facebook/v26.0/act_1001/customaudiences", headers=headers) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert (error["code"], error["type"], error["is_transient"]) == (190, "OAuthException", False)
    assert error["fbtrace_id"]


async def test_accounts_need_their_act_and_hold_audiences_of_their_own(meta: Meta) -> None:
    await meta.make("mine", account="1")
    meta.clock.now += 5
    assert await meta.error("GET", "/1/customaudiences") == (400, 2500, None)
    assert (await meta.ask("GET", "/act_2/customaudiences"))[1] == {"data": []}
    assert len((await meta.ask("GET", "/act_1/customaudiences"))[1]["data"]) == 1


async def test_names_may_repeat_and_ids_are_text_of_seventeen_digits(meta: Meta) -> None:
    first, second = await meta.make(), await meta.make()
    assert first != second
    assert len(first) == len(second) == 17
    assert first.isdecimal()


async def test_only_ids_are_listed_unless_fields_are_asked_for(meta: Meta) -> None:
    made = await meta.make()
    meta.clock.now += 5
    path = "/act_1001/customaudiences"
    assert (await meta.ask("GET", path))[1]["data"] == [{"id": made}]
    assert (await meta.ask("GET", path + "?fields=name"))[1]["data"] == [{"id": made, "name": "VIP"}]
    assert await meta.error("GET", path + "?fields=name,nothing") == (400, 100, None)


async def test_pages_are_joined_by_absolute_links_until_the_last(meta: Meta) -> None:
    made = [await meta.make(f"audience {number}") for number in range(5)]
    meta.clock.now += 5
    url, seen = str(meta.http.make_url("/facebook/v26.0/act_1001/customaudiences?fields=id,name&limit=2")), []
    while url:
        async with aiohttp.ClientSession() as session, session.get(url, headers=BEARER) as response:
            page = await response.json()
        seen += [entry["id"] for entry in page["data"]]
        url = page["paging"].get("next", "")
        assert not url or f"after={page['paging']['cursors']['after']}" in url.replace("%3D", "=")
    assert seen == made


async def test_a_cursor_also_leads_on_by_itself_and_back(meta: Meta) -> None:
    made = [await meta.make(f"audience {number}") for number in range(4)]
    meta.clock.now += 5
    path = "/act_1001/customaudiences"
    _, first = await meta.ask("GET", path, params={"limit": "3"})
    assert "previous" not in first["paging"]
    _, second = await meta.ask("GET", path, params={"limit": "3", "after": first["paging"]["cursors"]["after"]})
    assert [entry["id"] for entry in second["data"]] == made[3:]
    _, back = await meta.ask("GET", path, params={"limit": "3", "before": second["paging"]["cursors"]["before"]})
    assert [entry["id"] for entry in back["data"]] == made[:3]


@pytest.mark.parametrize(
    ("query", "error"),
    [("limit=0", (400, 100)), ("limit=x", (400, 100)), ("after=x", (400, 100)), ("limit=501", (500, 1))],
)
async def test_a_page_that_can_not_be_is_refused(meta: Meta, query: str, error: tuple[int, int]) -> None:
    assert (await meta.error("GET", f"/act_1001/customaudiences?{query}"))[:2] == error


async def test_a_new_audience_is_missing_from_lists_for_a_while(meta: Meta) -> None:
    made = await meta.make()
    assert (await meta.ask("GET", "/act_1001/customaudiences"))[1] == {"data": []}
    assert (await meta.ask("GET", f"/{made}?fields=name"))[1] == {"id": made, "name": "VIP"}
    meta.clock.now += 5
    assert len((await meta.ask("GET", "/act_1001/customaudiences"))[1]["data"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": 5},
        {"subtype": "LOOKALIKE"},
        {"customer_file_source": "FOUND"},
        {"customer_file_source": None},
        {"is_value_based": "maybe"},
    ],
)
async def test_an_audience_with_a_wrong_parameter_is_not_made(meta: Meta, wrong: dict[str, object]) -> None:
    body = {"name": "VIP", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **wrong}
    assert await meta.error("POST", "/act_1001/customaudiences", body) == (400, 100, None)


async def test_an_account_holds_five_hundred_audiences(meta: Meta) -> None:
    for number in range(500):
        await meta.make(f"audience {number}")
    body = {"name": "one more", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    assert await meta.error("POST", "/act_1001/customaudiences", body) == (400, 100, 1713098)
    assert await meta.make(account="1002")


async def test_a_deleted_or_unknown_audience_is_error_100_33(meta: Meta) -> None:
    made = await meta.make()
    assert (await meta.ask("DELETE", f"/{made}"))[1] == {"success": True}
    assert await meta.error("GET", f"/{made}") == (400, 100, 33)
    assert await meta.error("POST", f"/{made}/users", upload([[ADA]])) == (400, 100, 33)


async def test_rows_are_held_once_however_often_they_come(meta: Meta) -> None:
    made = await meta.make()
    rows = [["edge-1", ADA, ""], ["edge-2", "", hashed("14155550100")]]
    for session in (1, 2):
        status, answer = await meta.ask("POST", f"/{made}/users", upload(rows, SCHEMA, session_id=session))
        assert status == 200
    assert answer == {
        "audience_id": made,
        "session_id": "2",
        "num_received": 2,
        "num_invalid_entries": 0,
        "invalid_entry_samples": {},
    }
    assert await meta.members() == [["edge-1", ADA], ["edge-2", hashed("14155550100")]]


async def test_a_form_of_json_texts_does_as_well(meta: Meta) -> None:
    made = await meta.make()
    form = {name: json.dumps(value) for name, value in upload([[ADA]]).items()}
    for fields in (
        form,
        aiohttp.FormData({**form, "session": form["session"].replace("7", "8")}, default_to_multipart=True),
    ):
        async with meta.http.post(f"/facebook/v26.0/{made}/users", data=fields, headers=BEARER) as response:
            assert response.status == 200
            assert (await response.json())["num_received"] == 1
    assert await meta.members() == [[ADA]]


async def test_one_column_may_go_as_a_plain_list(meta: Meta) -> None:
    made = await meta.make()
    assert (await meta.ask("POST", f"/{made}/users", upload([ADA, BEA], "EMAIL_SHA256")))[0] == 200
    assert await meta.members() == sorted([[ADA], [BEA]])


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(upload([]), id="no rows"),
        pytest.param(upload([[ADA]] * 10_001), id="10,001 rows"),
        pytest.param(upload([[ADA], [ADA, BEA]]), id="a row longer than the schema"),
        pytest.param(upload([[]]), id="an empty row"),
        pytest.param(upload([[None]]), id="null for a missing value"),
        pytest.param(upload([[ADA]], ["NOTHING"]), id="an unknown column"),
        pytest.param(upload([[ADA, ADA]], ["EMAIL", "EMAIL"]), id="a column twice"),
        pytest.param(upload([[ADA, 1]], ["EMAIL", "LOOKALIKE_VALUE"]), id="values in a plain audience"),
        pytest.param({"session": upload([])["session"]}, id="no payload"),
        pytest.param({"payload": upload([[ADA]])["payload"]}, id="no session"),
        pytest.param(upload([[ADA]], session_id=0), id="session 0"),
        pytest.param(upload([[ADA]], session_id=2**63), id="a session id of 64 bits"),
        pytest.param(upload([[ADA]], batch_seq=0), id="batch 0"),
        pytest.param(upload([[ADA]], last_batch_flag=None), id="no word of the last batch"),
        pytest.param(upload([[ADA]], estimated_num_total=-1), id="a negative total"),
    ],
)
async def test_an_upload_of_the_wrong_shape_is_error_100_and_adds_nothing(meta: Meta, wrong: object) -> None:
    made = await meta.make()
    assert await meta.error("POST", f"/{made}/users", wrong) == (400, 100, None)
    assert await meta.members() == []


async def test_ten_thousand_rows_fit_into_a_call(meta: Meta) -> None:
    made = await meta.make()
    rows = [[hashed(f"person{number}@example.com")] for number in range(10_000)]
    assert (await meta.ask("POST", f"/{made}/users", upload(rows)))[1]["num_received"] == 10_000


async def test_what_is_no_lower_case_sha_256_is_an_invalid_entry_with_a_sample(meta: Meta) -> None:
    made = await meta.make()
    rows = [[ADA], ["bea@example.com"], [BEA.upper()], [BEA[:-1]], [""]]
    _, answer = await meta.ask("POST", f"/{made}/users", upload(rows))
    assert (answer["num_received"], answer["num_invalid_entries"]) == (5, 4)
    assert '["bea@example.com"]' in answer["invalid_entry_samples"]
    assert await meta.members() == [[ADA]]


async def test_at_most_a_hundred_samples_are_shown(meta: Meta) -> None:
    made = await meta.make()
    rows = [[f"person{number}@example.com"] for number in range(150)]
    _, answer = await meta.ask("POST", f"/{made}/users", upload(rows))
    assert (answer["num_invalid_entries"], len(answer["invalid_entry_samples"])) == (150, 100)


async def test_external_ids_go_plain(meta: Meta) -> None:
    made = await meta.make()
    assert (await meta.ask("POST", f"/{made}/users", upload([["edge 1"]], ["EXTERN_ID"])))[1][
        "num_invalid_entries"
    ] == 0
    assert await meta.members() == [["edge 1"]]


async def test_an_audience_with_values_wants_them_and_they_identify_nobody(meta: Meta) -> None:
    made = await meta.make(is_value_based=True)
    assert await meta.error("POST", f"/{made}/users", upload([[ADA]])) == (400, 100, None)
    rows = [[ADA, 44.5], [BEA, -1], [BEA, "much"]]
    _, answer = await meta.ask("POST", f"/{made}/users", upload(rows, ["EMAIL", "LOOKALIKE_VALUE"]))
    assert answer["num_invalid_entries"] == 2
    assert await meta.members() == [[ADA]]


async def test_removed_rows_are_gone_by_delete_or_by_a_method_parameter(meta: Meta) -> None:
    made = await meta.make()
    await meta.ask("POST", f"/{made}/users", upload([[ADA], [BEA]]))
    assert (await meta.ask("DELETE", f"/{made}/users", upload([[ADA]])))[1]["num_received"] == 1
    assert await meta.members() == [[BEA]]
    assert (await meta.ask("POST", f"/{made}/users?method=DELETE", upload([[BEA]])))[0] == 200
    assert await meta.members() == []


async def test_a_session_counts_what_it_received_batch_by_batch(meta: Meta) -> None:
    made = await meta.make()
    for batch in (1, 2, 3):
        body = upload([[ADA], [BEA]], batch_seq=batch, last_batch_flag=batch == 3)
        assert (await meta.ask("POST", f"/{made}/users", body))[1]["num_received"] == 2 * batch


@pytest.mark.parametrize(("batch", "error"), [(3, (400, 100, None)), (1, (400, 100, None))])
async def test_a_gap_or_a_repeated_batch_is_refused(meta: Meta, batch: int, error: object) -> None:
    made = await meta.make()
    await meta.ask("POST", f"/{made}/users", upload([[ADA]], last_batch_flag=False))
    assert await meta.error("POST", f"/{made}/users", upload([[BEA]], batch_seq=batch)) == error


async def test_a_session_without_its_first_batch_is_refused(meta: Meta) -> None:
    made = await meta.make()
    assert await meta.error("POST", f"/{made}/users", upload([[ADA]], batch_seq=2)) == (400, 2650, 1870147)


async def test_nothing_comes_after_the_last_batch(meta: Meta) -> None:
    made = await meta.make()
    await meta.ask("POST", f"/{made}/users", upload([[ADA]]))
    assert await meta.error("POST", f"/{made}/users", upload([[BEA]], batch_seq=2)) == (400, 2650, 1870159)


async def test_a_session_ends_after_ninety_minutes(meta: Meta) -> None:
    made = await meta.make()
    for batch, minutes in ((1, 0), (2, 90)):
        meta.clock.now = minutes * 60
        body = upload([[ADA]], batch_seq=batch, last_batch_flag=False)
        assert (await meta.ask("POST", f"/{made}/users", body))[0] == 200
    meta.clock.now += 1
    assert await meta.error("POST", f"/{made}/users", upload([[BEA]], batch_seq=3)) == (400, 2650, 1870158)


async def test_a_session_keeps_its_schema(meta: Meta) -> None:
    made = await meta.make()
    await meta.ask("POST", f"/{made}/users", upload([[ADA]], last_batch_flag=False))
    assert await meta.error("POST", f"/{made}/users", upload([[BEA]], ["PHONE"], batch_seq=2)) == (400, 100, None)


async def test_a_session_is_of_one_audience_and_its_id_of_one_account(meta: Meta) -> None:
    first, second, elsewhere = await meta.make(), await meta.make("other"), await meta.make("third", account="2")
    await meta.ask("POST", f"/{first}/users", upload([[ADA]], last_batch_flag=False))
    assert await meta.error("POST", f"/{second}/users", upload([[BEA]], batch_seq=2)) == (400, 100, None)
    assert (await meta.ask("POST", f"/{elsewhere}/users", upload([[ADA]])))[0] == 200


async def test_sessions_are_shown_as_text_and_seem_to_upload_for_ever(meta: Meta) -> None:
    made = await meta.make()
    await meta.ask("POST", f"/{made}/users", upload([[ADA], ["x"]]))
    _, answer = await meta.ask("GET", f"/{made}/sessions?session_id=7")
    (shown,) = answer["data"]
    assert all(isinstance(value, str) for value in shown.values())
    assert (shown["num_received"], shown["num_invalid_entries"], shown["stage"]) == ("2", "1", "uploading")
    assert (await meta.ask("GET", f"/{made}/sessions?session_id=8"))[1] == {"data": []}


async def test_every_answer_tells_of_the_limit_s_use(meta: Meta) -> None:
    for path in ("/act_1001/customaudiences", "/99"):
        async with meta.http.get(f"/facebook/v26.0{path}", headers=BEARER) as response:
            (usage,) = json.loads(response.headers["X-Business-Use-Case-Usage"]).values()
        assert usage[0]["type"] == "custom_audience"
        assert usage[0]["estimated_time_to_regain_access"] == 0


async def test_a_column_s_name_is_exact(meta: Meta) -> None:
    made = await meta.make()
    assert await meta.error("POST", f"/{made}/users", upload([[ADA]], ["email"])) == (400, 100, None)
