"""What is fast makes the same as what is general: rows at once as one by one, numbers by tables as by their library."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import msgspec
import phonenumbers
import pytest
import test_row_templates as specimens
from test_row_templates import Settings

from checks.equality import phones, rows
from checks.equality.people import make_person
from providers.kit.phones.national_numbers import plain_form
from providers.kit.phones.numbering_plans import ordinary_numbers, without_trunk
from providers.kit.provider import Provider
from providers.kit.rows import normalisers as normalise
from providers.kit.rows import rules
from providers.kit.rows.bulk.user_columns import Remembered
from providers.kit.rows.columns import Cells, Column, Form, RowTemplate, Together, members
from providers.kit.rows.normalisers import LONGEST_REMEMBERED, REMEMBERED
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rules import Rule, Step
from providers.kit.rows.template_interpreter import RowMaker
from providers.kit.rows.users_to_rows import make_rows
from providers.kit.settings import AccountSettings
from schemas.records import AudienceUser, Purchase
from schemas.repairs import emails
from schemas.repairs.ordinary_values import ordinary_addresses, ordinary_ids
from schemas.repairs.users import repair

SEED = int(os.environ.get("SEED", "20261128"))


def test_rows_made_at_once_are_those_made_one_by_one() -> None:
    """Each provider with each of its settings: rows, indexes, rejections, what was repaired and dropped."""
    verdict = rows.compare(SEED, 30_000)
    assert verdict.differences == []
    assert verdict.fast > verdict.cases / 3


def test_numbers_are_read_and_judged_as_the_library_does() -> None:
    verdict = phones.compare(SEED, 30_000)
    assert verdict.differences == []
    assert verdict.fast > verdict.cases / 8


# Shapes that no provider of ours has.


def weight(user: AudienceUser, settings: Settings) -> object:
    """Return what a function of a provider's may: a value, several, nothing, a Rejection, or it fails."""
    del settings
    letters = len(user.email or "") % 7
    made = [letters, 'a"b\\é', (), None, Rejection("email", "not_an_email"), {"n": [letters, None]}, ("x", "y")][
        letters
    ]
    if user.first_name == "Ada":
        raise ValueError(letters)
    return made


def failing(settings: AccountSettings) -> Callable[[str, str | None], str]:
    """Return a step of another package's that fails of some texts."""
    del settings
    return lambda text, country: {"a": text, "b": str(country)}[text[:1]]


FAILS = Rule(says="fails", make=failing)
PARTS: list[Any] = [
    Column("plus", "email", (rules.EMAIL, rules.NO_PLUS), "sha256"),
    Column("plain", "email", hashed="text"),
    Column("id", "edgeTagId", is_identifier=False),
    Column("lower", "email", (rules.TRIM, rules.LOWER)),
    Column("spaces", "email", (rules.NO_SPACES, rules.EMAIL, rules.GMAIL), "sha256_base64"),
    Column("upper", "edgeTagId", (rules.UPPER,), hashed="refused"),
    Column("short", "edgeTagId", (rules.TRIM, rules.at_most(7))),
    Column("fails", "firstName", (FAILS,), "sha256"),
    Column("fails2", "edgeTagId", (FAILS,)),
    Column("country", "country", (rules.COUNTRY, rules.UPPER), hashed="refused"),
    Column("name", "lastName", (rules.NAME,)),
    Column("digits", "phone", (rules.PHONE, rules.NO_PLUS), "sha256_base64", "refused"),
    Column("valid", "phone", (rules.PHONE, rules.VALID_PHONE)),
    Column("spend", "purchase", is_identifier=False),
    Column("money", "purchase.currency", is_identifier=False),
    Column("amount", "purchase.total7Days", is_identifier=False),
    Column("attribute", "lastName", (rules.TRIM,), is_identifier=False, is_attribute=True),
    Column("weight", "email", value=weight, says="its weight", is_identifier=False),
    Column("hidden", None, value=weight, says="its weight", is_identifier=False, is_attribute=True),
]


def templates() -> Iterator[RowTemplate]:
    """Yield specimens, and made-up rows of some parts in every shape."""
    yield from (specimens.GOOGLE, specimens.X, specimens.CONTACT, specimens.DROP, specimens.LOOK_UP)
    yield from (specimens.MICROSOFT, specimens.linkedin("ADD"))
    chance = random.Random(SEED)
    for _ in range(40):
        parts = chance.sample(PARTS, chance.randrange(2, 9))
        usable = [one for one in parts if not one.is_attribute]
        if not usable:
            continue
        groups = [[chance.choice(usable)], usable[:2]]
        yield RowTemplate(row=shape(chance, parts), usable=groups, rejects=[], source="made up")


def shape(chance: random.Random, parts: list[Any]) -> Any:
    """Return a row of all parts: by position, in objects and lists, nested, whole or not at all, with fixed values."""
    if len({part.is_attribute for part in parts}) == 1 and chance.random() < 0.2:
        return Together(shape(chance, parts))
    kind = chance.randrange(4)
    if kind == 0:
        return Cells(*parts)
    if kind == 1:
        return {"fixed": [1, {"a": "b{}'\"\\"}], **members(*parts), "empty": "", "none": {}}
    if kind == 2:
        return [chance.choice(("first", {"of": 1})), *parts]
    if len(parts) == 1:
        return parts[0]
    middle = chance.randrange(1, len(parts))
    inner = [shape(chance, parts[:middle]), shape(chance, parts[middle:])]
    return inner if chance.random() < 0.5 else {"{x}": inner[0], "y'\"": inner[1]}


@pytest.mark.parametrize("with_attributes", [True, False])
def test_rows_of_any_shape_made_at_once_are_those_made_one_by_one(with_attributes: bool) -> None:
    chance, made = random.Random(SEED), 0
    for template, region in product(templates(), (None, "DE")):
        maker = RowMaker(template, Settings(default_region=region), with_attributes=with_attributes)
        users = [make_person(chance) for _ in range(60)]
        found = maker.make_many(users)
        made += sum(row is not None for row in found)
        for user, row in zip(users, found, strict=True):
            assert row is None or bytes(row) == general_row(maker, user), (template.row, user)
    assert made > 300


class ReorderedUser(AudienceUser, frozen=True):
    """A user with a type of its own for one field, which msgspec then has last."""

    email: str | None = None


def test_users_of_a_type_of_their_own_become_the_same_rows() -> None:
    chance = random.Random(SEED)
    users = [make_person(chance) for _ in range(200)]
    others = [ReorderedUser(**msgspec.structs.asdict(user)) for user in users]
    for template in templates():
        maker = RowMaker(template, Settings())
        rows_of = [[row and bytes(row) for row in maker.make_many(some)] for some in (users, others)]
        assert rows_of[0] == rows_of[1]


def general_row(maker: RowMaker, user: AudienceUser) -> bytes:
    """Return what is to be sent of a user of whom there is nothing to tell, else fail."""
    repaired = repair(user)
    assert not repaired.repaired, repaired
    assert not repaired.dropped, repaired
    row, left_out = maker.make(repaired.user)
    assert not isinstance(row, Rejection), row
    assert not left_out, left_out
    return msgspec.json.encode(row)


def test_a_function_of_a_provider_s_sees_no_user_who_is_to_be_repaired() -> None:
    seen: list[AudienceUser] = []
    column = Column("seen", "email", value=lambda user, _: seen.append(user) or "x", says="notes it")  # type: ignore[func-returns-value] # notes it
    maker = RowMaker(RowTemplate(row=members(column), usable=[[column]], rejects=[], source="made up"), Settings())
    odd = [AudienceUser(email="mailto:jane@example.com"), AudienceUser(email="a@example.com", postal_code='="94107"')]
    odd += [
        AudienceUser(email="a@example.com", purchase=Purchase(currency="nan")),
        AudienceUser(email="a@example.com", phone="030/901820\u3000"),
    ]
    found = maker.make_many([*odd, AudienceUser(email=" A@Example.com")])
    assert [row and bytes(row) for row in found] == [None] * len(odd) + [b'{"seen":"x"}']
    assert seen == [AudienceUser(email=" A@Example.com")]


def shouting(settings: AccountSettings) -> Step:
    """Return a step of another package's."""
    del settings
    return lambda text, country: f"{text.upper()}!{country}"


@pytest.mark.parametrize("form", ["plain", "sha256", "sha256_base64"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("field", "ours"),
    [
        ("email", (rules.EMAIL, rules.GMAIL)),
        ("phone", (rules.PHONE, rules.NO_PLUS)),
        ("edgeTagId", (rules.TRIM, rules.at_most(1024))),
    ],
)
def test_a_rule_that_an_author_makes_of_one_of_ours_is_known_by_its_own_step_only(
    field: str, ours: tuple[Rule, ...], place: int, form: Form
) -> None:
    of_them = [replace(rule, make=shouting) if index == place else rule for index, rule in enumerate(ours)]
    column = Column("it", field, tuple(of_them), form)
    maker = RowMaker(RowTemplate(row=members(column), usable=[[column]], rejects=[], source="made up"), Settings())
    users = [AudienceUser(edge_tag_id="e1", email="a@example.com", phone="+14155550100", country="us")] * 3
    made = [msgspec.json.encode(maker.make(user)[0]) for user in users]
    assert [bytes(row or b"") or alone for row, alone in zip(maker.make_many(users), made, strict=True)] == made


def test_who_fails_is_rejected_as_a_bug_and_nobody_else() -> None:
    column = Column("name", "firstName", (FAILS,))
    template = RowTemplate(row=members(column), usable=[[column]], rejects=[], source="made up")
    kind: Any = type(
        "Acme", (Provider,), {"template": template, "limits": rows.ways()[0].provider.limits, "name": "acme"}
    )
    kind.__abstractmethods__ = frozenset()
    users = [AudienceUser(first_name=name) for name in ("ada", "chloe", "ada", "bob")]
    *_, made = make_rows(kind(Settings(), None), list(enumerate(users)))
    assert list(made.indexes) == [0, 2, 3]
    assert made.rejected == [(1, Rejection(None, "bug"))]


def test_no_user_at_all_makes_no_row() -> None:
    for way in rows.ways():
        assert list(make_rows(way.provider, [])) == []
        assert list(way.provider.maker.make_many([])) == []


# What is told at sight.


def test_what_is_told_to_be_ordinary_is_so() -> None:
    chance = random.Random(SEED)
    people = [make_person(chance) for _ in range(4_000)]
    given = [user.email or "" for user in people]
    for text, found in zip(given, ordinary_addresses(given), strict=True):
        assert not found or (emails.is_ordinary(text) and found.decode() == normalise.email(text))
    ids = [user.edge_tag_id or "" for user in people]
    for text, found in zip(ids, ordinary_ids(ids), strict=True):
        assert not found or (found.decode() == text and repair(AudienceUser(edge_tag_id=text)).user.edge_tag_id == text)


@pytest.mark.parametrize("tell", [ordinary_addresses, ordinary_ids, ordinary_numbers])
def test_a_value_with_a_line_s_end_is_told_by_itself(tell: Callable[[Sequence[str]], Sequence[bytes]]) -> None:
    usual = next(text for text in ("a@example.com", "edge-1", "+14155550100") if tell([text])[0])
    told = list(tell([usual, f"{usual}\n{usual}", f"{usual}\n", "", usual]))
    assert told == [usual.encode(), b"", b"", b"", usual.encode()]


def test_every_country_s_ordinary_numbers_are_those_without_what_is_dialled_within_it() -> None:
    codes = [str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE] + ["999", "210"]
    for code, digit in product(codes, "0123456789"):
        number = f"+{code}{digit}23456789"[:16]
        assert ordinary_numbers([number])[0] in (b"", number.encode())
        if ordinary_numbers([number])[0]:
            assert without_trunk(number) == number
    assert ordinary_numbers(["+5491123456789", "+541123456789", "+14155550100", "+491512345678"]) == [
        *(b"", b"+541123456789", b"+14155550100", b"+491512345678"),
    ]


def test_numbers_of_every_region_have_a_plain_form() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        form = plain_form(region.lower())
        assert form is not None
        assert form.plus_code == f"+{phonenumbers.country_code_for_region(region)}"
    assert plain_form("zz") is None


# Memory.


def test_what_is_remembered_has_a_bound_in_values_and_in_their_length() -> None:
    made: list[str] = []
    known = Remembered(lambda text: made.append(text) or "cell")  # type: ignore[func-returns-value] # notes it
    for number in range(3 * REMEMBERED):
        assert known[str(number)] == "cell"
        assert len(known) <= REMEMBERED
    kept = len(known)
    for _ in range(2):
        assert known["x" * (LONGEST_REMEMBERED + 1)] == known["y" * (LONGEST_REMEMBERED + 1)] == "cell"
    assert len(known) == kept
    assert len(made) == 3 * REMEMBERED + 4


def test_what_fails_is_not_remembered() -> None:
    known = Remembered(lambda text: dict[str, str]()[text])
    assert known["a"] is None
    assert not known
