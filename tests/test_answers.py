"""What platforms' answers say besides that rows are taken: names of rows, gateways, versions that have ended."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from test_check import settings
from test_cli import audience
from test_fidelity import Stage, raw, refused, rows_of, staged
from test_ledger import get
from test_unisolated import emails, hashes
from world import consuming_one, make_users, sandbox_account, sandbox_running, world

from providers.facebook.provider import Facebook
from providers.kit.errors import PlatformError, RejectError, RetryError, StopError
from providers.kit.http import Answer, Request
from providers.kit.provider import NamedRowsError, Rejection
from providers.klaviyo import OPT_OUT, refusal
from providers.webhook import Webhook, WebhookSettings
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser
from schemas.target import Target
from streams.client.settings import KafkaSettings

AT = "/data/attributes/profiles/data"


def answer(*pointers: object, status: int = 400) -> Answer:
    """Return a refusal of Klaviyo with an error at each of these places, which quotes a user."""
    errors = [
        {"id": f"r{number}", "code": "invalid", "detail": "ada@example.com", "source": {"pointer": pointer}}
        for number, pointer in enumerate(pointers)
    ]
    return Answer(status=status, headers={}, body=msgspec.json.encode({"errors": errors}))


def named(found: PlatformError) -> dict[int, str | None]:
    """Return the rows that a refusal names, and the fields."""
    assert isinstance(found, NamedRowsError)
    assert {why.reason for why in found.rejected.values()} == {"refused_by_platform"}
    return {place: why.field for place, why in found.rejected.items()}


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        (f"{AT}/3/attributes/email", "email"),
        (f"{AT}/3/attributes/phone_number", "phone"),
        (f"{AT}/3/attributes/external_id", "edgeTagId"),
        (f"{AT}/3/attributes/location/zip", "postalCode"),
        (f"{AT}/3/attributes/location/country", "country"),
        (f"{AT}/3/attributes/location", None),
        (f"{AT}/3/attributes/properties/purchase_profit", "purchase.profit"),
        (f"{AT}/3/attributes", None),
        (f"{AT}/3", None),
        (f"{AT}/3/type", None),
        (f"#{AT}/3/attributes/email", "email"),
        ("/profiles/data/3/attributes/email", "email"),
        ("/data/attributes/profiles/3/email", "email"),
    ],
)
def test_klaviyo_s_pointers_name_a_row_and_its_field(pointer: str, field: str | None) -> None:
    assert named(refusal(answer(pointer), "upload")) == {3: field}


@pytest.mark.parametrize(
    "pointer",
    [
        *("", "/data", AT, f"{AT}/", f"{AT}/-1", f"{AT}/x/attributes/email", f"{AT}/1e3", f"{AT}/\u0663"),
        *(f"{AT}/9999999999", "/data/relationships/lists/data/0/id", "/data/attributes/other/data/3", 3, None, ["x"]),
    ],
)
def test_a_pointer_that_is_none_of_a_row_names_nobody(pointer: object) -> None:
    found = refusal(answer(pointer), "upload")
    assert type(found) is RejectError
    assert (found.code, found.request_id) == ("request_refused", "r0")


def test_several_errors_of_a_profile_are_one_row_and_the_first_field_stands() -> None:
    pointers = (f"{AT}/5", f"{AT}/5/attributes/phone_number", f"{AT}/5/attributes/email", f"{AT}/1", "/data")
    for status in (400, 409, 422):
        assert named(refusal(answer(*pointers, status=status), "upload")) == {5: "phone", 1: None}


@pytest.mark.parametrize(("status", "operation"), [(401, "upload"), (404, "upload"), (429, "upload"), (400, "create")])
def test_only_an_import_that_is_refused_for_its_rows_names_any(status: int, operation: str) -> None:
    assert not isinstance(refusal(answer(f"{AT}/0", status=status), operation), NamedRowsError)


def test_a_named_refusal_quotes_no_user() -> None:
    found = refusal(answer(f"{AT}/0/attributes/ada@example.com"), "upload")
    assert "ada" not in f"{found} {found.request_id} {named(found)}"


async def test_what_the_sandbox_dislikes_it_refuses_in_each_platform_s_words() -> None:
    async with staged() as stage:
        for name in ("facebook", "tiktok", "klaviyo"):
            async with stage.account(name) as provider:
                made = await provider.create_audience("VIP", "custom")
                values = emails([1]) if name == "klaviyo" else hashes([1])
                rows = raw(*(provider.row(AudienceUser(email=email)) for email in emails(range(3))))
                for names in (True, False):
                    await stage.inject(provider=name, fault="dislikes", values=values, names=names)
                    error = await refused(provider.send(made, rows))
                    assert error.code == "request_refused"
                    assert isinstance(error, NamedRowsError) == (names and name == "klaviyo")
                    if isinstance(error, NamedRowsError):
                        assert error.rejected == {1: Rejection("email", "refused_by_platform")}
                await stage.inject(provider=name, fault="dislikes", values=values, calls=1)
                assert not (await provider.send(made, rows[2:])).rejected


async def test_all_profiles_of_a_wrong_form_are_named() -> None:
    async with staged() as stage, stage.account("klaviyo") as provider:
        made = await provider.create_audience("VIP", "custom")
        good, bad = rows_of(provider, 1)[0], msgspec.Raw(b'{"type":"profile","attributes":{"email":5}}')
        error = await refused(provider.send(made, [bad, good, bad]))
        assert isinstance(error, NamedRowsError)
        assert set(error.rejected) == {0, 2}


# Gateways.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 503])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/html; charset=UTF-8"}, b"Just a moment"),
        ({"cf-mitigated": "challenge"}, b"{}"),
        ({}, b"<!DOCTYPE html><html></html>"),
    ],
)
def test_a_page_of_a_gateway_is_no_word_of_klaviyo(status: int, headers: dict[str, str], body: bytes) -> None:
    found = refusal(Answer(status=status, headers=headers, body=body), "upload")
    if status < 500 or not body.startswith(b"{"):
        assert (found.code, type(found)) == ("gateway_error", RetryError)


def test_klaviyo_s_own_403_is_a_permission_and_a_gateway_s_429_a_throttle() -> None:
    own = Answer(status=403, headers={"Content-Type": "application/json"}, body=b'{"errors": []}')
    assert refusal(own, "upload").code == "permission_missing"
    page = Answer(status=429, headers={"Content-Type": "text/html"}, body=b"<html>")
    assert refusal(page, "upload").code == "throttled"


CHALLENGE: dict[str, Any] = {"status": 403, "headers": {"cf-mitigated": "challenge"}}


@pytest.mark.parametrize("name", ["facebook", "tiktok", "klaviyo"])
async def test_a_challenge_of_a_gateway_is_none_of_any_platform_s_permissions(name: str) -> None:
    async with staged() as stage, stage.account(name) as provider:
        await stage.inject(provider=name, fault="custom", **CHALLENGE, body="<html>")
        assert (await refused(provider.send("1", rows_of(provider, 1)))).code == "gateway_error"


@dataclass
class Answering:
    """A receiver of webhooks that always answers the same."""

    answer: Answer

    async def send(self, request: Request) -> Answer:
        """Answer."""
        del request
        return self.answer


async def test_a_challenge_before_a_webhook_is_no_refusal_of_its_receiver() -> None:
    made_up = WebhookSettings(base_url="https://hooks.example.com/audience", secret=SecretStr("made-up"))
    for more, code in ((CHALLENGE, "gateway_error"), ({**CHALLENGE, "headers": {}}, "permission_missing")):
        provider = Webhook(made_up, Answering(Answer(**more, body=b"<html>")))
        assert (await refused(provider.send("VIP", rows_of(provider, 1)))).code == code


# Versions.


async def test_every_call_to_klaviyo_asks_for_its_own_revision_or_none(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    users.write_text('[{"email": "ada@example.com"}]')
    code, output, _ = await audience(tmp_path, "preview", str(users), "--name", "VIP", "--provider", "klaviyo")
    requests = [told for told in map(msgspec.json.decode, output.splitlines()) if "headers" in told]
    assert code == 0
    assert len(requests) >= 3
    assert all(request["headers"][OPT_OUT] == "1" for request in requests)


async def ended(stage: Stage, name: str, **settings: str) -> PlatformError:
    """Return how an account with a version that has ended is refused."""
    async with stage.account(name, None, **settings) as provider:
        return await refused(provider.find_audience("VIP"))


async def test_a_version_that_has_ended_stops_the_account_with_what_to_do() -> None:
    async with staged() as stage:
        for error in (
            await ended(stage, "klaviyo", revision="2024-10-15"),
            await ended(stage, "facebook", api_version="v23.0"),
        ):
            assert (error.code, type(error)) == ("api_version_ended", StopError)
    assert "FACEBOOK_API_VERSION" in VOCABULARY["api_version_ended"].remedy


def test_meta_s_codes_of_terms_and_versions_are_known() -> None:
    codes = Facebook.codes
    assert {codes[code] for code in ("200/1870034", "200/1870090", "2655", "2663")} == {"terms_not_accepted"}
    assert codes["2635"] == "api_version_ended"
    assert codes["2654"] == "audience_refused"


async def test_a_silent_upgrade_by_meta_is_told_once_in_the_log_and_by_the_account_s_status(
    kafka: KafkaSettings, topic_prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url, api_version="v24.0")
        async with consuming_one(served, kafka, found.names):
            for number in range(3):
                assert (await found.upload(make_users(2), "?sync=true", name=f"VIP {number}"))[0] == 200
            async with asyncio.timeout(20):
                while not (account := (await get(found, "/audience/accounts"))[1]["accounts"][0])["error"]:
                    await asyncio.sleep(0.1)
            assert (account["state"], account["error"]["code"]) == ("running", "api_version_ended")
        assert capfd.readouterr().out.count("The platform warns") == 1
        mended = sandbox_account(Target("facebook"), found.sandbox_url)
        async with consuming_one(mended, kafka, found.names):
            assert (await found.upload(make_users(2), "?sync=true", name="other"))[0] == 200
            async with asyncio.timeout(20):
                while (await get(found, "/audience/accounts"))[1]["accounts"][0]["error"]:
                    await asyncio.sleep(0.1)


async def test_the_check_tells_of_a_silent_upgrade(tmp_path: Path) -> None:
    async with sandbox_running() as url:
        old = {"AUDIENCE_PROVIDERS": "facebook", "FACEBOOK_API_VERSION": "v24.0"}
        code, output, _ = await audience(tmp_path, "check", **{**settings(url), **old})
    assert code == 0
    assert "answers, and lets this token look up audiences; api_version_ended: " in output
