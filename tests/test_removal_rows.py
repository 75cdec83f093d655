"""How a removal's rows look: what identifies somebody and nothing else, by default made of an addition's columns."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from people import make_people
from previews import AWKWARD
from test_providers import sha
from test_row_declarations import ADDRESS, NUMBER, Declared, kind_of, one_row, provider_of
from test_row_templates import Settings
from world import sandbox_account

from providers.installed import installed
from providers.kit.call_limits import Limits
from providers.kit.errors import RejectError
from providers.kit.provider import AnyProvider, Removal, Removed
from providers.kit.rows import users_to_rows
from providers.kit.rows.bulk.row_maker import no_rows
from providers.kit.rows.columns import Column, DeclarationError, RowTemplate, Together, members
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.removal_template import removal_template_of
from providers.kit.rows.rules import NAME, TRIM, When
from providers.kit.rows.users_to_rows import Rows, make_removal_rows
from schemas.records import AudienceUser, Purchase
from schemas.target import Target

ALL = ("facebook", "klaviyo", "tiktok", "webhook")
JANE = AudienceUser(
    edge_tag_id=" edge-1 ",
    email="Jane@Example.com",
    phone="+1 415 555 0100",
    first_name="Jane",
    last_name="Doe",
    country="US",
    postal_code="94107",
    purchase=Purchase(currency="USD", profit=5.0),
)
PLACED = AudienceUser(first_name="Jane", last_name="Doe", country="US", postal_code="94107")
FIRST, LAST = Column("first", "firstName", (NAME,), "sha256"), Column("last", "lastName", (NAME,), "sha256")
BY_CALL = Removal(says="a call", source="https://example.com")


def provider(name: str, **settings: str) -> AnyProvider:
    """Return a provider that calls nobody."""
    if name == "webhook":
        return installed()[name](_webhook_settings(), None)  # type: ignore[arg-type] # rows need no transport
    account = sandbox_account(Target(name), "http://127.0.0.1:9", **settings)
    return account.kind(account.settings, None)  # type: ignore[arg-type] # rows need no transport


def _webhook_settings() -> Any:
    return installed()["webhook"].settings_type.model_validate({"base_url": "https://example.com", "secret": "x"})


def made(of: AnyProvider, users: Sequence[AudienceUser]) -> Rows:
    """Return the rows of a removal."""
    *_, rows = make_removal_rows(of, enumerate(users))
    return rows


async def removes(self: Any, audience_id: str, rows: Any) -> Removed:
    """Stand for the call of a specimen."""
    raise NotImplementedError


REMOVES: dict[str, Any] = {"removal": BY_CALL, "remove": removes, "rates": {"upload": (), "remove": ()}}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("facebook", ["edge-1", sha("jane@example.com"), sha("14155550100")]),
        ("tiktok", [sha("jane@example.com"), sha("+14155550100")]),
        ("klaviyo", {"email": "jane@example.com", "phone_number": "+14155550100", "external_id": "edge-1"}),
        ("webhook", {"email": "jane@example.com", "phone": "+14155550100", "edgeTagId": "edge-1"}),
    ],
)
def test_a_row_has_what_identifies_somebody_alone_and_nothing_else(name: str, row: object) -> None:
    assert [msgspec.json.decode(one) for one in made(provider(name), [JANE]).rows] == [row]


@pytest.mark.parametrize("name", ALL)
def test_names_and_postal_codes_alone_identify_nobody(name: str) -> None:
    assert made(provider(name), [PLACED]).rejected == [(0, Rejection(None, "no_identifier"))]


def test_a_customer_of_another_currency_leaves_a_value_based_audience_all_the_same() -> None:
    valued = provider("facebook", value_from="profit", value_currency="EUR")
    assert isinstance(valued.row(JANE), Rejection)
    assert valued.removal_maker.names == ("EXTERN_ID", "EMAIL", "PHONE")
    assert len(made(valued, [JANE]).rows) == 1


@pytest.mark.parametrize("name", ALL)
def test_hashes_leave_where_they_came_in_and_only_there(name: str) -> None:
    rows = made(provider(name), [AudienceUser(email=sha("jane@example.com").upper())])
    if name == "klaviyo":
        assert rows.rejected == [(0, Rejection("email", "hashed"))]
    else:
        assert sha("jane@example.com").encode() in bytes(rows.rows[0])


@pytest.mark.parametrize("name", ALL)
def test_only_what_identifies_is_told_of(name: str) -> None:
    users = [msgspec.structs.replace(JANE, first_name="null", postal_code="--", email="<jane@example.com>", phone="?")]
    rows = made(provider(name), users)
    assert [key.partition(":")[0] for key in (*rows.repaired, *rows.dropped)] == ["email", "phone"]


@pytest.mark.parametrize("name", ALL)
def test_rows_that_are_made_at_once_are_those_that_are_made_one_by_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, users = provider(name), [*AWKWARD, *make_people(2000)]
    at_once = made(of, users)
    monkeypatch.setattr(of.removal_maker, "make_many", no_rows)
    one_by_one = made(of, users)
    assert [bytes(row) for row in at_once.rows] == [bytes(row) for row in one_by_one.rows]
    assert at_once.indexes == one_by_one.indexes
    assert sorted(at_once.rejected, key=str) == sorted(one_by_one.rejected, key=str)
    assert (at_once.repaired, at_once.dropped) == (one_by_one.repaired, one_by_one.dropped)


def test_who_makes_no_row_alone_goes_with_all_around_and_what_never_had_a_column_stays() -> None:
    address = Together(members(FIRST, LAST))
    consent = Column("consent", None, value=lambda user, settings: "GRANTED", says="says so", is_identifier=False)
    template = RowTemplate(
        row={"ids": [members(ADDRESS), {"address": address}, members(NUMBER)], "consent": consent, "v": {"x": 1}},
        usable=[[ADDRESS], [NUMBER], [FIRST, LAST]],
        rejects=[ADDRESS, NUMBER],
        source="example.com",
    )
    found = removal_template_of(template)
    assert found.row == {"ids": [{"e": ADDRESS}, {"p": NUMBER}], "v": {"x": 1}}
    assert (found.usable, found.rejects) == ([[ADDRESS], [NUMBER]], [ADDRESS, NUMBER])
    whole = one_row(ADDRESS)
    assert removal_template_of(whole).row is whole.row


@pytest.mark.parametrize(
    ("template", "declared", "fault"),
    [
        (one_row(ADDRESS), {"removal": BY_CALL}, "write `remove`"),
        (one_row(ADDRESS), {"remove": removes}, "declare `removal`"),
        (one_row(ADDRESS), {**REMOVES, "rates": {"upload": ()}}, "give it a rate"),
        (one_row(FIRST, LAST, usable=[[FIRST, LAST]]), REMOVES, "a template of its own"),
        (one_row(ADDRESS), {**REMOVES, "row": lambda self, user: 1}, "`removal_row`"),
        (None, REMOVES, "`removal_row`"),
    ],
)
def test_a_declaration_that_can_t_hold_is_refused_when_it_is_loaded(template: Any, declared: Any, fault: str) -> None:
    with pytest.raises(DeclarationError, match=fault):
        kind_of(template, **declared)


def test_a_setting_that_there_is_not_can_t_switch_a_removal_s_column() -> None:
    switched = Column("e", "email", (TRIM,), when=When(setting="nothing"))
    own = Removal(says="a call", source="https://example.com", template=one_row(switched))
    with pytest.raises(DeclarationError, match="no setting nothing"):
        kind_of(one_row(ADDRESS), **{**REMOVES, "removal": own})


@pytest.mark.parametrize("wrong", [{"says": " "}, {"source": ""}, {"keeps": -1}])
def test_a_removal_says_how_and_where_from_and_never_keeps_less_than_nobody(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError):
        Removal(**{"says": "a call", "source": "https://example.com", **wrong})


def test_a_template_and_limits_of_its_own_come_before_those_of_the_addition() -> None:
    limits = Limits(rows=3, body=100)
    own = Removal(says="a call", source="https://example.com", template=one_row(NUMBER), limits=limits)
    of = provider_of(one_row(ADDRESS, NUMBER), **{**REMOVES, "removal": own})
    assert of.removal_limits == limits
    assert provider_of(one_row(ADDRESS), **REMOVES).removal_limits == Declared.limits
    assert [bytes(row) for row in made(of, [JANE]).rows] == [b'{"p":"%b"}' % sha("+14155550100").encode()]


def test_rows_by_hand_are_taken_as_they_are_and_one_that_fails_is_rejected_alone() -> None:
    def removal_row(self: Any, user: AudienceUser) -> object:
        del self
        return {"mine": user.email.upper()} if user.email else 1 / 0

    of = provider_of(one_row(ADDRESS), **REMOVES, removal_row=removal_row, identifiers=lambda self, row: ["mine"])
    rows = made(of, [JANE, PLACED])
    assert [bytes(row) for row in rows.rows] == [b'{"mine":"JANE@EXAMPLE.COM"}']
    assert rows.rejected == [(1, Rejection(None, "bug"))]
    assert of.removal_identifiers({"mine": "x"}) == ["mine"]


def test_a_user_too_large_for_a_removal_is_rejected_by_the_removal_s_own_limit() -> None:
    limits = Limits(rows=3, body=100, row=20)
    of = provider_of(
        one_row(ADDRESS), **{**REMOVES, "removal": Removal(says="a call", source="https://x", limits=limits)}
    )
    assert made(of, [JANE]).rejected == [(0, Rejection(None, "too_large"))]


async def test_a_platform_that_declares_nothing_cannot_remove() -> None:
    of = provider_of(one_row(ADDRESS))
    with pytest.raises(RejectError, match="cannot_remove"):
        await of.remove("1", [])
    with pytest.raises(RejectError, match="cannot_remove"):
        next(users_to_rows.make_removal_rows(of, [(0, JANE)]))
    assert of.placeholder_answer(None) is None


def test_rows_of_a_removal_are_made_of_the_account_s_settings() -> None:
    with_phone = Column("p", "phone", (TRIM,), when=When(setting="with_phone", value=True))
    template = one_row(ADDRESS, with_phone, usable=[[ADDRESS], [with_phone]])
    kind = kind_of(template, **REMOVES)
    assert [kind(Settings(with_phone=on), None).removal_maker.names for on in (True, False)] == [("e", "p"), ("e",)]
