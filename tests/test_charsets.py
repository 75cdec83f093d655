"""The closed list of charsets, and the blanks behind delimiters, wherever chunks are cut."""

import codecs
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.transport.charsets import _CODECS, codecs_of, is_utf8, to_utf8
from producer.transport.padding import Unpadding


@pytest.mark.parametrize("label", sorted(_CODECS))
def test_every_label_means_charsets_that_are_there(label: str) -> None:
    assert all(codecs.lookup(codec) for codec in codecs_of(label))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16])
def test_every_part_of_iso_8859_is_read(number: int) -> None:
    codec = f"iso8859_{number}"
    letters = "".join(char for byte in range(0xA0, 0x100) if (char := bytes([byte]).decode(codec, "ignore")).isalpha())
    read = to_utf8(letters.encode(codec), codecs_of(f"ISO-8859-{number}")[0])
    assert read.decode() == letters


@pytest.mark.parametrize(
    "label", ["", "x-made-up", "EUC-TW", "ISO-8859-12", "utf-7", "idna", "rot13", "base64", "mbcs"]
)
def test_no_other_label_is_known(label: str) -> None:
    assert codecs_of(label) == ()


@given(st.binary(max_size=50))
def test_bytes_are_utf_8_where_they_decode_as_it(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["utf-16", "utf-32"]))
def test_wide_text_with_a_byte_order_mark_is_read_back(text: str, codec: str) -> None:
    assert to_utf8(text.encode(codec), codec).decode() == text


PIECES = [b"--b", b"\r\n--b", b"\r", b"\n", b"\r\n", b" ", b"\t", b"--", b"-", b"b", b"x", b"--b--", b"\r\n--b \t\r\n"]


def unpadded(body: bytes, cuts: list[int]) -> bytes:
    """Feed a body in chunks; return all that can be parsed."""
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in itertools.pairwise(edges)]
    unpadding = Unpadding(b"b")
    return b"".join(unpadding.feed(chunk) for chunk in chunks if chunk) + unpadding.rest()


@given(st.lists(st.sampled_from(PIECES)).map(b"".join), st.lists(st.integers(0, 200), max_size=12))
def test_blanks_behind_delimiters_go_wherever_chunks_are_cut_and_nothing_else_does(
    body: bytes, cuts: list[int]
) -> None:
    lines = body.split(b"\r\n")
    expected = [b"--b" + line[3:].lstrip(b" \t") if line.startswith(b"--b") else line for line in lines]
    assert unpadded(body, cuts) == b"\r\n".join(expected)
