"""Requests byte by byte, as clients that tests play put them on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from world import World, make_batch, make_users

Part = tuple[str, bytes, Mapping[str, str]]
"""Name, content, and headers besides Content-Disposition, which may be replaced."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def errors(self) -> list[str]:
        """What is wrong, told in the usual form."""
        decoded: dict[str, Any] = json.loads(self.body)
        assert decoded["success"] is False
        found: list[str] = decoded["errors"]
        return found


def part(name: str, content: str | bytes, **headers: str) -> Part:
    """Return a part; `Content_Type="…"` is a header."""
    data = content.encode() if isinstance(content, str) else content
    return name, data, {header.replace("_", "-"): value for header, value in headers.items()}


def usual(*parts: Part) -> list[Part]:
    """Return the parts of an upload, some of them replaced."""
    named = {name for name, _, _ in parts}
    rest = {"name": "VIP", "batch": json.dumps(make_batch()), "users": json.dumps(make_users(2))}
    return [*parts, *(part(name, content) for name, content in rest.items() if name not in named)]


def multipart(parts: Iterable[Part], *, boundary: str = "b", end: bytes = b"\r\n", padding: bytes = b"") -> bytes:
    """Return a form as bytes."""
    mark = b"--" + boundary.encode()
    written = b""
    for name, data, headers in parts:
        every = {"Content-Disposition": f'form-data; name="{name}"', **headers}
        lines = [f"{header}: {value}".encode("latin-1") for header, value in every.items()]
        written += end.join([mark + padding, *lines, b"", data]) + end
    return written + mark + b"--" + padding + end


def head(
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
    line: str = "POST /audience HTTP/1.1",
    kind: str = "multipart/form-data; boundary=b",
) -> bytes:
    """Return the head of a request."""
    every = {"Host": "localhost", "Content-Type": kind, **(headers or {})}
    if length is not None:
        every["Content-Length"] = str(length)
    lines = [line, *(f"{name}: {value}" for name, value in every.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def chunked(*chunks: bytes) -> bytes:
    """Return a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, timeout: float = 30) -> Answer:
        """Read the next answer; an interim one too."""
        async with asyncio.timeout(timeout):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if line)
            body = await self.reader.readexactly(int(headers.get("Content-Length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def is_closed(self, timeout: float = 30) -> bool:
        """Wait until the server has said all that it says."""
        async with asyncio.timeout(timeout):
            return await self.reader.read() == b""


@asynccontextmanager
async def connected(server: World) -> AsyncIterator[Wire]:
    """Connect while the block is entered."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def exchange(server: World, data: bytes) -> Answer:
    """Send a request on a connection of its own; return the answer."""
    async with connected(server) as wire:
        await wire.send(data)
        return await wire.answer()


async def post(
    server: World,
    body: bytes,
    *,
    query: str = "",
    kind: str = "multipart/form-data; boundary=b",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Post a body of a known length."""
    line = f"POST /audience{query} HTTP/1.1"
    return await exchange(server, head(headers, length=len(body), line=line, kind=kind) + body)
