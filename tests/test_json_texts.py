"""Numbers keep their digits, and half a surrogate pair spoils one field and no list."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.request.batch_form import parse_batch
from producer.request.numbers import number, number_text
from producer.request.surrogates import without_halves
from producer.request.unknown_names import total
from producer.request.users_json import PayloadError, parse_users
from schemas.records import AudienceUser
from schemas.repairs.users import repair

NUMBERS = [
    ("12345678901234567890123", "12345678901234567890123"),
    ("12345678901234567890124", "12345678901234567890124"),
    ("9007199254740993", "9007199254740993"),
    ("9007199254740993.0", "9007199254740993"),
    ("1.2345678901234567890123e22", "12345678901234567890123"),
    ("0.12345678901234567890123", "0.12345678901234567890123"),
    ("-12345678901234567890123", "-12345678901234567890123"),
    ("1.2345678901234568e+22", "12345678901234568000000"),
    ("12345678901234568000000.0", "12345678901234568000000"),
    ("1e-7", "1e-7"),
    ("0.000001", "0.000001"),
    ("0.00001", "0.00001"),
    ("1.5e-10", "1.5e-10"),
    ("1e21", "1e+21"),
    ("1.5e300", "1.5e+300"),
    ("5.0", "5"),
    ("-0.0", "0"),
    ("0.1", "0.1"),
    ("4155550100.0", "4155550100"),
    ("1.00000000000000000000000000001e-99999", "0"),
]


@pytest.mark.parametrize(("written", "text"), NUMBERS)
@pytest.mark.parametrize("field", ["edgeTagId", "phone", "postalCode"])
def test_a_number_where_text_is_expected_keeps_its_digits_as_they_were_written(
    field: str, written: str, text: str
) -> None:
    user = msgspec.to_builtins(parse_users(b'[{"%b": %b}]' % (field.encode(), written.encode())).users[0])
    assert user == {field: text}


@pytest.mark.parametrize(("written", "text"), NUMBERS)
def test_the_id_of_a_session_keeps_its_digits_too(written: str, text: str) -> None:
    batch = b'{"sessionId": %b, "sequence": 1, "totalBatches": 1, "totalUsers": 1}' % written.encode()
    assert parse_batch(batch)[0].session_id == text


@pytest.mark.parametrize("written", ["1e400", "true", "[]", "{}", "9" * 5000])
def test_what_is_no_text_and_no_number_of_a_usual_length_is_refused_by_its_place(written: str) -> None:
    with pytest.raises(PayloadError, match=r"users"):
        parse_users(b'[{"phone": %b}]' % written.encode())


@given(st.integers(-(10**40), 10**40), st.integers(-(10**40), 10**40))
def test_two_ids_never_become_one(one: int, other: int) -> None:
    found = parse_users(b'[{"edgeTagId": %d}, {"edgeTagId": %d}]' % (one, other)).users
    assert (found[0].edge_tag_id == found[1].edge_tag_id) == (one == other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_literal_is_the_same_number_in_its_text(value: object) -> None:
    literal = f"{value:f}"
    assert float(number_text(number(literal))) == float(literal)


HALVES = ['"\\ud83d"', '"a\\udc00b"', '"\\ud83d\\u0041"', '"\\ud83d\\ud83d\\ude00"', '"\\uD83Dx"', '"\\\\\\ud83d"']


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("field", ["email", "firstName", "edgeTagId"])
def test_half_a_surrogate_pair_makes_its_field_unusable_and_nothing_else(field: str, half: str) -> None:
    data = f'[{{"email": "a@example.com", "lastName": "Doe"}}, {{"phone": "+14155550100", "{field}": {half}}}]'
    one, other = (repair(user) for user in parse_users(data.encode()).users)
    assert one.user == AudienceUser(email="a@example.com", last_name="Doe")
    assert other.user == AudienceUser(phone="+14155550100")
    assert other.dropped == ((field, "damaged_text"),)


def test_half_a_pair_in_a_member_that_nobody_knows_does_no_harm() -> None:
    assert total(parse_users(b'[{"email": "a@example.com", "\\ud83d": "\\udc00"}]').unknown) == 1
    batch = b'{"sessionId": 1, "sequence": 1, "totalBatches": 1, "totalUsers": 1, "x": "\\ud83d"}'
    assert [one.name for one in parse_batch(batch)[1]] == ["x"]


@given(st.text(max_size=30))
def test_whole_pairs_and_escaped_backslashes_stay_as_they_are(text: str) -> None:
    written = json.dumps([text, text.encode("unicode_escape").decode()]).encode()
    assert without_halves(written) == written


@given(st.text(st.characters() | st.sampled_from("\ud83d\ude00\udfff"), max_size=10))
def test_any_text_of_json_s_grammar_can_be_read(text: str) -> None:
    written = json.dumps([{"firstName": text}]).encode()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert parse_users(written).users[0].first_name == whole
