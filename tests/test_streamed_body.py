"""Bodies that are written piece by piece."""

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from providers.facebook.provider import Facebook
from providers.kit.rows.body_template import AUDIENCE_ID, CELL, ROWS, Body
from providers.kit.streamed_body import PIECE, StreamedBody, pieces_of
from providers.klaviyo import Klaviyo
from providers.tiktok import TikTok

KNOWN = {"audience_id": "7", "names": ["A"], "session": {"n": 1}, "action": "add", "advertiser_id": "9"}
TEXTS = st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=3), max_size=30)


@given(TEXTS)
def test_the_body_that_goes_in_pieces_is_the_one_that_is_encoded_at_once(texts: list[list[str]]) -> None:
    wrapped = Body(shape=[{"of": AUDIENCE_ID, "users": ROWS}], cell={"id": CELL})
    rows = [msgspec.Raw(msgspec.json.encode(text)) for text in texts]
    for body in (Facebook.body, Klaviyo.body, TikTok.body, wrapped):
        streamed = asyncio.run(body.around(rows, **KNOWN))
        assert bytes(streamed) == msgspec.json.encode(body.filled(rows, **KNOWN))
        assert len(streamed) == len(bytes(streamed))


@given(st.lists(st.integers(1, PIECE), max_size=12), st.integers(0, 2 * PIECE))
def test_no_piece_is_much_longer_than_a_row_beyond_the_limit(sizes: list[int], head: int) -> None:
    body = StreamedBody(b"h" * head, [msgspec.Raw(b"r" * size) for size in sizes], b"]")
    pieces = list(pieces_of(body))
    assert b"".join(pieces) == bytes(body)
    assert all(len(piece) <= head + PIECE + 12 for piece in pieces)
    whole = list(pieces_of(bytes(body)))
    assert b"".join(whole) == bytes(body)
    assert all(len(piece) <= PIECE for piece in whole)
