"""Code that is made for speed says what the general code says."""

import asyncio
import json
import os
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from test_codec import batches, users
from test_one_record import ORIGIN, batch
from test_writers import Registry

from checks.equality import codec, general_codec
from checks.equality.users import make_users
from checks.records.values import MUTATIONS
from ledger.receipts import judge
from producer.request.encoded_users import FARTHEST, encoded_users, slices
from producer.request.users_json import PayloadError, parse_users
from schemas.avro import users as generated
from schemas.avro.blocks import user_blocks
from schemas.avro.codec import (
    decode_audience_batch,
    encode_audience_batch,
    join_blocks,
    open_audience_batch,
)
from schemas.avro.framing import SINGLE_OBJECT, Framing, UndecodableError, schema_json, todays_writer
from schemas.avro.layouts import layout_of
from schemas.avro.varints import UnusualError, encode_long, read_long
from schemas.bounds import MAX_TEXT, MAX_USERS
from schemas.records import AudienceBatch, AudienceUser, Purchase
from streams.read.batch_decoding import batch_in, nothing
from streams.read.consumer_thread import Record

SEED = int(os.environ.get("SEED", "20261128"))
CASES = 40_000
SHARES = 8

ADA = b"\x02\x02a" + b"\x00" * 7
"""A user whose edgeTagId is `a`."""


def value_of(array: bytes) -> bytes:
    """Return a batch with these bytes for its users."""
    return join_blocks(batch(), [], SINGLE_OBJECT)[:-1] + array


@pytest.mark.parametrize("share", range(SHARES))
def test_generated_code_and_slices_say_what_general_code_says(share: int) -> None:
    verdict = codec.compare(SEED + share, CASES // SHARES)
    assert verdict.differences == [], f"SEED={SEED + share}"
    assert verdict.fast > verdict.cases / 3


def test_cases_are_of_every_kind_and_some_of_the_broken_ones_can_be_read() -> None:
    verdicts: Counter[bool] = Counter()
    for number in range(500):
        chance = random.Random(f"{SEED}-{number}")
        array = bytearray(codec.array_of(chance, make_users(chance, 3)))
        chance.choice(MUTATIONS)(chance, array)
        try:
            decode_audience_batch(value_of(bytes(array)))
        except UndecodableError:
            verdicts[False] += 1
        else:
            verdicts[True] += 1
    assert min(verdicts.values()) > 50


@seed(SEED)
@given(st.lists(users, max_size=20))
def test_users_are_encoded_as_fastavro_encodes_them(people: list[AudienceUser]) -> None:
    assert b"".join(generated.encode_users(people)) == general_codec.encode_users(people)


@seed(SEED)
@given(batches, st.binary(max_size=3), st.integers(0, 10_000), st.integers(0, 3))
@settings(max_examples=300)
def test_a_batch_is_decoded_or_refused_as_fastavro_does_whatever_is_changed_in_it(
    whole: AudienceBatch, other: bytes, place: int, left_out: int
) -> None:
    value = encode_audience_batch(whole)
    place %= len(value)
    for one in (value, value[:place] + other + value[place + left_out :]):
        assert codec.fault_of_value(one, SINGLE_OBJECT) is None


@pytest.mark.parametrize(
    "array",
    [
        b"\x02\x01\x02a" + b"\x00" * 8,
        b"\x02\x82\x00\x02a" + b"\x00" * 8,
        b"\x02\x02\x82" + b"\x80" * 10 + b"\x00a" + b"\x00" * 8,
        b"\xff" * 9 + b"\x01\x00\x02" + ADA + b"\x00",
    ],
    ids=["a branch from behind", "a branch in two bytes", "a length in twelve bytes", "a block of -2^63 users"],
)
def test_what_fastavro_is_laxer_about_is_left_to_it(array: bytes) -> None:
    with pytest.raises(UnusualError):
        generated.decode_users(array, 0)
    with pytest.raises(UnusualError):
        generated.count_users(array, 0)
    value = value_of(array)
    assert decode_audience_batch(value).users == [AudienceUser(edge_tag_id="a")]
    assert open_audience_batch(value, SINGLE_OBJECT, nothing).users == 1


@pytest.mark.parametrize(
    "array",
    [
        b"",
        b"\x02",
        b"\x02" + ADA,
        b"\x02" + ADA[:-1],
        b"\x02\x04" + ADA[1:] + b"\x00",
        b"\x02\x02\x01a" + ADA[3:] + b"\x00",
        b"\x02\x02\x7ea" + ADA[3:] + b"\x00",
        b"\x02\x02\xfe\xff\xff\xff\x0fa" + ADA[3:] + b"\x00",
        b"\x02\x02\x02\xff" + ADA[3:] + b"\x00",
        b"\x02\x02\x06\xed\xa0\x80" + ADA[3:] + b"\x00",
        b"\x02\x02\x02\xc3\x02\x02\xa9" + ADA[4:] + b"\x00",
        b"\x02" + b"\x00" * 7 + b"\x02\x00\x02\x00\x00\x00",
        b"\x04" + ADA + b"\x00",
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + ADA + b"\x00",
        b"\x02" + ADA + b"\x00\x00",
    ],
    ids=[
        *("nothing", "no user", "no end", "a user cut short", "no such branch", "a negative length"),
        *("a length beyond the end", "a length far beyond it", "no UTF-8", "half a surrogate pair"),
        *("a character in two texts", "a number cut short", "fewer users", "users without end", "more behind"),
    ],
)
def test_wrong_users_are_undecodable_to_who_needs_them_and_to_who_does_not(array: bytes) -> None:
    with pytest.raises((UnusualError, IndexError, ValueError)):
        generated.count_users(array, 0)
    value = value_of(array)
    with pytest.raises(UndecodableError) as told:
        decode_audience_batch(value)
    with pytest.raises(UndecodableError) as counted:
        open_audience_batch(value, SINGLE_OBJECT, nothing)
    assert str(told.value) == str(counted.value)


def test_a_text_is_undecodable_from_the_length_on_that_none_may_have() -> None:
    for text, is_good in (("\u00e9" * MAX_TEXT, True), ("x" * (MAX_TEXT + 1), False)):
        value = encode_audience_batch(batch(users=[AudienceUser(last_name=text)] * 3))
        for is_wanted in (nothing, lambda _: True):
            if is_good:
                assert open_audience_batch(value, SINGLE_OBJECT, is_wanted).users == 3
                continue
            with pytest.raises(UndecodableError):
                open_audience_batch(value, SINGLE_OBJECT, is_wanted)


def test_more_users_than_there_may_be_are_told_as_such() -> None:
    value = value_of(encode_long(MAX_USERS + 1) + b"\x00" * 8 * (MAX_USERS + 1) + b"\x00")
    with pytest.raises(UndecodableError, match=f"^more than {MAX_USERS} users$"):
        open_audience_batch(value, SINGLE_OBJECT, nothing)
    with pytest.raises(UndecodableError, match=f"^more than {MAX_USERS} users$"):
        decode_audience_batch(value)


def test_the_ledger_needs_no_user_to_judge_a_record_and_says_what_accounts_say() -> None:
    people = [
        AudienceUser(email="a@example.com", purchase=Purchase(profit=1.5)),
        AudienceUser(first_name="J\u00fcrgen"),
    ]
    record = Record(origin=ORIGIN, value=encode_audience_batch(batch(users=people)), timestamp=datetime.now(UTC))
    opened = batch_in(record, Framing(), nothing)
    assert (opened.users, opened.batch.users) == (2, [])
    receipt = judge(record, Framing())
    assert (receipt.verdict, receipt.users) == ("valid", 2)
    nobody = Record(origin=ORIGIN, value=encode_audience_batch(batch(users=[])))
    assert (judge(nobody, Framing()).verdict, judge(nobody, Framing()).users) == ("invalid", 0)


def test_a_registry_s_schema_that_is_today_s_is_read_by_the_generated_code() -> None:
    text = json.dumps({**json.loads(schema_json("AudienceBatch")), "doc": "Another text."})
    framing = Framing(Registry([text]))
    assert framing.open("AudienceBatch", b"\x00\x00\x00\x00\x00")[0] is todays_writer("AudienceBatch")
    assert decode_audience_batch(b"\x00" * 5 + encode_audience_batch(batch())[10:], framing) == batch()


class Strange(msgspec.Struct):
    """A record with a field that no code is generated for."""

    a: Any = None


@pytest.mark.parametrize("kind", ["string", ["null", "long"], ["null", "string", "double"], ["long", "string"]])
def test_no_code_is_generated_for_a_type_that_it_does_not_know(kind: object) -> None:
    with pytest.raises(TypeError, match=r"^a: no code is generated"):
        layout_of({"type": "record", "name": "Strange", "fields": [{"name": "a", "type": kind}]}, Strange)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_comes_back_as_it_was_written(number: int) -> None:
    encoded = encode_long(number)
    assert read_long(encoded + b"x", 0) == (number, len(encoded))
    with pytest.raises(IndexError):
        read_long(encoded[:-1], 0)


def test_users_of_any_size_are_encoded_once_and_cut_between_two() -> None:
    people = [AudienceUser(last_name="\u00e4" * length) for length in (0, 1024, 3, 1024, 1024, 700, 0)]
    blocks = list(user_blocks(people, 3_000))
    assert [block.count for block in blocks] == [3, 1, 1, 2]
    assert b"".join(block.items for block in blocks) == general_codec.encode_users(people)


@seed(SEED)
@given(
    st.lists(st.dictionaries(st.text('},{[]"\\ a', max_size=6), st.text('},{[]"\\ a', max_size=6))), st.integers(0, 40)
)
def test_slices_of_an_array_that_can_be_read_hold_what_the_array_does(objects: list[dict[str, str]], size: int) -> None:
    for separators in ((",", ":"), (" ,\n ", " : ")):
        data = json.dumps(objects, separators=separators).encode()
        try:
            found = [one for array in slices(data, size) for one in json.loads(array)]
        except ValueError:
            continue  # cut within a text: the whole is parsed instead
        assert found == objects


@pytest.mark.parametrize("size", [1, 1_000, 100_000])
async def test_the_same_users_become_the_same_blocks_however_they_are_written(size: int) -> None:
    """So they become the same records, when they come again in another form or by another way."""
    people: list[dict[str, object]] = [{"phone": number, "lastName": "x" * (number % 997)} for number in range(1_700)]
    whole = list(user_blocks(parse_users(json.dumps(people).encode()).users))
    for separators in ((",", ":"), (" ,\n ", " : ")):
        found = await encoded_users(json.dumps(people, separators=separators).encode(), size)
        assert found.blocks == whole


@pytest.mark.parametrize("data", [b"", b"{}", b'[{"x":"%b"}' % (b"x" * (FARTHEST + 2)), b"[" + b" " * (FARTHEST + 2)])
def test_what_can_not_be_cut_is_not_sliced(data: bytes) -> None:
    with pytest.raises(PayloadError):
        list(slices(data, 1))


@pytest.mark.parametrize("member", [b'"phone":7,', b'"x":[{},{}],', b""])
async def test_others_get_their_turn_while_users_are_encoded(member: bytes) -> None:
    data = b"[%b]" % b",".join(b'{%b"email":"person%d@example.com"}' % (member, number) for number in range(20_000))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    found = await encoded_users(data)
    counting.cancel()
    assert turns > 10
    assert found.count == 20_000
    assert found.unknown == parse_users(data).unknown


@pytest.mark.parametrize(
    "data",
    [
        b'[{"email":"a"},{"email":7}]',
        b'[{"email":"a"},{"phone":true}]',
        b'[{"email":"a"},{"phone":1e999}]',
        b'[{"email":"a"},{"x":1e5},]',
        b'[{"x":1},{"e-mail":"a"}]',
        b'[{"email":"},{"},{"phone":1}',
        b"",
        b" \xff",
        b"{}",
        b"[[",
    ],
)
async def test_a_list_in_slices_is_wrong_where_the_whole_is(data: bytes) -> None:
    with pytest.raises(PayloadError) as whole:
        parse_users(data)
    with pytest.raises(PayloadError) as sliced:
        await encoded_users(data, 1)
    assert str(sliced.value) == str(whole.value)
