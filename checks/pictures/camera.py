"""A browser of which pictures are taken: each of a page as somebody with a window of usual size sees it."""

import shutil
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

WIDTH, NARROW = 1280, 360
HEIGHT, LOW = 800, 640
"""Of a window, and of one that shows a table whose rows are alike."""

MOST_OF_ONE, MOST_OF_ALL = 150_000, 1_400_000
"""Bytes of a picture, and of all of them."""

SIGNATURE = 8
"""Bytes before the first chunk of a PNG."""


@asynccontextmanager
async def browser_open() -> AsyncIterator[Browser]:
    """Run a browser without a window while the block is entered."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Opens pages of a server, and takes pictures into a folder."""

    browser: Browser
    url: str
    folder: Path

    @asynccontextmanager
    async def page(
        self, path: str, width: int = WIDTH, height: int = HEIGHT, *, is_dark: bool = False
    ) -> AsyncIterator[Page]:
        """Open a page in a window of its own."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if is_dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        try:
            page = await context.new_page()
            await page.goto(f"{self.url}{path}")
            yield page
        finally:
            await context.close()

    async def take(self, page: Page, name: str) -> None:
        """Take a picture of what stands in the window."""
        self.folder.mkdir(parents=True, exist_ok=True)
        picture = await page.screenshot(animations="disabled", caret="hide")
        (self.folder / f"{name}.png").write_bytes(packed(picture))


def packed(picture: bytes) -> bytes:
    """Return a PNG with its pixels packed as small as they can be: browsers pack them fast."""
    chunks = list(_chunks(picture))
    pixels = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    head = [_chunk(*one) for one in chunks if one[0] == b"IHDR"]
    return picture[:SIGNATURE] + b"".join([*head, _chunk(b"IDAT", zlib.compress(pixels, 9)), _chunk(b"IEND", b"")])


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = SIGNATURE
    while at < len(picture):
        size, kind = struct.unpack_from(">I4s", picture, at)
        yield kind, picture[at + 8 : at + 8 + size]
        at += 12 + size


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def faults_of(folder: Path) -> list[str]:
    """Return what is wrong with the pictures in a folder."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.png"))}
    faults = [f"{name} has {size:,} bytes" for name, size in sizes.items() if size > MOST_OF_ONE]
    if sum(sizes.values()) > MOST_OF_ALL:
        faults.append(f"together they have {sum(sizes.values()):,} bytes")
    return faults if sizes else ["none was taken"]
