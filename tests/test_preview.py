"""`audience preview` shows what would be sent, and what it shows is what is sent."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from previews import AWKWARD, as_json, previewed
from recorded_requests import recorded_requests
from test_cli import audience
from world import sandbox_account, sandbox_running

from consumer.delivery.outcome import Outcome
from providers.installed import open_account, open_session
from providers.kit.rate_limiter import Pace
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import make_rows
from schemas.records import AudienceUser
from schemas.target import Target

ALL = ("facebook", "tiktok", "klaviyo")
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("name", ALL)
async def test_the_preview_of_awkward_users_holds_no_surprise(name: str) -> None:
    requests, summary = await previewed(name, AWKWARD)
    find, create, upload = requests
    assert (find["method"], create["method"], upload["method"]) == ("GET", "POST", "POST")
    text = json.dumps(requests)
    assert EMPTY not in text
    assert "sandbox-" not in text
    assert "pk_sandbox" not in text
    assert "{audience_id}" in json.dumps(upload)
    assert summary["users"] == 200
    assert summary["usable"] == 200 - len(summary["rejected"])
    assert summary["usable"] == number_of_rows(name, upload["body"])
    assert all(count <= summary["usable"] for count in summary["identifiers"].values())
    assert [rejected["index"] for rejected in summary["rejected"]] == sorted(
        rejected["index"] for rejected in summary["rejected"]
    )


def number_of_rows(name: str, body: Any) -> int:
    """Return how many rows a body has."""
    if name == "facebook":
        return len(body["payload"]["data"])
    if name == "tiktok":
        return len(body["batch_data"])
    return len(body["data"]["attributes"]["profiles"]["data"])


async def test_what_facebook_would_get_of_awkward_users_is_hashes_and_plain_ids_in_columns() -> None:
    (_, _, upload), _ = await previewed("facebook", AWKWARD)
    for row in upload["body"]["payload"]["data"]:
        assert len(row) == 7
        assert row[0] == row[0].strip()
        assert all(re.fullmatch("([0-9a-f]{64})?", cell) for cell in row[1:])


async def test_what_tiktok_would_get_of_awkward_users_is_positional_with_empty_objects() -> None:
    (_, _, upload), _ = await previewed("tiktok", AWKWARD)
    for row in upload["body"]["batch_data"]:
        assert len(row) == 2
        assert any(row)
        for cell in row:
            assert cell == {} or (
                re.fullmatch("[0-9a-f]{64}", cell["id"]) and cell["audience_ids"] == ["{audience_id}"]
            )


async def test_what_klaviyo_would_get_of_awkward_users_is_plain_and_without_empty_members() -> None:
    (_, _, upload), _ = await previewed("klaviyo", AWKWARD)

    def check(value: object) -> None:
        assert value not in ("", {}, [], None)
        if isinstance(value, dict):
            for inner in value.values():
                check(inner)

    for profile in upload["body"]["data"]["attributes"]["profiles"]["data"]:
        check(profile)
        attributes = profile["attributes"]
        assert {"email", "phone_number", "external_id"} & attributes.keys()
        assert re.fullmatch(r"\+[1-9]\d{6,14}", attributes.get("phone_number", "+14155550100"))
        assert not re.search("[0-9a-f]{64}", json.dumps({**attributes, "external_id": ""}))


@pytest.mark.parametrize("name", ALL)
async def test_the_sandbox_takes_every_row_that_the_preview_calls_usable(name: str) -> None:
    _, summary = await previewed(name, AWKWARD)
    async with sandbox_running() as url:
        served = sandbox_account(Target(name), url)
        async with open_session(served.settings) as session:
            provider = open_account(served.kind, served.settings, session, Pace({}))
            audience_id = await provider.create_audience("VIP", "custom")
            *_, made = make_rows(provider, enumerate(AWKWARD))
            outcome = Outcome(received=200)
            for group in group_rows(made, provider.limits):
                outcome.add(group, await provider.send(audience_id, group.rows))
    assert outcome.accepted == summary["usable"]
    assert not outcome.reasons


@pytest.mark.parametrize("name", ALL)
async def test_the_preview_is_what_is_sent(name: str) -> None:
    """Requests as they reach the wire, beside those of the preview; only ids and the session's number differ."""
    shown, _ = await previewed(name, AWKWARD)
    async with sandbox_running() as url, aiohttp.ClientSession():
        served = sandbox_account(Target(name), url)
        async with open_session(served.settings) as session:
            provider = open_account(served.kind, served.settings, session, Pace({}))
            sent = recorded_requests(provider)
            await provider.find_audience("blotout_VIP_customers")
            audience_id = await provider.create_audience("blotout_VIP_customers", "custom")
            *_, made = make_rows(provider, enumerate(AWKWARD))
            for group in group_rows(made, provider.limits):
                await provider.send(audience_id, group.rows)
    for line, request in zip(shown, sent, strict=False):
        body = (
            json.loads((request.whole_body() or b"").decode().replace(audience_id, "{audience_id}"))
            if request.body
            else None
        )
        if body and "session" in body:
            body["session"]["session_id"] = line["body"]["session"]["session_id"]
        assert line["body"] == body
        assert line["method"] == request.method
        assert request.path.replace(audience_id, "{audience_id}") in line["url"]


async def test_a_large_upload_is_shown_in_as_many_calls_as_it_becomes() -> None:
    users = [AudienceUser(email=f"person{number}@example.com") for number in range(2500)]
    requests, summary = await previewed("tiktok", users)
    assert [number_of_rows("tiktok", request["body"]) for request in requests[2:]] == [1000, 1000, 500]
    assert summary["usable"] == 2500
    long = [AudienceUser(email=f"person{number}@example.com", last_name="x" * 900) for number in range(2500)]
    requests, summary = await previewed("facebook", long)
    assert len(requests) > 3  # the upload becomes several records, and a call holds users of one record only
    assert sum(number_of_rows("facebook", request["body"]) for request in requests[2:]) == 2500


async def test_an_account_that_can_use_nobody_would_not_be_called() -> None:
    requests, summary = await previewed("tiktok", [AudienceUser(edge_tag_id="edge-1")])
    assert requests == []
    assert summary["rejected"] == [{"index": 0, "field": None, "reason": "no_identifier"}]


async def test_the_command_shows_all_three_without_any_setting_and_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_bytes(as_json(AWKWARD))
    runs = [await audience(tmp_path, "preview", "users.json", "--name", "VIP customers") for _ in range(2)]
    assert runs[0] == runs[1]
    code, output, errors = runs[0]
    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line.get("provider") for line in lines] == [name for name in ALL for _ in range(3)] + [None]
    assert list(lines[-1]["summary"]) == list(ALL)
    assert lines[0].keys() == {"provider", "account", "method", "url", "headers", "body"}
    assert lines[0]["headers"]["Authorization"] == "***"
    assert lines[1]["body"]["name"] == "blotout_VIP_customers"


async def test_the_command_shows_configured_accounts_with_their_settings_and_hides_what_proves_them(
    tmp_path: Path,
) -> None:
    settings = {
        "AUDIENCE_PROVIDERS": "facebook/eu,webhook",
        "FACEBOOK_EU_ACCESS_TOKEN": "made-up-token",
        "FACEBOOK_EU_APP_SECRET": "made-up-secret",
        "FACEBOOK_API_VERSION": "v25.0",
        "FACEBOOK_BASE_URL": "https://stand-in.example.com/meta",
        "AUDIENCE_DEFAULT_REGION": "DE",
    }
    (tmp_path / "users.json").write_text('[{"phone": "030 901820"}]')
    code, output, _ = await audience(
        tmp_path, "preview", "users.json", "--name", "A B", "--disable-prefix", "--type", "primary", **settings
    )
    assert code == 0
    lines = [json.loads(line) for line in output.splitlines()]
    assert (lines[0]["provider"], lines[0]["account"]) == ("facebook", "eu")
    assert lines[0]["url"].startswith("https://stand-in.example.com/meta/v25.0/act_1234567890/customaudiences?")
    assert "appsecret_proof=***" in lines[0]["url"]
    assert lines[1]["body"]["name"] == "A B"
    assert lines[2]["body"]["payload"]["data"][0][2] == hashlib.sha256(b"4930901820").hexdigest()
    assert lines[3]["headers"]["webhook-signature"] == "***"
    assert list(lines[-1]["summary"]) == ["facebook/eu", "webhook"]
    assert "made-up" not in output
    assert hashlib.sha256(b"made-up-token").hexdigest() not in output


@pytest.mark.parametrize(
    ("users", "arguments", "told"),
    [
        ("[", [], "users: not JSON"),
        ("{}", [], "users: expected array"),
        ("[]", [], "users: expected at least one"),
        ('[{"email": "a@example.com"}, {"phone": []}]', [], "users[1].phone: expected"),
        ("[{}]", ["--name", " "], "name: expected 1 to 255 characters"),
        ("[{}]", ["--provider", "facebook/access"], "choose another account name"),
    ],
)
async def test_wrong_input_is_told_by_its_place(tmp_path: Path, users: str, arguments: list[str], told: str) -> None:
    (tmp_path / "users.json").write_text(users)
    code, output, errors = await audience(tmp_path, "preview", "users.json", "--name", "VIP", *arguments)
    assert (code, output) == (1, "")
    assert told in errors
    assert "Traceback" not in errors
    assert "example.com" not in errors


def test_users_are_read_from_standard_input_and_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", f"{sys.executable} -m cli.entry preview - --name VIP | head -c 20"]
    users = as_json(AWKWARD)
    ran = subprocess.run(command, input=users, capture_output=True, cwd=tmp_path, check=False, timeout=60)
    assert ran.stdout == b'{"provider":"faceboo'
    assert ran.stderr == b""
