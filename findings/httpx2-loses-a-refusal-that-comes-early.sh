#!/usr/bin/env bash
# httpx2 2.16.2 does not see, with asyncio, what a server answered before it had read all and closed; without asyncio it does.
#
# A write that fails ends asyncio's transport, and what was received goes with it. So 413 and 401 of servers that read no
# further look like a lost connection, for which a client sends the same again. httpcore2 means to read the answer after such a
# write (`_async/http11.py`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx2==2.16.2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import httpx2

BODY = b"x" * 30_000_000


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


def chunks() -> list[bytes]:
    return [BODY[at : at + 65_536] for at in range(0, len(BODY), 65_536)]


def ask(url: str) -> str:
    try:
        return str(httpx2.post(url, content=iter(chunks())).status_code)
    except httpx2.HTTPError as error:
        return type(error).__name__


async def ask_with_asyncio(url: str) -> str:
    async def body():
        for chunk in chunks():
            yield chunk

    async with httpx2.AsyncClient() as client:
        try:
            return str((await client.post(url, content=body())).status_code)
        except httpx2.HTTPError as error:
            return type(error).__name__


async def main() -> bool:
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    heard = {await asyncio.to_thread(ask, url) for _ in range(5)}
    lost = {await ask_with_asyncio(url) for _ in range(5)}
    print("httpx2", httpx2.__version__, "without asyncio:", heard, "with it:", lost)
    return "413" in heard and "413" not in lost


sys.exit(0 if asyncio.run(main()) else 1)
PYTHON
