"""Rows of many users are made in turns: whatever lists and countries come, others on the event loop get theirs."""

import random
import re
from collections.abc import Iterator
from itertools import count, pairwise

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from checks.equality import rows
from checks.equality.people import make_person
from providers.kit.phones import compiled_plans, national_numbers, plan_preparation
from providers.kit.phones.national_numbers import national
from providers.kit.phones.numbering_plans import is_valid_phone
from providers.kit.phones.plan_preparation import prepared
from providers.kit.rows.normalisers import phone
from providers.kit.rows.users_to_rows import FEW, FILLED, MANY, make_rows, next_count, warm_up
from schemas.records import AudienceUser

PIECES = 4
"""Patterns of one piece: three short ones, or one that is long."""


def frozen() -> float:
    return 0.0


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Forget all plans, and return the patterns that are compiled from then on."""
    for known in (compiled_plans._plan, compiled_plans.plan_of_region, compiled_plans._regions_behind):
        known.cache_clear()
    national_numbers.plain_form.cache_clear()
    plan_preparation._compiled().clear()
    patterns: list[str] = []
    compile_pattern = re.compile

    def noting(pattern: str, flags: int = 0) -> object:
        patterns.append(pattern)
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(re, "compile", noting)
    return patterns


def of_all_countries(form: int) -> Iterator[tuple[str, str]]:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        if number := phonenumbers.example_number(region):
            yield region, phonenumbers.format_number(number, form)


def test_all_that_numbers_of_a_country_need_is_compiled_before_them_and_in_pieces(compiling: list[str]) -> None:
    numbers = dict(of_all_countries(PhoneNumberFormat.NATIONAL))
    users = [AudienceUser(phone=text, country=region) for region, text in numbers.items()]
    compiling.clear()
    for _ in prepared(users, None):
        assert len(compiling) <= PIECES
        compiling.clear()
    compiling.clear()
    for region, text in numbers.items():
        found = national(text, region)
        assert found is None or is_valid_phone(found)
    assert [pattern for pattern in compiling if "\\Z" in pattern] == []
    assert list(prepared(users, None)) == []


def test_a_number_with_its_country_code_needs_no_country_of_its_user(compiling: list[str]) -> None:
    numbers = [text for _, text in of_all_countries(PhoneNumberFormat.INTERNATIONAL)]
    for _ in prepared([AudienceUser(phone=text) for text in numbers], None):
        compiling.clear()
    assert all(is_valid_phone(phone(text) or "") for text in numbers)
    assert [pattern for pattern in compiling if "\\Z" in pattern] == []


def test_users_without_numbers_need_no_plan(compiling: list[str]) -> None:
    assert list(prepared([AudienceUser(email="jane@example.com", country="DE")], "US")) == []
    assert compiling == []


def test_what_is_made_once_is_made_at_the_start_of_an_account(compiling: list[str]) -> None:
    for way in rows.ways():
        warm_up(way.provider, with_attributes=way.with_attributes)
    compiling.clear()
    user = AudienceUser(email="jane@example.com", phone="(415) 555-0100", country="US")
    *_, made = make_rows(rows.ways()[0].provider, [(0, user)])
    assert len(made.rows) == 1
    assert [pattern for pattern in compiling if "\\Z" in pattern] == []


@pytest.mark.parametrize("way", rows.ways()[::5], ids=lambda way: type(way.provider).__name__)
def test_rows_are_the_same_however_soon_others_are_to_have_a_turn(way: rows.Way) -> None:
    chance = random.Random(7)
    users = list(enumerate(make_person(chance) for _ in range(400)))
    ticks = count()
    *_, hurried = make_rows(way.provider, users, with_attributes=way.with_attributes, clock=lambda: next(ticks) / 1000)
    *_, calm = make_rows(way.provider, users, with_attributes=way.with_attributes, clock=frozen)
    assert hurried == calm


def test_others_get_a_turn_between_users_who_are_looked_at_one_by_one() -> None:
    users = [AudienceUser(email=f"mailto:jane{number}@example.com") for number in range(100)]
    ticks = count()
    turns = make_rows(rows.ways()[0].provider, enumerate(users), clock=lambda: next(ticks) / 1000)
    ended = [0, *(len(made.indexes) for made in turns)]
    assert ended[-1] == len(users)
    assert max(later - before for before, later in pairwise(ended)) <= 3


@given(st.floats(0.0001, 0.2))
def test_rows_in_bulk_come_to_fill_a_slice_of_time_and_no_more(cost: float) -> None:
    filled, counts = [], [FEW]
    for _ in range(20):
        filled.append(counts[-1] * cost)
        counts.append(next_count(counts[-1], filled[-1]))
    assert counts[-1] in (FEW, MANY) or filled[-1] > FILLED / 2
    assert all(part < 1 for count, part in zip(counts, filled, strict=False) if count > FEW)


def test_a_slice_that_waited_for_the_processor_halves_what_comes_next_at_most() -> None:
    assert next_count(200, 50.0) == 100
    assert next_count(FEW, 50.0) == FEW
    assert next_count(100, 0.0) == 200
