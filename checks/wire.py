"""HTTP over a bare socket: sends bytes as they are and reads the final answer."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

HEAD_LIMIT = 2**20
GRACE = 0.1
"""Seconds in which a request that is not whole may be answered before the stream ends."""
AT_ONCE = struct.pack("ii", 1, 0)
"""Connections end by a reset, so that no port stays taken for a minute."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered: the status, the headers by lower-case name, all of its head, and the body."""

    status: int
    headers: Mapping[str, str]
    head: bytes
    body: bytes


async def exchange(host: str, port: int, request: bytes, timeout: float = 30, *, is_whole: bool = True) -> Reply | None:
    """Send a request on a connection of its own; return the final answer, None where the server hangs up without one.

    A request that is not whole is followed by the end of the stream. Raises TimeoutError.
    """
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(host, port, limit=HEAD_LIMIT)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        sending = asyncio.create_task(_send(writer, request, is_whole=is_whole))
        try:
            return await _final(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, request: bytes, *, is_whole: bool) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(request)
        await writer.drain()
        if not is_whole:
            await asyncio.sleep(GRACE)
            writer.write_eof()


async def _final(reader: asyncio.StreamReader) -> Reply:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        if status >= 200:
            break
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return Reply(status, headers, head, body)
