"""The stand-ins let people leave as the platforms do, and refuse what those refuse."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import ClientError
from test_sandbox_control import BEA as BEA_HASH
from test_sandbox_control import HEADERS as OF_ALL
from test_sandbox_control import Client, client, opened
from test_sandbox_facebook import ADA, BEA, Meta, hashed, meta, upload
from test_sandbox_klaviyo import HEADERS, KIND, klaviyo
from test_sandbox_klaviyo import Client as Klaviyo
from test_sandbox_tiktok import PHONE, cell, tiktok
from test_sandbox_tiktok import Client as TikTok

__all__ = ["client", "klaviyo", "meta", "tiktok"]

KEYS = ["EXTERN_ID", "EMAIL", "PHONE"]


# Meta.


async def test_at_meta_one_identifier_of_several_is_enough_and_strangers_are_no_error(meta: Meta) -> None:
    made = await meta.make()
    rows = [["edge-1", ADA, hashed("1"), hashed("ada")], ["edge-2", BEA, "", ""], ["", "", hashed("3"), hashed("ada")]]
    await meta.ask("POST", f"/{made}/users", upload(rows, [*KEYS, "FN"]))
    leaving = [["", hashed("stranger@example.com"), ""], ["edge-2", "", ""], ["", "", hashed("1")]]
    status, answer = await meta.ask("DELETE", f"/{made}/users", upload(leaving, KEYS))
    assert (status, answer["num_received"], answer["num_invalid_entries"]) == (200, 3, 0)
    assert await meta.members() == [[hashed("3"), hashed("ada")]]
    assert (await meta.ask("DELETE", f"/{made}/users", upload(leaving, KEYS)))[0] == 200


async def test_at_meta_a_name_takes_nobody_out_but_the_same_row_does(meta: Meta) -> None:
    made = await meta.make()
    schema, row = ["FN", "LN", "COUNTRY", "ZIP"], [hashed(text) for text in ("ada", "lovelace", "us", "94107")]
    await meta.ask("POST", f"/{made}/users", upload([row], schema))
    await meta.ask("DELETE", f"/{made}/users", upload([row[:1]], schema[:1]))
    assert len(await meta.members()) == 1
    await meta.ask("DELETE", f"/{made}/users", upload([row], schema))
    assert await meta.members() == []


async def test_at_meta_values_need_not_be_told_of_who_leaves_and_malformed_rows_are_counted(meta: Meta) -> None:
    made = await meta.make(is_value_based=True)
    await meta.ask("POST", f"/{made}/users", upload([[ADA, 5], [BEA, 7]], ["EMAIL", "LOOKALIKE_VALUE"]))
    status, answer = await meta.ask("DELETE", f"/{made}/users", upload([["ada@example.com"], [ADA]]))
    assert (status, answer["num_invalid_entries"]) == (200, 1)
    assert await meta.members() == [[BEA]]
    plain = await meta.make("plain")
    assert await meta.error("DELETE", f"/{plain}/users", upload([[ADA, 5]], ["EMAIL", "LOOKALIKE_VALUE"])) == (
        400, 100, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        upload([]),
        upload([[ADA]] * 10_001),
        upload([[ADA]], ["NOTHING"]),
        upload([[ADA, ADA]]),
        upload([[ADA]], session_id=0),
        {**upload([[ADA]]), "session": 7},
    ],
)
async def test_meta_refuses_removals_that_break_the_rules_of_uploads(meta: Meta, body: dict[str, Any]) -> None:
    made = await meta.make()
    assert await meta.error("DELETE", f"/{made}/users", body) == (400, 100, None)


async def test_an_audience_that_is_not_there_is_not_made_by_a_removal(meta: Meta) -> None:
    assert await meta.error("DELETE", "/23850000000000000/users", upload([[ADA]])) == (400, 100, 33)
    meta.clock.now += 10
    assert (await meta.ask("GET", "/act_1001/customaudiences"))[1] == {"data": []}


async def test_a_flagged_audience_of_meta_takes_nobody_in_and_lets_nobody_out(client: Client) -> None:
    made = await client.make("facebook")
    await client.upload("facebook", made)
    await client.fail("facebook", "blocked", until="cleared")
    for method in ("POST", "DELETE"):
        status, answer = await raw(client, "facebook", method, f"/facebook/v26.0/{made}/users", upload([[BEA_HASH]]))
        assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (400, 100, 1713230)
    assert (await raw(client, "facebook", "GET", f"/facebook/v26.0/{made}", None))[0] == 200
    assert len(await client.members("facebook")) == 2


# TikTok.


async def test_at_tiktok_each_id_leaves_by_itself_and_unknown_ones_are_no_error(tiktok: TikTok) -> None:
    made = await tiktok.make()
    await tiktok.map([[cell(ADA, made), cell(PHONE, made)], [cell(BEA, made), {}]])
    assert await tiktok.map([[cell(ADA, made), {}], [cell(hashed("x"), made), {}]], action="delete") == 0
    assert await tiktok.members() == sorted([[BEA], [PHONE]])
    assert await tiktok.map([[cell(BEA, made), cell(PHONE, made)]], action="delete") == 0
    assert await tiktok.members() == []


async def test_at_tiktok_ids_leave_only_the_audiences_that_they_name(tiktok: TikTok) -> None:
    first, second = await tiktok.make("first"), await tiktok.make("second")
    rows = [[cell(ADA, first, second), cell(PHONE, second)]]
    await tiktok.map(rows)
    assert await tiktok.map(rows[:1], action="delete") == 0
    assert await tiktok.members("first") == await tiktok.members("second") == []


@pytest.mark.parametrize("action", ["remove", "DELETE", "", None, 1])
async def test_tiktok_refuses_an_action_that_it_does_not_know(tiktok: TikTok, action: object) -> None:
    made = await tiktok.make()
    assert await tiktok.map([[cell(ADA, made), {}]], action=action) == 40002
    assert await tiktok.map([[cell(ADA, "1"), {}]], action="delete") == 40007


# Klaviyo.


async def ids(klaviyo: Klaviyo, path: str, text: str, **params: str) -> list[str]:
    """Return the ids of the profiles that a filter finds on the first page."""
    status, page = await klaviyo.ask("GET", path, params={"filter": text, **params})
    assert status == 200, page
    return [entry["id"] for entry in page["data"]]


async def take_out(klaviyo: Klaviyo, made: str, data: object) -> int:
    """Take profiles out of a list; return the status."""
    url = f"/klaviyo/api/lists/{made}/relationships/profiles"
    async with klaviyo.http.request("DELETE", url, json={"data": data}, headers=HEADERS) as response:
        assert response.status != 204 or await response.read() == b""
        return response.status


def named(*profiles: str) -> list[dict[str, str]]:
    """Return profiles as a relationship names them."""
    return [{"type": "profile", "id": profile} for profile in profiles]


async def test_a_klaviyo_profile_that_left_a_list_lives_on_under_its_id_and_in_other_lists(klaviyo: Klaviyo) -> None:
    made, other = await klaviyo.make(), await klaviyo.make("other")
    await klaviyo.load([made, other], {"email": "ada@example.com", "phone_number": "+14155550100"})
    (profile,) = await ids(klaviyo, f"/lists/{made}/profiles", 'any(email,["ada@example.com","x@example.com"])')
    assert await take_out(klaviyo, made, named(profile)) == 204
    assert (await klaviyo.members(), len(await klaviyo.members("other"))) == ([], 1)
    assert await ids(klaviyo, f"/lists/{made}/profiles", 'equals(email,"ada@example.com")') == []
    assert await ids(klaviyo, "/profiles", 'any(phone_number,["+14155550100"])') == [profile]
    await klaviyo.load([made], {"email": "ada@example.com", "external_id": "edge-1"})
    assert await ids(klaviyo, f"/lists/{made}/profiles", 'any(email,["ada@example.com"])') == [profile]
    assert await take_out(klaviyo, made, named(profile, profile, "0" * 26)) == 204
    assert await take_out(klaviyo, made, named(profile)) == 204
    assert await klaviyo.members() == []


async def test_klaviyo_shows_twenty_profiles_of_a_list_unless_more_are_asked_for_and_a_hundred_at_most(
    klaviyo: Klaviyo,
) -> None:
    made = await klaviyo.make()
    people = [f"person{number}@example.com" for number in range(120)]
    await klaviyo.load([made], *({"email": email} for email in people))
    text = f"any(email,[{','.join(json.dumps(email) for email in people)}])"
    path = f"/lists/{made}/profiles"
    assert len(await ids(klaviyo, path, text)) == 20
    assert len(await ids(klaviyo, path, text, **{"page[size]": "100"})) == 100
    assert (await klaviyo.ask("GET", path, params={"page[size]": "101"}))[0] == 400
    _, page = await klaviyo.ask("GET", path, params={"page[size]": "100", "fields[profile]": "created"})
    assert page["data"][0]["attributes"].keys() == {"created"}
    async with klaviyo.http.session.get(page["links"]["next"], headers=HEADERS) as response:
        assert len((await response.json(content_type=KIND))["data"]) == 20


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("lists/{}/profiles", {"filter": 'any(external_id,["edge-1"])'}, 400),
        ("lists/{}/profiles", {"filter": 'equals(id,"x")'}, 400),
        ("lists/{}/profiles", {"filter": 'any(email,["a@example.com"'}, 400),
        ("lists/{}/profiles", {"filter": "any(email,[])"}, 400),
        ("lists/{}/profiles", {"fields[profile]": "nothing"}, 400),
        ("lists/{}/profiles", {"page_size": "100"}, 400),
        ("lists/XXXXXX/profiles", {}, 404),
        ("profiles", {"filter": 'any(external_id,["edge-1"])'}, 200),
        ("profiles", {"filter": 'equals(name,"x")'}, 400),
    ],
)
async def test_klaviyo_looks_profiles_up_by_its_own_grammar_only(
    klaviyo: Klaviyo, path: str, params: dict[str, str], status: int
) -> None:
    made = await klaviyo.make()
    assert (await klaviyo.ask("GET", "/" + path.format(made), params=params))[0] == status


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        named(*(["0" * 26] * 1001)),
        named("ada@example.com"),
        [{"type": "profile", "attributes": {"email": "ada@example.com"}}],
        [{"type": "list", "id": "0" * 26}],
        [{"type": "profile", "id": "0" * 26, "attributes": {}}],
        [7],
    ],
)
async def test_klaviyo_takes_profiles_out_by_their_ids_only_and_a_thousand_at_most(
    klaviyo: Klaviyo, data: object
) -> None:
    made = await klaviyo.make()
    assert await take_out(klaviyo, made, data) == 400
    assert await take_out(klaviyo, "XXXXXX", named("0" * 26)) == 404
    assert await take_out(klaviyo, made, named(*(["0" * 26] * 1000))) == 204


async def test_klaviyo_finds_nobody_before_an_import_has_ended(klaviyo: Klaviyo) -> None:
    made = await klaviyo.make()
    lists = {"lists": {"data": [{"type": "list", "id": made}]}}
    profiles = {"data": [{"type": "profile", "attributes": {"email": "ada@example.com"}}]}
    body = {"type": "profile-bulk-import-job", "attributes": {"profiles": profiles}, "relationships": lists}
    await klaviyo.ask("POST", "/profile-bulk-import-jobs", {"data": body})
    text = 'any(email,["ada@example.com"])'
    assert await ids(klaviyo, f"/lists/{made}/profiles", text) == []
    klaviyo.clock.now += 10
    assert len(await ids(klaviyo, f"/lists/{made}/profiles", text)) == 1


async def test_klaviyo_limits_look_ups_and_removals_by_endpoint() -> None:
    async with opened(limits=True, clock=lambda: 1000.0) as client:
        made = await client.make("klaviyo")
        for _ in range(75):
            assert (await raw(client, "klaviyo", "GET", f"/klaviyo/api/lists/{made}/profiles", None))[0] == 200
        _, _, headers = await client.ask("klaviyo", f"/klaviyo/api/lists/{made}/profiles")
        assert headers["Retry-After"] == "1"
        path = f"/klaviyo/api/lists/{made}/relationships/profiles"
        found = [await raw(client, "klaviyo", "DELETE", path, {"data": named("0" * 26)}) for _ in range(11)]
        assert [status for status, _ in found] == [204] * 10 + [429]
        _, _, headers = await client.ask("klaviyo", "/klaviyo/api/profiles")
        assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == ("750", "749")


# Faults and counters.


async def raw(client: Client, provider: str, method: str, path: str, body: object) -> tuple[int, Any]:
    """Call a stand-in by any method; return status and answer."""
    async with client.http.request(method, path, json=body, headers=OF_ALL[provider]) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def removal(client: Client, provider: str, made: str, people: Sequence[str]) -> tuple[int, Any]:
    """Take people out by their addresses, at Klaviyo by profiles that are looked up."""
    if provider == "facebook":
        body = upload([[hashed(one)] for one in people])
        return await raw(client, provider, "DELETE", f"/facebook/v26.0/{made}/users", body)
    if provider == "tiktok":
        rows = [[cell(hashed(one), made)] for one in people]
        body = {"advertiser_ids": ["1001"], "action": "delete", "id_schema": ["EMAIL_SHA256"], "batch_data": rows}
        return await raw(client, provider, "POST", "/tiktok/open_api/v1.3/segment/mapping/", body)
    text = f"any(email,[{','.join(json.dumps(one) for one in people)}])"
    async with client.http.get(
        f"/klaviyo/api/lists/{made}/profiles", params={"filter": text}, headers=HEADERS
    ) as response:
        found = [entry["id"] for entry in (await response.json(content_type=KIND))["data"]]
    return await raw(
        client, provider, "DELETE", f"/klaviyo/api/lists/{made}/relationships/profiles", {"data": named(*found)}
    )


PEOPLE = ("ada@example.com", "bea@example.com")


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
async def test_removals_are_counted_and_faulted_as_an_operation_of_their_own(client: Client, provider: str) -> None:
    made = await client.make(provider)
    await client.upload(provider, made)
    await client.fail(provider, "server_error", operation="remove")
    await client.upload(provider, made)
    status, answer = await removal(client, provider, made, PEOPLE)
    assert status >= 500 or answer["code"] == 50000
    assert len(await client.members(provider)) == 2
    assert (await removal(client, provider, made, PEOPLE))[0] in (200, 204)
    assert await client.members(provider) == []
    counted = (await client.counters(provider))["byOperation"]
    assert (counted["upload"], counted["remove"]) == (2, 2)
    assert counted["lookup"] == (2 if provider == "klaviyo" else 0)


async def test_a_look_up_can_be_made_to_fail(client: Client) -> None:
    made = await client.make("klaviyo")
    await client.fail("klaviyo", "auth", operation="lookup")
    assert (await raw(client, "klaviyo", "GET", f"/klaviyo/api/lists/{made}/profiles", None))[0] == 401
    assert (await raw(client, "klaviyo", "GET", f"/klaviyo/api/lists/{made}/profiles", None))[0] == 200


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
async def test_half_a_removal_lets_the_first_half_go(client: Client, provider: str) -> None:
    made = await client.make(provider)
    await client.upload(provider, made)
    await client.fail(provider, "half", operation="remove")
    if provider == "tiktok":
        assert (await removal(client, provider, made, PEOPLE))[1]["code"] == 20001
    else:
        with pytest.raises(ClientError):
            await removal(client, provider, made, PEOPLE)
    assert len(await client.members(provider)) == 1
    await removal(client, provider, made, PEOPLE)
    assert await client.members(provider) == []


async def test_rows_of_a_removal_can_be_refused_and_disliked_where_it_has_rows(client: Client) -> None:
    for provider in ("facebook", "tiktok"):
        made = await client.make(provider)
        await client.upload(provider, made)
        await client.fail(provider, "dislikes", operation="remove", values=[hashed(PEOPLE[0])])
        await removal(client, provider, made, PEOPLE)
        assert len(await client.members(provider)) == 2
        await client.fail(provider, "partial", operation="remove")
        await removal(client, provider, made, PEOPLE)
        assert await client.members(provider) == [[hashed(PEOPLE[0])]]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"provider": "klaviyo", "fault": "partial", "operation": "remove"}, "operation"),
        ({"provider": "klaviyo", "fault": "dislikes", "operation": "remove"}, "operation"),
        ({"provider": "facebook", "fault": "half", "operation": "lookup"}, "operation"),
        ({"provider": "tiktok", "fault": "blocked"}, "fault: only facebook"),
        ({"provider": "facebook", "fault": "auth", "operation": "removal"}, "operation: expected one of"),
    ],
)
async def test_a_fault_that_a_call_can_t_have_is_refused(client: Client, fault: dict[str, object], told: str) -> None:
    status, answer = await client.control("POST", "faults", fault)
    assert status == 400
    assert told in answer["error"]
