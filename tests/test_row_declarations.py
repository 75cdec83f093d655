"""What becomes of values in declared rows beside the usual, and what a declaration may not say."""

import base64
import hashlib
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from test_row_templates import Settings, row, sha

from cli.pages.platforms_page import platforms_page
from cli.preview.explanation import explain
from providers.kit.provider import Limits, Provider
from providers.kit.rows import normalisers as normalise
from providers.kit.rows import rules
from providers.kit.rows.body_template import CELL, ROWS, Body, Known
from providers.kit.rows.columns import Column, DeclarationError, RowTemplate, Together, members
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rules import EMAIL, PHONE, TRIM, Rule, When
from providers.kit.rows.template_interpreter import RowMaker
from providers.kit.rows.users_to_rows import make_rows, row_function
from providers.kit.settings import AccountSettings
from schemas.records import AudienceUser, Purchase
from schemas.target import Target

ADDRESS = Column("e", "email", (EMAIL,), "sha256")
NUMBER = Column("p", "phone", (PHONE,), "sha256")
HASH = sha("jane@example.com")
WAY = " -> "


def one_row(*columns: Column, **more: Any) -> RowTemplate:
    """Return a template of members, of which the first makes a row."""
    return RowTemplate(**{"row": members(*columns), "usable": [[columns[0]]], "rejects": [], "source": "x"} | more)


class Declared(Provider[Settings, Any]):
    """A platform that takes what its template says."""

    name = "acme"
    settings_type = Settings
    limits = Limits(rows=10, body=1000)
    rates = {"upload": ()}  # noqa: RUF012 -- the base class says that it belongs to the class
    account_id = "1"

    async def find_audience(self, platform_name: str) -> str:
        return platform_name

    async def create_audience(self, platform_name: str, audience_type: Any) -> str:
        raise NotImplementedError

    async def send(self, audience_id: str, rows: Any) -> Any:
        raise NotImplementedError


def kind_of(template: RowTemplate, **members_of_it: Any) -> Any:
    """Return a provider with a template, checked as it is when it is loaded."""
    kind: Any = type("Acme", (Declared,), {"template": template, "__doc__": "Acme.", **members_of_it})
    kind.check_declaration()
    return kind


def provider_of(template: RowTemplate, **members_of_it: Any) -> Any:
    """Return one of its accounts, which calls nobody."""
    return kind_of(template, **members_of_it)(Settings(), None)


def told(template: RowTemplate, user: AudienceUser, **members_of_it: Any) -> dict[str, str]:
    """Return what `--explain` says of a user: the verdict under no name, the way to each column under the column's."""
    kind = kind_of(template, **members_of_it)
    account: Any = SimpleNamespace(target=Target("acme"), kind=kind, settings=Settings())
    first, *lines = explain([account], [user], 0)
    columns = [line.strip().partition("  ") for line in lines]
    return {"": first.strip(), **{column: way.strip() for column, _, way in columns}}


def dropped(template: RowTemplate, user: AudienceUser) -> dict[str, int]:
    """Return what is counted as dropped of a user's row."""
    *_, made = make_rows(provider_of(template), [(0, user)])
    assert len(made.rows) == 1
    return dict(made.dropped)


# Values that are hashes already.


@pytest.mark.parametrize("column", [ADDRESS, Column("e", "email", (EMAIL,)), NUMBER], ids=str)
def test_a_hash_that_is_kept_has_no_fault(column: Column) -> None:
    user = AudienceUser(email=HASH, phone=HASH)
    assert told(one_row(column), user)[column.name].endswith(f"a SHA-256 already, kept: {HASH}")


def test_a_kept_hash_is_no_reason_to_reject_who_lacks_something_else() -> None:
    template = one_row(ADDRESS, NUMBER, usable=[[ADDRESS, NUMBER]], rejects=[ADDRESS, NUMBER])
    assert row(template, AudienceUser(email=HASH)) == Rejection(None, "no_identifier")
    assert row(template, AudienceUser(email=HASH, phone="x")) == Rejection("phone", "not_a_phone")
    refused = Column("e", "email", (EMAIL,), hashed="refused")
    assert row(one_row(refused, rejects=[refused]), AudienceUser(email=HASH)) == Rejection("email", "hashed")


def test_what_looks_like_a_hash_but_goes_as_a_text_is_not_shown_and_what_was_given_never_is() -> None:
    identifier = Column("id", "edgeTagId", (TRIM,), hashed="text")
    for value in (HASH, base64.b64encode(hashlib.sha256(b"x").digest()).decode()):
        assert value not in told(one_row(identifier), AudienceUser(edge_tag_id=value))["id"]
    assert told(one_row(ADDRESS), AudienceUser(email=HASH.upper()))["e"].count(HASH) == 1


# Rows by hand beside a template.


def shouted(self: Any, user: AudienceUser) -> object:
    """Return a row as no template says it."""
    del self
    return user.email.upper() if user.email else Rejection(None, "no_identifier")


def test_a_row_that_is_written_by_hand_is_the_one_that_replays_send_too() -> None:
    provider = provider_of(one_row(ADDRESS), row=shouted)
    user = AudienceUser(email="jane@example.com")
    assert provider.bare_row(user) == provider.row(user) == "JANE@EXAMPLE.COM"
    for with_attributes in (True, False):
        assert row_function(provider, with_attributes=with_attributes)(user)[0] == "JANE@EXAMPLE.COM"


def test_a_row_that_is_written_by_hand_is_told_to_be_so() -> None:
    kind = kind_of(one_row(ADDRESS), row=shouted)
    assert "made by code" in str(told(one_row(ADDRESS), AudienceUser(email="a@example.com"), row=shouted))
    page = platforms_page({"acme": kind})
    assert "made by code" in page
    assert "SHA-256 |" not in page


def test_attributes_beside_a_row_by_hand_need_a_bare_row_by_hand() -> None:
    attribute = Column("f", "firstName", is_identifier=False, is_attribute=True)
    with pytest.raises(DeclarationError, match="f: replays leave out attributes, but `row` is by hand"):
        kind_of(one_row(ADDRESS, attribute), row=shouted)
    kind_of(one_row(ADDRESS, attribute), row=shouted, bare_row=shouted)


# Settings.


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (When(setting="with_phon"), "there is no setting with_phon \\(did you mean with_phone\\?\\)"),
        (When(setting="with_phone", value="true"), "with_phone is never 'true'"),
        (When(setting="consent", value=1), "consent is never 1"),
    ],
)
def test_a_setting_that_there_is_not_or_a_value_that_it_never_has_is_refused(when: When, words: str) -> None:
    switched = Column("p", "phone", (PHONE,), when=when)
    ruled = Column("p", "phone", (PHONE, rules.NO_PLUS.only(when.setting, when.value)))
    for column in (switched, ruled):
        with pytest.raises(DeclarationError, match=f"p: .*{words}"):
            kind_of(one_row(ADDRESS, column))


def test_a_value_that_a_setting_may_have_is_none_of_the_author_s_mistakes() -> None:
    for when in (
        When(setting="with_phone", value=False),
        When(setting="consent", value="yes"),
        When(setting="consent"),
    ):
        kind_of(one_row(ADDRESS, Column("p", "phone", (PHONE,), when=when)))


# What is remembered.


def test_long_values_are_not_remembered() -> None:
    calls: list[str] = []

    def make(settings: AccountSettings) -> Any:
        del settings
        return lambda text, country: calls.append(text) or text  # type: ignore[func-returns-value] # notes the call

    noted = Column("f", "firstName", (Rule(says="noted", make=make),), "sha256")
    maker = RowMaker(one_row(noted), Settings())
    for text in ("y" * 64, "z" * 65) * 2:
        maker.make(AudienceUser(first_name=text))
    assert [text[0] for text in calls] == ["y", "z", "z"]
    normalise.forget_phones()
    normalise.phone("030/" + "1" * 1000, "DE")
    assert normalise._slow_phone.cache_info().currsize == 0


def test_a_rule_of_another_package_that_looks_at_the_country_makes_each_user_s_own_cell() -> None:
    def make(settings: AccountSettings) -> Any:
        del settings
        return lambda text, country: f"{text}{country}"

    placed = Column("f", "firstName", (Rule(says="with the country", make=make),), "sha256")
    maker = RowMaker(one_row(placed), Settings())
    made = [maker.make(AudienceUser(first_name="Jane", country=country))[0] for country in ("US", "DE")]
    assert made == [{"f": sha("Janeus")}, {"f": sha("Janede")}]


# Several columns of one field, and what goes together.


def test_a_value_that_two_columns_lose_is_counted_once_and_one_that_a_column_sends_not_at_all() -> None:
    identifier = Column("id", "edgeTagId", (TRIM,), hashed="text")
    plain = Column("plain", "email", (EMAIL,), hashed="refused")
    other = Column("other", "email", (rules.NO_SPACES, EMAIL), "sha256")
    template = one_row(identifier, plain, other)
    assert dropped(template, AudienceUser(edge_tag_id="1", email="nobody")) == {"email: not_an_email": 1}
    assert dropped(template, AudienceUser(edge_tag_id="1", email=HASH)) == {}


FIRST = Column("first", "firstName", (rules.NAME,), "sha256")
ZIP = Column("zip", "postalCode", (rules.POSTAL_CODE,))
HALVES = RowTemplate(
    row={**members(ADDRESS), "address": Together(members(FIRST, ZIP))},
    usable=[[ADDRESS], [FIRST]],
    rejects=[ADDRESS],
    source="x",
)


def test_what_goes_whole_or_not_at_all_says_so_on_the_page_and_of_a_user() -> None:
    assert "| `address/zip`, with all around it or not at all |" in platforms_page({"acme": kind_of(HALVES)})
    ways = told(HALVES, AudienceUser(email="jane@example.com", first_name="Jane"))
    assert ways["first"].endswith(
        f"SHA-256: {sha('jane')} -> left out, as what it belongs to is not whole without `zip`: nothing"
    )
    assert ways["zip"] == "postalCode: not given"
    whole = told(HALVES, AudienceUser(first_name="Jane", postal_code="94107"))
    assert "left out" not in whole["first"] + whole["zip"]


def test_the_half_of_what_goes_together_makes_no_row() -> None:
    assert row(HALVES, AudienceUser(first_name="Jane")) == Rejection(None, "no_identifier")
    assert row(HALVES, AudienceUser(first_name="Jane", postal_code="1")) == {
        "address": {"first": sha("jane"), "zip": "1"}
    }


# Functions of the provider's.


def spelt(user: AudienceUser, settings: Any) -> tuple[str, ...]:
    """Return two hashes of a number."""
    del settings
    return (sha(user.phone), sha(user.phone[1:])) if user.phone else ()


def test_a_function_s_column_says_what_it_reads_and_what_goes() -> None:
    column = Column("p", None, value=spelt, says="both spellings", reads=["phone", "country"], form="sha256")
    page = platforms_page({"acme": kind_of(one_row(column))})
    assert "| `phone`, `country` | `p` | SHA-256 | both spellings | - | 1 |" in page
    assert "It never gets `edgeTagId`, `email`, `firstName`, `lastName`, `postalCode` and `purchase`." in page
    way = told(one_row(column), AudienceUser(phone="+14155550100", country="US"))["p"]
    assert way == f"phone +•••, country U••• -> both spellings: {sha('+14155550100')}, {sha('14155550100')}"


@pytest.mark.parametrize("nothing", [None, "", (), [], {}], ids=str)
def test_an_empty_value_of_a_function_makes_no_row(nothing: object) -> None:
    column = Column("v", None, value=lambda *_: nothing, says="nothing")
    assert row(one_row(column), AudienceUser()) == Rejection(None, "no_identifier")
    assert row(one_row(Column("v", None, value=lambda *_: 0, says="zero")), AudienceUser()) == {"v": 0}


def rejecting(user: AudienceUser, settings: Any) -> object:
    """Reject who has another currency."""
    del settings
    currency = user.purchase.currency if user.purchase else None
    return Rejection("purchase.currency", "other_currency") if currency == "USD" else currency


def test_who_is_rejected_for_an_attribute_is_rejected_of_bare_rows_too() -> None:
    attribute = Column("c", "purchase", value=rejecting, says="EUR", is_identifier=False, is_attribute=True)
    provider = provider_of(one_row(ADDRESS, attribute))
    user = AudienceUser(email="jane@example.com", purchase=Purchase(currency="USD"))
    rejection = Rejection("purchase.currency", "other_currency")
    assert provider.row(user) == provider.bare_row(user) == rejection
    assert row_function(provider, with_attributes=False)(user)[0] == rejection
    euros = AudienceUser(email="jane@example.com", purchase=Purchase(currency="EUR"))
    assert provider.row(euros) == {"e": HASH, "c": "EUR"}
    assert provider.bare_row(euros) == {"e": HASH}


def test_a_text_attribute_that_rejects_gives_both_kinds_of_rows_the_same_reason() -> None:
    attribute = Column("f", "firstName", (rules.NAME,), is_identifier=False, is_attribute=True)
    provider = provider_of(one_row(ADDRESS, attribute, rejects=[attribute]))
    assert provider.row(AudienceUser(first_name="--")) == Rejection("firstName", "no_letters")
    assert provider.bare_row(AudienceUser(first_name="--")) == Rejection("firstName", "no_letters")


# Identifiers of a list.


def test_an_item_s_fixed_texts_tell_which_identifier_it_is() -> None:
    device = Column("device", "edgeTagId", (TRIM,), hashed="text")
    items = [{"idType": "EMAIL", "idValue": ADDRESS}, {"idType": "DEVICE", "idValue": device}]
    template = RowTemplate(row={"ids": items}, usable=[[ADDRESS], [device]], rejects=[], source="x")
    maker = RowMaker(template, Settings())
    users = AudienceUser(edge_tag_id="1"), AudienceUser(email="a@example.com", edge_tag_id="1")
    assert [maker.identifiers(row(template, user)) for user in users] == [["device"], ["e", "device"]]


# Explanations of bad ends.


def test_a_row_that_is_too_large_or_a_function_that_fails_is_explained_as_it_is_previewed() -> None:
    user = AudienceUser(email="jane@example.com")
    small = Limits(rows=1, body=1000, row=10)
    assert told(one_row(ADDRESS), user, limits=small)[""] == "acme: user 0 is rejected: too_large"

    def fails(user: AudienceUser, settings: Any) -> object:
        raise ValueError(user.email)

    ways = told(one_row(ADDRESS, Column("v", None, value=fails, says="fails")), user)
    assert ways[""] == "acme: user 0 is rejected: bug"
    assert ways["v"] == "of the account -> fails: nothing -> bug"


def test_a_currency_that_is_dropped_shows_at_the_column_of_purchases() -> None:
    column = Column("purchase", "purchase", is_identifier=False)
    user = AudienceUser(email="jane@example.com", purchase=Purchase(currency="nan", profit=1.0))
    way = told(one_row(ADDRESS, column), user)["purchase"].split(WAY)
    assert way[1].startswith("purchase.currency dropped (")


# Blanks.


@pytest.mark.parametrize("steps", [(), (rules.LOWER,), (rules.UPPER,), (rules.at_most(9),)], ids=str)
@pytest.mark.parametrize("form", ["plain", "sha256", "sha256_base64"])
@pytest.mark.parametrize("field", ["edgeTagId", "firstName"])
def test_a_blank_value_is_no_identifier(steps: Iterable[Rule], form: Any, field: str) -> None:
    column = Column("x", field, tuple(steps), form, hashed="text")
    user = AudienceUser(edge_tag_id=" \t", first_name=" ")
    assert row(one_row(column), user) == Rejection(None, "no_identifier")


# What a declaration may not say.

ATTRIBUTE = Column("a", "firstName", (TRIM,), is_identifier=False, is_attribute=True)


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: Column("e", "emial"), "e: users have no field emial \\(did you mean email\\?\\)"),
        (lambda: Column("e", "email", EMAIL), "e: rules: write a list of rules"),  # type: ignore[arg-type] # what is refused
        (lambda: Column("e", "email", source=" "), "e: source: name the place"),
        (lambda: Column("e", "email", is_attribute=True), "e: an attribute is no identifier"),
        (lambda: Column("e", "email", reads=["phone"]), "e: reads: only a function"),
        (lambda: Column("e", None, value=spelt, says="x", reads=["fone"]), "no field fone"),
        (lambda: members(ADDRESS, Column("e", "phone")), "members: two columns have the name e"),
        (lambda: one_row(ADDRESS, usable=[ADDRESS]), "usable: write groups of columns"),
        (lambda: one_row(ADDRESS, usable=ADDRESS), "usable: write groups of columns"),
        (lambda: one_row(ADDRESS, rejects=ADDRESS), "rejects: write a list"),
        (lambda: one_row(ADDRESS, source=""), "source: name the place"),
        (lambda: one_row(ADDRESS, row=[ADDRESS, ADDRESS]), "e: the same column stands twice"),
        (lambda: one_row(ADDRESS, row=[ADDRESS, Column("e", "phone")]), "two columns have the same name: e"),
        (lambda: one_row(ATTRIBUTE), "a: bare rows lack attributes"),
        (lambda: one_row(ADDRESS, ATTRIBUTE, usable=[[ADDRESS], [ATTRIBUTE]]), "a: bare rows lack attributes"),
        (lambda: one_row(ADDRESS, row=Together([ADDRESS, ATTRIBUTE])), "e: bare rows would lack all"),
        (lambda: Body(shape={"users": Known("row")}), "no place for ROWS"),
        (lambda: Body(shape=[ROWS, {"cell": CELL}]), "CELL stands in `cell` only"),
    ],
)
def test_a_mistake_is_refused_where_it_stands_and_says_what_to_write(declare: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declare()


# Bodies.


def test_cells_may_hold_numbers() -> None:
    body = Body(shape=ROWS, cell={"v": CELL}, empty={})
    filled = msgspec.json.encode(body.filled([msgspec.Raw(b'["x","",0,1.50,90071992547409931]')]))
    assert filled == b'[[{"v":"x"},{},{"v":0},{"v":1.50},{"v":90071992547409931}]]'


@pytest.mark.parametrize("given", [" 1_000", "1_000", "007", "", "٣", "1.0"])
def test_an_id_that_goes_as_a_number_is_one_as_json_writes_it(given: str) -> None:
    body = Body(shape={"id": Known("audience_id", as_number=True), "users": ROWS})
    with pytest.raises(ValueError, match="goes as a number is none"):
        body.filled([], audience_id=given)
