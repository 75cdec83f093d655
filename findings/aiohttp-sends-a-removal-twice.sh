#!/usr/bin/env bash
# aiohttp 3.14.5 sends a DELETE once more by itself where the connection ends, also a new one, and tells nobody.
#
# RFC 9110 (section 9.2.2) lets a client repeat what it calls idempotent. Whoever decides by himself when a removal may go
# again, as something may have been added in between, finds it done twice. A client middleware sees each time that it is sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import aiohttp

CALLS: list[bytes] = []


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    CALLS.append((await reader.readuntil(b"\r\n\r\n")).split(b" ", 1)[0])
    writer.close()


async def main() -> bool:
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for method in ("POST", "DELETE"):
        async with aiohttp.ClientSession() as session:
            try:
                await session.request(method, url, data=b"{}")
            except aiohttp.ServerDisconnectedError:
                continue
    print("aiohttp", aiohttp.__version__, "sent", CALLS)
    return CALLS == [b"POST", b"DELETE", b"DELETE"]


sys.exit(0 if asyncio.run(main()) else 1)
PYTHON
