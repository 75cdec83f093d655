#!/usr/bin/env bash
# A stream that must not be stored is sent as one that may be: aiohttp-sse 3.0.0 on aiohttp 3.14.5.
#
# `sse_response(request, headers=…)` takes headers, and then sets four of its own over them, without a word: `no-store` becomes
# `no-cache`, by which a proxy may keep what it passes on, and `no-transform`, which keeps one from packing the stream up and
# so holding it back, is gone. What is set on the response after it was made, and before it is prepared, stays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp-sse==3.0.0 aiohttp==3.14.5
cat > "$folder/show.py" <<'PYTHON'
import asyncio

from aiohttp import ClientSession, web
from aiohttp_sse import EventSourceResponse, sse_response

WANTED = {"Cache-Control": "no-store, no-transform"}


async def given(request):
    async with sse_response(request, headers=WANTED) as response:
        await response.send("hello")
    return response


async def set_after(request):
    response = EventSourceResponse()
    response.headers.update(WANTED)
    await response.prepare(request)
    async with response:
        await response.send("hello")
    return response


async def main():
    app = web.Application()
    app.add_routes([web.get("/given", given), web.get("/set-after", set_after)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with ClientSession() as session:
        for path in ("given", "set-after"):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                print(f"{path}: {response.headers['Cache-Control']}")
    await runner.cleanup()


asyncio.run(main())
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py")
expected='given: no-cache
set-after: no-store, no-transform'
echo "$seen"
[ "$seen" = "$expected" ] || { printf 'This has changed; expected:\n%s\n' "$expected"; exit 1; }
