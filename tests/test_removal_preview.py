"""`audience preview --mode remove` shows what a removal would become, and what it shows is what is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from previews import AWKWARD, as_json
from recorded_requests import recorded_requests
from test_cli import audience
from test_outside_providers import EXAMPLE, installed_at
from test_providers import sha
from world import sandbox_account, sandbox_running

from cli.dry_run.requests import preview
from cli.dry_run.verbs import VERBS
from providers.installed import open_account, open_session
from providers.kit.rate_limiter import Pace
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import make_removal_rows, make_rows
from schemas.records import AudienceBatch, AudienceUser, Purchase
from schemas.target import Target

ALL = ("facebook", "tiktok", "klaviyo")
ADA = AudienceUser(edge_tag_id="edge-1", email="Ada@Example.com", phone="+14155550100", first_name="Ada")
METHODS = {
    "facebook": ["GET", "DELETE"],
    "tiktok": ["GET", "POST"],
    "klaviyo": ["GET", "GET", "GET", "GET", "DELETE"],
}


async def previewed(name: str, users: list[AudienceUser], **settings: str) -> tuple[list[Any], Any]:
    """Return the requests of a preview, and one account's summary."""
    account = sandbox_account(Target(name), "http://127.0.0.1:9", **settings)
    batch = AudienceBatch(batch_id="00000000-0000-0000-0000-000000000000", name="VIP", users=users)
    lines: list[bytes] = []
    await preview(batch, [account], lines.append, verb=VERBS["remove"])
    *requests, last = map(json.loads, lines)
    return requests, last["summary"][name]


@pytest.mark.parametrize("name", ALL)
async def test_a_removal_looks_up_and_takes_out_and_makes_nothing(name: str) -> None:
    requests, summary = await previewed(name, [ADA, AudienceUser(first_name="Ada", country="US")])
    assert [request["method"] for request in requests] == METHODS[name]
    assert (summary["users"], summary["usable"]) == (2, 1)
    assert summary["rejected"] == [{"index": 1, "field": None, "reason": "no_identifier"}]
    assert "{audience_id}" in json.dumps(requests[-1])
    assert sha("ada") not in json.dumps(requests)


async def test_what_each_platform_would_get_of_who_leaves() -> None:
    found = {name: (await previewed(name, [ADA]))[0] for name in ALL}
    email, phone = sha("ada@example.com"), sha("14155550100")
    payload = found["facebook"][-1]["body"]["payload"]
    assert payload == {"schema": ["EXTERN_ID", "EMAIL", "PHONE"], "data": [["edge-1", email, phone]]}
    mapping = found["tiktok"][-1]["body"]
    assert mapping["action"] == "delete"
    assert mapping["batch_data"][0][0] == {"id": email, "audience_ids": ["{audience_id}"]}
    lookups = [request["url"].partition("?")[0].rpartition("/api")[2] for request in found["klaviyo"][1:-1]]
    assert lookups == ["/lists/{audience_id}/profiles"] * 2 + ["/profiles"]
    assert found["klaviyo"][-1]["url"].endswith("/api/lists/{audience_id}/relationships/profiles")
    assert found["klaviyo"][-1]["body"] == {"data": [{"type": "profile", "id": "{profile_id}"}]}


async def test_every_look_up_is_shown_and_a_large_removal_in_as_many_calls_as_it_becomes() -> None:
    users = [AudienceUser(email=f"person{number}@example.com") for number in range(1500)]
    requests, summary = await previewed("klaviyo", users)
    looked, removed = ([one for one in requests if one["method"] == method] for method in ("GET", "DELETE"))
    assert (len(looked), len(removed), summary["usable"]) == (1 + 15, 2, 1500)
    requests, _ = await previewed("tiktok", users)
    assert [len(request["body"]["batch_data"]) for request in requests[1:]] == [1000, 500]


async def test_values_of_a_value_based_audience_are_left_out() -> None:
    other = AudienceUser(email="ada@example.com", purchase=Purchase(currency="USD", profit=9.0))
    requests, summary = await previewed("facebook", [other], value_from="profit", value_currency="EUR")
    assert summary["usable"] == 1
    assert requests[-1]["body"]["payload"]["schema"] == ["EXTERN_ID", "EMAIL", "PHONE"]


@pytest.mark.parametrize("name", ALL)
async def test_the_preview_of_a_removal_is_what_is_sent(name: str) -> None:
    """Requests as they reach the wire, beside those of the preview; ids and the session's number differ."""
    shown, _ = await previewed(name, AWKWARD)
    async with sandbox_running() as url:
        served = sandbox_account(Target(name), url)
        async with open_session(served.settings) as session:
            provider = open_account(served.kind, served.settings, session, Pace({}))
            audience_id = await provider.create_audience("blotout_VIP", "custom")
            *_, made = make_rows(provider, enumerate(AWKWARD))
            for group in group_rows(made, provider.limits):
                await provider.send(audience_id, group.rows)
            sent = recorded_requests(provider)
            await provider.find_audience("blotout_VIP")
            *_, leaving = make_removal_rows(provider, enumerate(AWKWARD))
            for group in group_rows(leaving, provider.removal_limits):
                await provider.remove(audience_id, group.rows)
    assert len(shown) == len(sent)
    for line, request in zip(shown, sent, strict=True):
        text = (request.whole_body() or b"null").decode().replace(audience_id, "{audience_id}")
        body: Any = json.loads(text)
        if body and "session" in body:
            body["session"]["session_id"] = line["body"]["session"]["session_id"]
        if request.path.endswith("/relationships/profiles"):
            assert len(body["data"]) > 1
            body = {"data": [{"type": "profile", "id": "{profile_id}"}]}
        assert line["body"] == body
        assert line["method"] == request.method
        assert request.path.replace(audience_id, "{audience_id}") in line["url"]


async def test_the_command_shows_a_removal_and_how_its_columns_come_about(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_bytes(as_json(AWKWARD))
    arguments = ("preview", "users.json", "--name", "VIP", "--mode", "remove")
    runs = [await audience(tmp_path, *arguments) for _ in range(2)]
    assert runs[0] == runs[1]
    code, output, errors = runs[0]
    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert list(lines[-1]["summary"]) == list(ALL)
    assert {line["method"] for line in lines[:-1] if line["provider"] == "facebook"} == {"GET", "DELETE"}
    code, output, errors = await audience(tmp_path, *arguments, "--provider", "facebook", "--explain")
    assert (code, errors) == (0, "")
    assert [line.split()[0] for line in output.splitlines()] == ["facebook:", "EXTERN_ID", "EMAIL", "PHONE"]


async def test_without_a_mode_and_with_add_an_addition_is_shown(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_bytes(as_json([ADA]))
    plain = await audience(tmp_path, "preview", "users.json", "--name", "VIP")
    assert await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--mode", "add") == plain


@pytest.mark.parametrize("mode", ["removes", "REMOVE", "delete", ""])
async def test_a_misspelt_mode_is_refused_by_its_name_with_the_choices(tmp_path: Path, mode: str) -> None:
    (tmp_path / "users.json").write_bytes(as_json([ADA]))
    code, output, errors = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--mode", mode)
    assert (code, output) == (2, "")
    assert "--mode" in errors
    assert "'add', 'remove'" in errors or "add, remove" in errors


async def test_a_platform_that_cannot_remove_says_so_and_the_others_are_shown(tmp_path: Path) -> None:
    environment = installed_at(tmp_path, "audience_acme:Acme", EXAMPLE)
    (tmp_path / "users.json").write_bytes(as_json([ADA]))
    arguments = ("preview", "users.json", "--name", "VIP", "--mode", "remove", "--provider", "acme")
    code, output, errors = await audience(tmp_path, *arguments, "--provider", "tiktok", **environment)
    assert (code, errors) == (0, "")
    *requests, last = (json.loads(line) for line in output.splitlines())
    assert {request["provider"] for request in requests} == {"tiktok"}
    assert last["summary"]["acme"] == {"error": "cannot_remove"}
    assert last["summary"]["tiktok"]["usable"] == 1
    code, output, errors = await audience(tmp_path, *arguments, "--explain", **environment)
    assert (code, errors) == (0, "")
    assert output.startswith("acme: cannot_remove: ")
