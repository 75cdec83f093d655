"""Columns find their fields, and what is not certain, or must never leave, is told."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_client.columns.continuation import continuation_of
from audience_client.columns.folding import fold
from audience_client.columns.full_names import split_name
from audience_client.columns.header_names import HEADER_NAMES, field_of
from audience_client.columns.mapping import ColumnMapping, MappingOptions
from audience_client.columns.masking import mask
from audience_client.columns.protected import is_protected
from audience_client.columns.resolving import map_columns
from audience_client.errors import AmbiguousColumnsError, MappingError


def mapped(
    columns: Sequence[str],
    *maps: tuple[str, str],
    ignored: Sequence[str] = (),
    samples: Sequence[Sequence[str]] = (),
    only_consented: bool = False,
    consents: Sequence[tuple[str, str]] = (),
) -> ColumnMapping:
    """Map columns of a file."""
    options = MappingOptions(maps=maps, ignored=ignored, only_consented=only_consented, consents=consents)
    return map_columns("customers.csv", columns, samples, options)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("E-Mail", "email"),
        ("EMAIL_ADDRESS", "email"),
        (" Email 2 ", "email"),
        ("E-mail 1 - Value", "email"),
        ("Adresse e\u2011mail", "email"),
        ("Téléphone", "phone"),
        ("MobilePhone", "phone"),
        ("PRÉNOM", "firstName"),
        ("Nachname", "lastName"),
        ("Country / Region", "country"),
        ("Address 1 - Zip", "postalCode"),
        ("Mailing Zip/Postal Code", "postalCode"),
        ("edge_tag_id", "edgeTagId"),
        ("total7Days", "purchase.total7Days"),
        ("Emails", "email"),
        ("mail_addresses", "email"),
        ("Telefonnummern", "phone"),
        ("mobileNumbers", "phone"),
        ("traits_email", "email"),
        ("properties.email.value", "email"),
        ("data.attributes.phone_number", "phone"),
        ("attributes.location.zip", "postalCode"),
        ("merge_fields.FNAME", "firstName"),
        ("emails.value", "email"),
        ("emailAddresses.address", "email"),
        ("phoneNumbers.number", "phone"),
        ("defaultEmailAddress.emailAddress", "email"),
        ("billing_address.phone", "phone"),
        ("addresses.countryCode", "country"),
        ("name.given", "firstName"),
        ("emails.type", None),
        ("phones.carrier", None),
        ("address.value", None),
        ("owner.email", None),
        ("Customer ID", None),
        ("Email opened", None),
        ("CC", None),
        ("", None),
        ("12", None),
    ],
)
def test_names_are_known_without_case_accents_blanks_and_punctuation(name: str, field: str | None) -> None:
    assert field_of(name) == field


def test_no_name_of_the_table_means_two_fields_and_each_is_folded() -> None:
    names = [name for names in HEADER_NAMES.values() for name in names.split()]
    assert len(names) == len(set(names))
    assert [name for name in names if fold(name) != name] == []


def test_several_columns_of_a_kind_go_from_the_customer_s_own_to_that_of_an_address() -> None:
    columns = ["Default Address Phone", "Phone", "email 3", "email", "email 2", "Mobile"]
    fields = mapped(columns).fields
    assert fields["phone"] == (1, 5, 0)
    assert fields["email"] == (3, 4, 2)


def test_what_is_said_goes_before_the_table() -> None:
    mapping = mapped(["email", "E-Mail privat", "addr.zip"], ("email", "E-Mail privat"), ("postalCode", "addr.zip"))
    assert mapping.fields == {"email": (1,), "postalCode": (2,)}
    assert mapped(["email", "Email 2"], ("email", "Email 2"), ("email", "email")).fields == {"email": (1, 0)}
    assert mapped(["a", "b"], ("email", "#2")).fields == {"email": (1,)}
    assert mapped(["email", "x"], ("Postal_Code", "X")).fields == {"email": (0,), "postalCode": (1,)}
    assert mapped(["email", "phone"], ignored=["Phone"]).fields == {"email": (0,)}


@pytest.mark.parametrize(
    ("maps", "ignored", "told"),
    [
        ([("mail", "email")], [], '"mail" is no field; there are edgeTagId, email'),
        ([("email", "emial")], [], 'there is no column "emial"; is "email" meant?'),
        ([("email", "#9")], [], 'there is no column "#9"'),
        ([("email", "email"), ("phone", "email")], [], 'the column "email" is mapped twice'),
        ([("email", "email")], ["email"], 'the column "email" is both mapped and ignored'),
        ([("email", "password_hash")], [], 'the column "password_hash" is of passwords, keys or cards'),
        ([("email", "Card Number")], [], "which are never sent"),
        ([("phone", "note")], [], '2 columns are called "note"; say #4 or #5 instead'),
        ([], ["nothing"], '--ignore-column: there is no column "nothing"'),
    ],
)
def test_what_is_said_of_columns_and_can_t_be_is_told(
    maps: list[tuple[str, str]], ignored: list[str], told: str
) -> None:
    with pytest.raises(MappingError) as caught:
        mapped(["email", "password_hash", "Card Number", "note", "note"], *maps, ignored=ignored)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("column", "samples"),
    [
        ("password", []),
        ("Customer Password Hash", []),
        ("rp_token", []),
        ("card.number", []),
        ("Credit Card", []),
        ("IBAN", []),
        ("CVV", []),
        ("Passwort", []),
        ("extra", ["$2y$10$abcdefghijklmnopqrstuv", ""]),
        ("extra", ["5f4dcc3b5aa765d61d8327deb882cf99:q1w2e3r4:1"]),
        ("reference", ["4242 4242 4242 4242", "5555555555554444"]),
    ],
)
def test_columns_that_must_never_leave_are_known_by_name_and_by_value(column: str, samples: list[str]) -> None:
    assert is_protected(column, samples)
    with pytest.raises(MappingError, match="never sent"):
        mapped(["email", column], ("edgeTagId", column), samples=[["ada@example.com", value] for value in samples])


@pytest.mark.parametrize(
    ("column", "samples"),
    [
        ("Force Password Reset", ["0"]),
        ("Card Last4", ["4242"]),
        ("Gift Card", ["yes"]),
        ("phone", ["+14155550100"]),
        ("Email_SHA256", ["a" * 64]),
        ("id", ["7210448301122"]),
    ],
)
def test_other_columns_are_not_taken_for_those(column: str, samples: list[str]) -> None:
    assert not is_protected(column, samples)


def test_personal_data_that_is_not_uploaded_is_named_and_what_never_leaves_too() -> None:
    columns = ["email", "Birthday", "Contact", "Emails opened", "password", "Street", "Spouse", "Plan"]
    samples = [["ada@example.com", "", "+44 7911 123456", "3", "x", "", "alan@example.com", "gold"]]
    mapping = mapped(columns, samples=samples)
    assert mapping.unmapped_personal == ("Birthday", "Contact", "Street", "Spouse")
    assert 'never sent, as they hold passwords, keys or cards: "password"' in mapping.notices


def test_full_names_are_split_only_where_asked() -> None:
    (notice,) = mapped(["email", "Name"]).notices
    assert '--map name="Name"' in notice
    assert mapped(["email", "Name"], ("name", "Name")).fields == {"email": (0,), "name": (1,)}
    assert mapped(["email", "Name", "Last Name"]).notices == ()


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (["email", "Nombre", "Apellidos"], {"email": (0,), "firstName": (1,), "lastName": (2,)}),
        (["email", "Nombre"], {"email": (0,)}),
        (["email", "Prénom", "Nom"], {"email": (0,), "firstName": (1,), "lastName": (2,)}),
        (["email", "Nom"], {"email": (0,)}),
        (["email", "Vorname", "Name"], {"email": (0,), "firstName": (1,), "lastName": (2,)}),
    ],
)
def test_a_name_that_may_be_whole_is_a_part_beside_the_other_part_only(
    columns: list[str], fields: dict[str, tuple[int, ...]]
) -> None:
    assert mapped(columns).fields == fields


@pytest.mark.parametrize(
    ("full", "parts"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Lovelace, Ada", ("Ada", "Lovelace")),
        ("Anne Marie van der Berg", ("Anne Marie", "van der Berg")),
        ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
        ("Ada King Lovelace", ("Ada King", "Lovelace")),
        ("  Ada   Lovelace ", ("Ada", "Lovelace")),
        ("Van Morrison", ("Van", "Morrison")),
        ("Ada", ("Ada", "")),
        ("", ("", "")),
    ],
)
def test_a_full_name_is_cut_before_the_last_name(full: str, parts: tuple[str, str]) -> None:
    assert split_name(full) == parts


def test_ambiguity_is_an_error_that_a_terminal_can_ask_about() -> None:
    samples = [["ada@example.com", "alan@example.com", "x"]]
    with pytest.raises(AmbiguousColumnsError) as caught:
        mapped(["Login", "Partner", "Plan"], samples=samples)
    assert caught.value.field == "email"
    assert caught.value.candidates == ("Login", "Partner")
    with pytest.raises(AmbiguousColumnsError) as caught:
        mapped(["Reach 1", "Plan"], samples=[["+44 7911 123456", "x"]])
    assert caught.value.field == "phone"


def test_the_same_header_twice_is_an_error_where_it_would_mix_addresses() -> None:
    with pytest.raises(MappingError, match='row 1: the columns 2, 4 have the same header "Zip"'):
        mapped(["email", "Zip", "Country", "Zip"])
    assert mapped(["email", "Zip", "Country", "Zip"], ("postalCode", "#4")).fields["postalCode"] == (3,)
    assert mapped(["email", "email", "phone", "phone"]).fields == {"email": (0, 1), "phone": (2, 3)}
    assert mapped(["email", "note", "note"]).fields == {"email": (0,)}


def test_money_is_sent_only_where_somebody_says_what_it_is() -> None:
    mapping = mapped(["email", "Total Spent", "Currency"])
    assert mapping.fields == {"email": (0,)}
    assert '--map purchase.profit="Total Spent"' in mapping.notices[0]
    fields = mapped(["email", "Total Spent", "Currency"], ("profit", "Total Spent")).fields
    assert fields == {"email": (0,), "purchase.profit": (1,), "purchase.currency": (2,)}


def test_consent_is_not_looked_at_unasked_and_that_is_told() -> None:
    (notice,) = mapped(["email", "Accepts Email Marketing", "HasOptedOutOfEmail"]).notices
    assert notice.startswith('consent was not looked at: "Accepts Email Marketing", "HasOptedOutOfEmail"')
    asked = mapped(["email", "Accepts Email Marketing", "HasOptedOutOfEmail"], only_consented=True)
    assert asked.notices == ()
    assert [(consent.column, consent.way) for consent in asked.consents] == [(1, "agreed"), (2, "refused")]
    with pytest.raises(MappingError, match="no column of consent is known"):
        mapped(["email", "phone"], only_consented=True)


@pytest.mark.parametrize(
    ("name", "left_in", "left_out"),
    [
        ("Accepts Email Marketing", ("yes", "TRUE", "subscribed"), ("", "no", "maybe", "2024-03-01")),
        ("Acepta marketing", ("sí", "si"), ("", "no")),
        ("Unsubscribed", ("no", "false"), ("", " ", "yes", "1", "maybe")),
        ("Unsubscribed At", ("", " "), ("2024-03-01", "yes")),
        ("UNSUB_TIME", ("",), ("2024-03-01 10:00:00",)),
        ("Do not contact", ("0",), ("true", "x", "")),
    ],
)
def test_a_yes_leaves_in_of_refusals_a_no_and_of_their_times_nothing(
    name: str, left_in: Sequence[str], left_out: Sequence[str]
) -> None:
    (consent,) = mapped(["email", name], only_consented=True).consents
    assert [consent.agrees(value) for value in left_in] == [True] * len(left_in)
    assert [consent.agrees(value) for value in left_out] == [False] * len(left_out)


def test_a_named_column_of_consent_is_looked_at_besides_those_that_are_known() -> None:
    columns = ["email", "Opt-in E-Mail", "Werbesperre", "Bestätigt am", "Unsubscribed At"]
    said = [("yes", "Opt-in E-Mail"), ("email-no", "Werbesperre"), ("yes-at", "#4")]
    mapping = mapped(columns, consents=said, samples=[["ada@example.com", "ja", "nein", "2026-01-01", ""]])
    assert mapping.only_consented
    assert [(consent.column, consent.way, consent.channel) for consent in mapping.consents] == [
        (1, "agreed", "any"),
        (2, "refused", "email"),
        (3, "agreed at", "any"),
        (4, "refused at", "any"),
    ]
    assert [(line.field, line.column) for line in mapping.shown()[1:]] == [
        ("consent", "Opt-in E-Mail"),
        ("refusal (email)", "Werbesperre"),
        ("consent since", "Bestätigt am"),
        ("refusal since", "Unsubscribed At"),
    ]
    assert (mapping.notices, mapping.unmapped_personal) == ((), ())
    (named,) = mapped(["email", "Newsletter"], consents=[("no", "Newsletter")]).consents
    assert named.way == "refused"
    (left,) = mapped(columns, consents=[("yes", "#2")], ignored=["Unsubscribed At"]).consents
    assert left.column == 1


def test_a_time_of_agreement_has_digits_that_are_not_zeros() -> None:
    (consent,) = mapped(["email", "Confirmed"], consents=[("yes-at", "Confirmed")]).consents
    values = ["2026-01-01", "1767225600", "", " ", "0000-00-00 00:00:00", "NULL", "no", "0"]
    assert [consent.agrees(value) for value in values] == [True, True, *[False] * 6]


@pytest.mark.parametrize(
    ("consents", "ignored", "told"),
    [
        ([("yes", "Optim")], [], 'customers.csv: --consent: there is no column "Optim"; is "Opt-in" meant?'),
        ([("yes", "Opt-in"), ("no", "#2")], [], 'the column "Opt-in" is of consent twice; name it once'),
        ([("yes", "Opt-in")], ["Opt-in"], 'the column "Opt-in" is of consent and ignored'),
        ([("perhaps", "Opt-in")], [], "there are yes, yes-at, no and no-at"),
        ([("yes", "yes-when=opt in")], [], '"yes-when" is nothing that a column tells; there are yes, yes-at, no and'),
        ([("yes", "no=Optim")], [], 'there is no column "no=Optim"'),
        ([("yes", "Note")], [], '2 columns are called "Note"; say #3 or #4 instead'),
    ],
)
def test_a_column_of_consent_that_can_t_be_is_told(
    consents: Sequence[tuple[str, str]], ignored: Sequence[str], told: str
) -> None:
    with pytest.raises(MappingError) as caught:
        mapped(["email", "Opt-in", "Note", "Note"], consents=consents, ignored=ignored)
    assert told in str(caught.value)


def test_a_column_is_told_of_once() -> None:
    columns = ["email", "Name", "Email Status", "Unsubscribed At", "Mail consent", "Signed up", "Left"]
    row = ["ada@example.com", "Ada", "yes", "2026-01-01", "yes", "2026-01-01 10:00", "01/02/2026"]
    mapping = mapped(columns, samples=[row])
    assert mapping.unmapped_personal == ()
    assert [sum(column in notice for notice in mapping.notices) for column in columns[1:4]] == [1, 1, 1]


def test_further_items_of_an_order_are_of_its_customer_with_or_without_the_address() -> None:
    orders = continuation_of(["Name", "Email", "Financial Status", "Lineitem name"])
    assert orders is not None
    first = ["#1001", "a@example.com", "paid", "Shirt"]
    assert orders.continues(first, ["#1001", "a@example.com", "", "Trousers"])
    assert orders.continues(first, ["#1001", "", "", "Trousers"])
    assert not orders.continues(first, ["#1002", "a@example.com", "", "Trousers"])
    assert not orders.continues(first, ["#1001", "b@example.com", "", "Trousers"])
    assert not orders.continues(first, ["#1001", "a@example.com", "paid", "Trousers"])


def test_the_name_of_an_order_is_not_offered_as_somebody_s() -> None:
    assert mapped(["Name", "Email", "Lineitem name"]).notices == ()
    assert "full names" in mapped(["Name", "Email"]).notices[0]


def test_lines_that_go_on_are_told_by_the_header_of_their_shop() -> None:
    assert continuation_of(["email", "firstname"]) is None
    assert continuation_of(["_address_city", "firstname"]) is None
    magento = continuation_of(["email", "firstname", "_address_city"])
    assert magento is not None
    assert magento.continues(["a", "b", "c"], ["", "", "d"])
    assert not magento.continues(["a", "b", "c"], ["", "b", "d"])
    assert not magento.continues(["a", "b", "c"], ["", "", ""])


@given(st.text(max_size=40))
def test_a_masked_value_shows_no_two_letters_or_digits_that_follow_each_other(value: str) -> None:
    shown = mask(value)
    assert len(shown) <= 25
    assert not any(first.isalnum() and second.isalnum() for first, second in pairwise(shown))


def test_masking_leaves_the_form() -> None:
    assert [mask(value) for value in ("ada@example.com", "+44 7911 123456", "Jörg", "DE", "")] == [
        "a**@e******.c**",
        "+4* 7*** 1*****",
        "J***",
        "D*",
        "",
    ]
