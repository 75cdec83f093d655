"""The console's pictures: each is shown, told in words to who cannot see it, and small; and they are packed truly."""

import re
import struct
import zlib

import pytest
from pages import DOCS

from checks.pictures.__main__ import FOLDER
from checks.pictures.camera import MOST_OF_ALL, MOST_OF_ONE, SIGNATURE, faults_of, packed

PAGE = (DOCS / "console.md").read_text(encoding="utf-8")
PICTURES = sorted(FOLDER.glob("*.png"))
HEAD = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
ROWS = b"\0" + bytes(range(6)) + b"\0" + bytes(range(6))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_every_picture_is_shown_on_the_console_s_page_with_words_for_who_cannot_see_it() -> None:
    shown = {name: words for words, name in re.findall(r"!\[([^\]]+)\]\(pictures/([\w-]+\.png)\)", PAGE)}
    assert sorted(shown) == [path.name for path in PICTURES]
    assert all(len(words) > 20 for words in shown.values())


def test_the_pictures_are_small() -> None:
    assert faults_of(FOLDER) == []
    assert max(path.stat().st_size for path in PICTURES) <= MOST_OF_ONE < MOST_OF_ALL


@pytest.mark.parametrize("at", [6, 3])
def test_a_packed_picture_has_the_same_pixels_and_nothing_that_is_told_beside_them(at: int) -> None:
    pixels = zlib.compress(ROWS, 1)
    parts = (chunk(b"IDAT", pixels[:at]), chunk(b"IDAT", pixels[at:]))
    told = chunk(b"tEXt", b"Software\0a browser")
    start = b"\x89PNG\r\n\x1a\n"
    found = packed(start + chunk(b"IHDR", HEAD) + told + b"".join(parts) + chunk(b"IEND", b""))
    best = chunk(b"IDAT", zlib.compress(ROWS, 9))
    assert len(start) == SIGNATURE
    assert found == start + chunk(b"IHDR", HEAD) + best + chunk(b"IEND", b"")
