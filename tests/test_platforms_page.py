"""The page of what each platform gets, and one user's way to each column."""

import json
from pathlib import Path

import msgspec
import pytest
from people import make_people
from test_cli import audience
from world import sandbox_account

from cli.pages.platforms_page import platforms_page
from cli.preview.explanation import explain
from producer.request.users_json import PayloadError
from providers.installed import installed
from providers.kit.rows.columns import FIELDS
from providers.kit.rows.row_explanation import explained
from providers.kit.rows.users_to_rows import make_rows
from schemas.records import AudienceUser, Purchase
from schemas.target import Target

ROOT = Path(__file__).parent.parent
ALL = ("facebook", "tiktok", "klaviyo")
WAY = " -> "


def told(name: str, user: AudienceUser, **changes: str) -> dict[str, str]:
    """Return the first line of an explanation under no name, and the way to each column under the column's."""
    account = sandbox_account(Target(name), "http://127.0.0.1:9", **changes)
    first, *lines = explain([account], [user], 0)
    columns = [line.strip().partition("  ") for line in lines]
    return {"": first.strip(), **{column: way.strip() for column, _, way in columns}}


def test_the_page_of_platforms_is_what_the_command_prints() -> None:
    assert (ROOT / "docs" / "platforms.md").read_text() == platforms_page(installed()), "run `make docs`"


async def test_the_platforms_command_needs_no_setting(tmp_path: Path) -> None:
    code, output, errors = await audience(tmp_path, "platforms", FACEBOOK_ACCESS_TOKEN="made-up", AUDIENCE_PORT="x")
    assert (code, errors) == (0, "")
    assert output == platforms_page(installed())


@pytest.mark.parametrize("name", ["facebook", "klaviyo", "tiktok", "webhook"])
def test_the_page_tells_of_each_field_whether_it_goes(name: str) -> None:
    page = platforms_page({name: installed()[name]})
    assert all(f"`{field}" in page for field in FIELDS)


def test_each_step_is_shown_with_what_came_of_it_and_a_hash_as_it_is_sent() -> None:
    user = AudienceUser(email="Jane <Jane.Doe@Example.com>", phone="(415) 555-0100", country="US", first_name="--")
    ways = told("facebook", user)
    assert ways[""] == "facebook: user 0 makes a row"
    email = ways["EMAIL"].split(WAY)
    assert email[:3] == ["email J•••", "repaired (wrapped): J•••", "trimmed, lower case: j•••"]
    assert email[3] == "SHA-256: 86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d"
    assert ways["PHONE"].split(WAY)[2] == "without `+`: 1•••"
    assert ways["FN"].split(WAY)[-2:] == ["lower case, without punctuation: nothing", "no_letters"]
    assert ways["LN"] == "lastName: not given"
    assert "LOOKALIKE_VALUE" not in ways
    assert "LOOKALIKE_VALUE" in told("facebook", user, value_from="profit", value_currency="EUR")


def test_a_value_that_is_lost_says_at_which_step_and_why_also_of_users_who_are_rejected() -> None:
    user = AudienceUser(email="a..b@example.com", phone="4.4E+11", last_name="b" * 64)
    ways = told("klaviyo", user)
    assert ways[""] == "klaviyo: user 0 is rejected: email: not_an_email"
    assert ways["email"] == "email a••• -> dropped: nothing -> not_an_email"
    assert ways["phone_number"] == "phone 4••• -> dropped: nothing -> damaged_number"
    assert ways["last_name"].endswith("a SHA-256 already, refused: nothing -> hashed")


def test_a_customer_whose_value_is_of_another_currency_is_told_at_the_column_of_values() -> None:
    user = AudienceUser(email="a@example.com", purchase=Purchase(currency="USD", profit=5.0))
    ways = told("facebook", user, value_from="profit", value_currency="EUR")
    assert ways[""] == "facebook: user 0 is rejected: purchase.currency: other_currency"
    assert ways["LOOKALIKE_VALUE"].endswith("nothing -> other_currency")


def test_settings_show_in_the_steps() -> None:
    user = AudienceUser(email="jane.doe+x@example.com", phone="+14155550100")
    plain, changed = told("tiktok", user), told("tiktok", user, phone_plus="false", strip_aliases="true")
    assert len(changed["EMAIL_SHA256"].split(WAY)) == len(plain["EMAIL_SHA256"].split(WAY)) + 1
    assert "without `+`: 1•••" in changed["PHONE_SHA256"]


@pytest.mark.parametrize("name", ALL)
def test_no_value_is_shown_and_what_is_told_is_what_becomes_a_row(name: str) -> None:
    account = sandbox_account(Target(name), "http://127.0.0.1:9")
    provider = account.kind(account.settings, None)  # type: ignore[arg-type] # rows call nobody
    for user in make_people(400):
        shown = "".join(explain([account], [user], 0))
        given = {text.strip() for text in msgspec.structs.astuple(user) if isinstance(text, str)}
        assert not [text for text in given if len(text) > 15 and len(text) != 64 and text in shown]
        filled = {trace.column for trace in explained(provider, user).traces if trace.reason is None}
        if "makes a row" in shown:
            *_, made = make_rows(provider, [(0, user)])
            assert set(provider.identifiers(msgspec.json.decode(made.rows[0]))) <= filled


async def test_the_command_explains_the_user_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text(json.dumps([{"email": "ada@example.com"}, {"phone": "+14155550100"}]))
    code, output, _ = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--explain", "1")
    assert code == 0
    assert [line for line in output.splitlines() if not line.startswith(" ")] == [
        f"{name}: user 1 makes a row" for name in ALL
    ]
    _, first, _ = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--explain")
    assert "facebook: user 0 makes a row" in first
    for wrong in ("users.json", "-1"):
        code, output, errors = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--explain", wrong)
        assert (code, output) == (2, "")
        assert "--explain: write the number of the user behind it, the first is 0" in errors
    code, output, errors = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--explain", "2")
    assert (code, output) == (1, "")
    assert "users: there is no user 2; the last one is 1" in errors


def test_a_user_that_there_is_not_is_an_error() -> None:
    with pytest.raises(PayloadError):
        next(explain([], [AudienceUser()], 1))


def test_a_hash_that_goes_out_is_explained_without_a_fault() -> None:
    user = AudienceUser(email="B4C9A289323B21A01C3E940F150EB9B8C542587F1ABFD8F0E1CC1FFC5E475514")
    for name in ("facebook", "tiktok"):
        account = sandbox_account(Target(name), "http://127.0.0.1:1")
        told = explained(account.kind(account.settings, None), user)  # type: ignore[arg-type] # rows call nobody
        assert [trace.reason for trace in told.traces if trace.field == "email"] == [None], name
