"""What a declaration of rows can say, shown by small specimens of platforms that are hard, and by what it refuses."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest

from providers.kit.rows import rules
from providers.kit.rows.body_template import AUDIENCE_ID, ROWS, Body, Known, of_one_kind
from providers.kit.rows.columns import Cells, Column, DeclarationError, RowTemplate, Together, members
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rules import EMAIL, GMAIL, NAME, NO_PLUS, PHONE, POSTAL_CODE, TRIM, UPPER, When, at_most
from providers.kit.rows.template_interpreter import RowMaker
from providers.kit.settings import AccountSettings
from schemas.records import AudienceUser

JANE = AudienceUser(
    edge_tag_id=" edge-1 ",
    email="Jane.Doe+News@Gmail.com",
    phone="(415) 555-0100",
    first_name="Jane",
    last_name="O'Neil",
    country="United States",
    postal_code="94107-1234",
)


class Settings(AccountSettings):
    """An account of any of the specimens."""

    base_url: str = "https://api.example.com"
    with_phone: bool = True
    consent: str | None = None


def sha(text: str) -> str:
    """Return the hash that a platform is to be given."""
    return hashlib.sha256(text.encode()).hexdigest()


def base64_sha(text: str) -> str:
    """Return the same as base64 of its bytes."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def row(template: RowTemplate, user: AudienceUser, *, with_attributes: bool = True, **settings: Any) -> Any:
    """Return what a template makes of a user, as it is read from JSON."""
    made, _ = RowMaker(template, Settings(**settings), with_attributes=with_attributes).make(user)
    return made if isinstance(made, Rejection) else msgspec.json.decode(msgspec.json.encode(made))


def raw(template: RowTemplate, *users: AudienceUser, **settings: Any) -> list[msgspec.Raw]:
    """Return rows as they are sent."""
    return [msgspec.Raw(msgspec.json.encode(row(template, user, **settings))) for user in users]


def encoded(body: Body, rows: list[msgspec.Raw], **known: object) -> bytes:
    """Return a body as it is sent."""
    return msgspec.json.encode(body.filled(rows, **known))


# Google's Data Manager: a list of identifiers of several kinds, an address whole or not at all, consent in each row.


def consent(user: AudienceUser, settings: Settings) -> str | None:
    """Return what the account says of all its customers."""
    del user
    return settings.consent


HASHED_EMAIL = Column("emailAddress", "email", (rules.NO_SPACES, EMAIL, GMAIL), "sha256")
PLAIN_DOTS = Column("emailAddressWithDots", "email", (EMAIL,), "sha256")
HASHED_PHONE = Column("phoneNumber", "phone", (PHONE,), "sha256", when=When(setting="with_phone", value=True))
ADDRESS = [
    Column("givenName", "firstName", (NAME,), "sha256"),
    Column("familyName", "lastName", (NAME,), "sha256"),
    Column("regionCode", "country", (rules.COUNTRY, UPPER), hashed="refused"),
    Column("postalCode", "postalCode", (POSTAL_CODE,), hashed="refused"),
]
CONSENT = Column("adUserData", None, value=consent, says="`<NAME>_CONSENT`", is_identifier=False)
IDENTIFIERS = [members(HASHED_EMAIL), members(HASHED_PHONE), Together({"address": members(*ADDRESS)})]
GOOGLE = RowTemplate(
    row={"userData": {"userIdentifiers": IDENTIFIERS}, "consent": members(CONSENT)},
    usable=[[HASHED_EMAIL], [HASHED_PHONE], ADDRESS],
    rejects=[HASHED_EMAIL, HASHED_PHONE],
    source="Google",
)
GOOGLE_REMOVAL = RowTemplate(
    row={"userData": {"userIdentifiers": IDENTIFIERS}},
    usable=GOOGLE.usable,
    rejects=GOOGLE.rejects,
    source="Google, `audienceMembers:remove`, which refuses consent",
)
JANE_AT_GOOGLE = [
    {"emailAddress": sha("janedoe@gmail.com")},
    {"phoneNumber": sha("+14155550100")},
    {
        "address": {
            "givenName": sha("jane"),
            "familyName": sha("oneil"),
            "regionCode": "US",
            "postalCode": "94107",
        }
    },
]


def test_a_list_holds_identifiers_of_several_kinds_and_each_row_its_consent() -> None:
    assert row(GOOGLE, JANE, consent="CONSENT_GRANTED") == {
        "userData": {"userIdentifiers": JANE_AT_GOOGLE},
        "consent": {"adUserData": "CONSENT_GRANTED"},
    }
    assert row(GOOGLE_REMOVAL, JANE, consent="CONSENT_GRANTED") == {"userData": {"userIdentifiers": JANE_AT_GOOGLE}}


def test_an_address_goes_whole_or_not_at_all_and_whole_makes_a_row_alone() -> None:
    half = msgspec.structs.replace(JANE, postal_code=None)
    assert row(GOOGLE, half) == {"userData": {"userIdentifiers": JANE_AT_GOOGLE[:2]}}
    nameless = AudienceUser(first_name="Jane", last_name="O'Neil", country="US", postal_code="94107")
    assert row(GOOGLE, nameless) == {"userData": {"userIdentifiers": JANE_AT_GOOGLE[2:]}}
    without_last = msgspec.structs.replace(nameless, last_name=None)
    assert row(GOOGLE, without_last) == Rejection(None, "no_identifier")


def test_a_setting_switches_a_column_with_all_that_it_is_good_for() -> None:
    assert row(GOOGLE, JANE, with_phone=False)["userData"]["userIdentifiers"] == [JANE_AT_GOOGLE[0], JANE_AT_GOOGLE[2]]
    only_phone = AudienceUser(phone="+14155550100")
    assert row(GOOGLE, only_phone, with_phone=False) == Rejection(None, "no_identifier")
    assert RowMaker(GOOGLE, Settings(with_phone=False)).names == (
        *("emailAddress", "givenName", "familyName", "regionCode", "postalCode", "adUserData"),
    )


def test_the_identifiers_of_a_row_are_found_in_lists_too() -> None:
    maker = RowMaker(GOOGLE, Settings())
    assert maker.identifiers(row(GOOGLE, JANE)) == [
        *("emailAddress", "phoneNumber", "givenName", "familyName", "regionCode", "postalCode"),
    ]
    assert maker.identifiers(row(GOOGLE, AudienceUser(phone="+14155550100"))) == ["phoneNumber"]


# LinkedIn: an object for each identifier that says its kind, and the verb in each row.


ID_VALUE = Column("idValue", "email", (EMAIL,), "sha256")
FIRST_NAME = Column(
    "firstName", "firstName", (TRIM, at_most(35)), hashed="refused", is_identifier=False, is_attribute=True
)


def linkedin(action: str) -> RowTemplate:
    """Return how an element of a batch looks that adds or removes."""
    user_ids = [{"idType": "SHA256_EMAIL", **members(ID_VALUE)}]
    element = {"action": action, "userIds": user_ids, **members(FIRST_NAME)}
    return RowTemplate(row=element, usable=[[ID_VALUE]], rejects=[ID_VALUE], source="LinkedIn")


def test_a_row_says_its_verb_and_the_kind_of_its_identifier_and_a_bare_one_has_no_attributes() -> None:
    user_ids = [{"idType": "SHA256_EMAIL", "idValue": sha("jane.doe+news@gmail.com")}]
    assert row(linkedin("ADD"), JANE) == {"action": "ADD", "userIds": user_ids, "firstName": "Jane"}
    assert row(linkedin("ADD"), JANE, with_attributes=False) == {"action": "ADD", "userIds": user_ids}
    assert row(linkedin("REMOVE"), JANE, with_attributes=False) == {"action": "REMOVE", "userIds": user_ids}
    rows = raw(linkedin("ADD"), JANE) + raw(linkedin("REMOVE"), JANE)
    assert msgspec.json.decode(encoded(Body(shape={"elements": ROWS}), rows))["elements"][1]["action"] == "REMOVE"


# Microsoft: one kind of identifier a call, the audience's id a number of 64 bits.


KINDS = [
    Column("Email", "email", (EMAIL,), "sha256"),
    Column("Phone", "phone", (PHONE, NO_PLUS), "sha256"),
    Column("CRM", "edgeTagId", (TRIM,), hashed="text"),
]
MICROSOFT = RowTemplate(row=members(*KINDS), usable=[[kind] for kind in KINDS], rejects=KINDS[:2], source="Microsoft")
APPLY = Body(
    shape={
        "CustomerListUserData": {
            "ActionType": Known("verb"),
            "AudienceId": Known("audience_id", as_number=True),
            "CustomerListItemSubType": Known("kind"),
            "CustomerListItems": ROWS,
        }
    }
)


def test_a_call_holds_identifiers_of_one_kind_and_each_knows_its_row() -> None:
    rows = raw(MICROSOFT, JANE, AudienceUser(email="a@example.com"), AudienceUser(edge_tag_id="edge-3"))
    found = {kind.name: list(of_one_kind(rows, kind.name)) for kind in KINDS}
    assert {kind: [position for position, _ in items] for kind, items in found.items()} == {
        "Email": [0, 1],
        "Phone": [0],
        "CRM": [0, 2],
    }
    items = [item for _, item in found["CRM"]]
    assert encoded(APPLY, items, audience_id="9007199254740993", kind="CRM", verb="Add") == (
        b'{"CustomerListUserData":{"ActionType":"Add","AudienceId":9007199254740993,'
        b'"CustomerListItemSubType":"CRM","CustomerListItems":["edge-1","edge-3"]}}'
    )


# X: lists of identifiers of one kind in each row, and several operations around rows in one body.


X_EMAIL = [PLAIN_DOTS, HASHED_EMAIL]
X = RowTemplate(
    row={"email": X_EMAIL, "phone_number": [HASHED_PHONE]},
    usable=[[HASHED_EMAIL], [HASHED_PHONE]],
    rejects=X_EMAIL,
    source="X",
)
OPERATIONS = Body(shape=[{"operation_type": Known("verb"), "params": {"effective_at": Known("now"), "users": ROWS}}])


def test_a_row_holds_several_identifiers_of_a_kind() -> None:
    assert row(X, JANE) == {
        "email": [sha("jane.doe+news@gmail.com"), sha("janedoe@gmail.com")],
        "phone_number": [sha("+14155550100")],
    }
    assert row(X, AudienceUser(email="a@example.com")) == {"email": [sha("a@example.com")] * 2}
    body = encoded(OPERATIONS, raw(X, AudienceUser(phone="+14155550100")), verb="Update", now="2026-01-01T00:00:00Z")
    assert msgspec.json.decode(body) == [
        {
            "operation_type": "Update",
            "params": {"effective_at": "2026-01-01T00:00:00Z", "users": [{"phone_number": [sha("+14155550100")]}]},
        }
    ]


def both_spellings(user: AudienceUser, settings: Settings) -> tuple[str, ...]:
    """Return two hashes of a number, for a platform whose pages disagree."""
    del settings
    return (sha(user.phone), sha(user.phone.removeprefix("+"))) if user.phone else ()


def test_a_function_of_the_provider_s_may_give_several_items_or_reject() -> None:
    spelt = Column("phone", "phone", value=both_spellings, says="both spellings")
    template = RowTemplate(row={"phone": [spelt]}, usable=[[spelt]], rejects=[], source="made up")
    assert row(template, AudienceUser(phone="+14155550100")) == {"phone": [sha("+14155550100"), sha("14155550100")]}
    assert row(template, AudienceUser()) == Rejection(None, "no_identifier")
    rows = raw(template, AudienceUser(phone="+1"), AudienceUser(phone="+2"))
    assert [place for place, _ in of_one_kind(rows, "phone")] == [0, 0, 1, 1]


# HubSpot: contacts are upserted by address, and their ids, known only then, are the rows of the list.


CONTACT_ID = Column("id", "email", (EMAIL,), hashed="refused")
CONTACT = RowTemplate(
    row={"idProperty": "email", **members(CONTACT_ID), "properties": {"firstname": FIRST_NAME}},
    usable=[[CONTACT_ID]],
    rejects=[CONTACT_ID],
    source="HubSpot",
)
LOOK_UP = RowTemplate(row=CONTACT_ID, usable=[[CONTACT_ID]], rejects=[CONTACT_ID], source="HubSpot")
MEMBERSHIP = Body(shape={"recordIdsToAdd": [], "recordIdsToRemove": ROWS})


def test_a_removal_s_row_is_what_a_profile_is_looked_up_by_and_the_ids_found_go_into_the_call() -> None:
    assert row(CONTACT, JANE) == {
        "idProperty": "email",
        "id": "jane.doe+news@gmail.com",
        "properties": {"firstname": "Jane"},
    }
    assert row(LOOK_UP, JANE) == "jane.doe+news@gmail.com"
    assert row(CONTACT, AudienceUser(email=sha("x"))) == Rejection("email", "hashed")
    found = [msgspec.Raw(b'"123"'), msgspec.Raw(b'"9007199254740993"')]
    assert encoded(MEMBERSHIP, found) == b'{"recordIdsToAdd":[],"recordIdsToRemove":["123","9007199254740993"]}'


# The Trade Desk: one value a row, base64, as lines of a file.


UNIFIED_ID = Column("EmailHashedUnifiedId2", "email", (EMAIL, GMAIL), "sha256_base64")
DROP = RowTemplate(row=UNIFIED_ID, usable=[[UNIFIED_ID]], rejects=[UNIFIED_ID], source="The Trade Desk")


def test_a_row_is_one_value_in_base64_and_a_given_hash_becomes_base64_too() -> None:
    users = (JANE, AudienceUser(email=sha("user@example.com").upper()))
    rows = raw(DROP, *users)
    lines = "\n".join(msgspec.json.decode(row, type=str) for row in rows)
    assert lines == f"{base64_sha('janedoe@gmail.com')}\n{base64_sha('user@example.com')}"
    assert base64_sha("user@example.com") == "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="  # UID2's own example
    assert RowMaker(DROP, Settings()).identifiers(row(DROP, JANE)) == ["EmailHashedUnifiedId2"]


# What TikTok and Meta know only at the call stands in their own modules; here with both verbs.


def test_what_is_known_only_at_the_call_may_stand_in_every_cell_and_around_all_rows() -> None:
    rows = raw(RowTemplate(row=Cells(*KINDS[:2]), usable=[[KINDS[0]]], rejects=[], source="made up"), JANE)
    body = Body(
        shape={"action": Known("verb"), "batch_data": ROWS, "session": Known("session")},
        cell={"id": Known("cell"), "audience_ids": [AUDIENCE_ID]},
        empty={},
    )
    rows.append(msgspec.Raw(msgspec.json.encode(["x", ""])))
    sent = msgspec.json.decode(encoded(body, rows, verb="delete", audience_id="7", session={"batch_seq": 2}))
    assert sent["action"] == "delete"
    assert sent["batch_data"][1] == [{"id": "x", "audience_ids": ["7"]}, {}]
    assert [cell["audience_ids"] for cell in sent["batch_data"][0]] == [["7"], ["7"]]
    assert sent["session"] == {"batch_seq": 2}
    with pytest.raises(KeyError):
        body.filled(rows, audience_id="7")


ONE = Column("one", "email", (EMAIL,), "sha256")


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: Column("one", "mail"), "users have no field mail"),
        (lambda: Column("one", "purchase.profit", (TRIM,)), "purchase.profit is none"),
        (lambda: Column("one", "purchase.currency", hashed="refused"), "purchase.currency is none"),
        (lambda: Column("one", None), "name the field that it comes from"),
        (lambda: Column("one", "phone", value=both_spellings), "say in `says`"),
        (lambda: Column("one", "phone", (PHONE,), value=both_spellings, says="x"), "makes the whole value"),
        (lambda: RowTemplate(row=ONE, usable=[], rejects=[], source="x"), "name at least one column"),
        (lambda: RowTemplate(row=ONE, usable=[[KINDS[0]]], rejects=[], source="x"), "no part of the row: Email"),
        (lambda: RowTemplate(row=members(*KINDS), usable=[KINDS], rejects=KINDS, source="x"), "CRM: no rule says why"),
        (
            lambda: RowTemplate(row=[ONE, Column("one", "phone")], usable=[[ONE]], rejects=[], source="x"),
            "two columns have the same name",
        ),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused_where_it_stands(declare: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        declare()


HASHED = AudienceUser(email=sha("a@example.com").upper())


def test_a_hash_that_is_kept_has_no_fault_where_the_rest_makes_no_row() -> None:
    email, phone = Column("email", "email", (EMAIL,), "sha256"), Column("phone", "phone", (PHONE,), "sha256")
    together = RowTemplate(
        row=members(email, phone), usable=[[email, phone]], rejects=[email, phone], source="https://example.com"
    )
    assert row(together, HASHED) == Rejection(None, "no_identifier")
    assert row(together, AudienceUser(email="nobody")) == Rejection("email", "not_an_email")


def test_a_value_that_two_columns_lack_is_lost_once_and_one_that_another_column_has_not_at_all() -> None:
    plain, hashed = Column("e", "email", (EMAIL,)), Column("h", "email", (EMAIL,), "sha256", hashed="refused")
    phone, twice = Column("p", "phone", (PHONE,), "sha256"), Column("p2", "phone", (PHONE, NO_PLUS), "sha256")
    template = RowTemplate(
        row=members(plain, hashed, phone, twice),
        usable=[[plain], [phone]],
        rejects=[plain],
        source="https://example.com",
    )
    made, lacking = RowMaker(template, Settings()).make(AudienceUser(email="a@example.com", phone="12345"))
    assert "e" in str(made)
    assert list(lacking) == [Rejection("phone", "not_a_phone")]
    assert list(RowMaker(template, Settings()).make(HASHED)[1]) == []


@pytest.mark.parametrize("wrong", [{"form": "sha265"}, {"form": "SHA256_BASE64"}, {"hashed": "refuse"}])
def test_a_form_that_is_none_is_refused_with_those_that_there_are(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"^e: form is one of plain, sha256, sha256_base64, hashed one of kept"):
        Column("e", "email", (EMAIL,), **wrong)


def test_long_values_are_not_remembered() -> None:
    seen: list[str] = []

    def step(text: str, country: str | None) -> str:
        del country
        seen.append(text)
        return text

    column = Column("n", "firstName", (rules.Rule(says="counted", make=lambda _: step),), "sha256")
    maker = RowMaker(
        RowTemplate(row=members(column), usable=[[column]], rejects=[], source="https://example.com"), Settings()
    )
    for name in ("Ada", "Ada", "x" * 65, "x" * 65):
        maker.make(AudienceUser(first_name=name))
    assert seen == ["Ada", "x" * 65, "x" * 65]


def test_the_kind_that_an_item_says_tells_which_identifier_it_is() -> None:
    email, phone = Column("e", "email", (EMAIL,), "sha256"), Column("p", "phone", (PHONE,), "sha256")
    ids = [{"idType": "EMAIL", "idValue": email}, {"idType": "PHONE", "idValue": phone}]
    template = RowTemplate(row={"ids": ids}, usable=[[email], [phone]], rejects=[email], source="https://example.com")
    maker = RowMaker(template, Settings())
    assert maker.identifiers(row(template, AudienceUser(phone="+14155550100"))) == ["p"]
    assert maker.identifiers(row(template, AudienceUser(email="a@example.com"))) == ["e"]
    assert maker.identifiers(row(template, AudienceUser(email="a@example.com", phone="+14155550100"))) == ["e", "p"]


def test_columns_of_one_name_are_named() -> None:
    one, other = Column("e", "email", (EMAIL,)), Column("e", "email", (EMAIL,))
    with pytest.raises(DeclarationError, match="two columns have the same name: e"):
        RowTemplate(row={"a": one, "b": other}, usable=[[one]], rejects=[one], source="https://example.com")
