"""The lines of docs/proxies.md, in the proxies that this machine has."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from wire import multipart, usual
from world import make_form, make_users, world

from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port

DOCS = Path(__file__).parent.parent / "docs" / "proxies.md"
TOKEN = {"Authorization": "Bearer made-up-1"}

NGINX = """user root; daemon off; pid {folder}/pid; error_log stderr; events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; {lines} }}"""

COMMANDS: Mapping[str, tuple[str, list[str]]] = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-c", "{file}"]),
    "haproxy": ("{lines}", ["haproxy", "-db", "-f", "{file}"]),
    "caddyfile": ("{{\n admin off\n}}\n{lines}", ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"]),
}


def lines_for(kind: str) -> str:
    """Return what the page shows for a proxy."""
    found = re.search(rf"```{kind}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


@asynccontextmanager
async def proxy(kind: str, folder: Path, server: str) -> AsyncIterator[str]:
    """Run a proxy before a server; yields its URL."""
    frame, command = COMMANDS[kind]
    port = free_port()
    shown = re.sub(r"\b80\b;", f"127.0.0.1:{port};", lines_for(kind)).replace("*:80", f":{port}")
    shown = re.sub(r"(?m)(^| ):80$", rf"\1:{port}", shown.replace(":80 {", f":{port} {{"))
    shown = shown.replace("127.0.0.1:8080", server.removeprefix("http://"))
    file = folder / kind
    file.write_text(frame.format(folder=folder, lines=shown))
    arguments = [argument.format(folder=folder, file=file) for argument in command]
    with (folder / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(*arguments, stdout=output, stderr=output)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether a request gets through."""
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.parametrize("kind", list(COMMANDS))
async def test_uploads_get_through_a_proxy_that_is_set_up_as_documented(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path, kind: str
) -> None:
    """Large ones, in chunks and not, and a sync one that is answered late."""
    if shutil.which(COMMANDS[kind][1][0]) is None:
        pytest.skip("not on this machine")
    settings = {"AUDIENCE_API_TOKENS": "made-up-1", "AUDIENCE_SYNC_TIMEOUT": 1}
    async with (
        world(kafka, topic_prefix, providers=["tiktok"], consuming=(), settings=settings) as server,
        proxy(kind, tmp_path, server.url) as url,
    ):
        session = server.session
        async with asyncio.timeout(30):
            while not await answers(session, url):
                await asyncio.sleep(0.1)

        async def chunks() -> AsyncIterator[bytes]:
            body = multipart(usual())
            yield body[:100]
            yield body[100:]

        headers = {**TOKEN, "Content-Type": "multipart/form-data; boundary=b"}
        large = make_form([{"email": f"{number}@example.com", "firstName": "A" * 500} for number in range(5000)])
        async with session.post(f"{url}/audience", data=large, headers=TOKEN) as response:
            assert response.status == 200, (tmp_path / "output").read_text()
        async with session.post(f"{url}/audience", data=chunks(), headers=headers) as response:
            assert response.status == 200
            place = response.headers["Location"]
        async with session.get(f"{url}{place}?wait=1", headers=TOKEN) as response:
            assert response.status == 200
        async with session.post(f"{url}/audience?sync=true", data=make_form(make_users(1)), headers=TOKEN) as response:
            assert response.status == 504
            assert (await response.json())["errors"][0].endswith(f"see {response.headers['Location']}")
        async with session.post(f"{url}/audience", data=make_form(make_users(1))) as response:
            assert response.status == 401
