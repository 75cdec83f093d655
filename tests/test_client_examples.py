"""The example of each client uploads to a running product; those whose tool is not on this machine are left out."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from test_cli import up
from tools import needs

from streams.client.settings import KafkaSettings

FOLDER = Path(__file__).parent.parent / "examples" / "clients"
TOKEN = "made-up-token"
PEOPLE = {("ada@example.com",), ("soren@example.com",)}
LIMIT = 100.0
"""Seconds for one example, compiling included."""

EXAMPLES: Sequence[tuple[str, str, list[str]]] = (
    ("curl", "curl", ["sh", "curl.sh"]),
    ("requests", "requests", [sys.executable, "python_requests.py"]),
    ("aiohttp", "aiohttp", [sys.executable, "python_aiohttp.py"]),
    ("fetch", "node", ["node", "node_fetch.mjs"]),
    ("Go", "go", ["go", "run", "upload.go"]),
    ("Java", "java", ["java", "Upload.java"]),
    ("Ruby", "ruby", ["ruby", "ruby_net_http.rb"]),
    ("PHP", "php", ["php", "php_curl.php"]),
    ("Perl", "perl", ["perl", "perl_http_tiny.pl"]),
    ("C#", "mcs", ["sh", "-c", 'mcs -r:System.Net.Http -out:"$OUT/Upload.exe" Upload.cs && mono "$OUT/Upload.exe"']),
)
"""The end of the audience's name, the tool or module that it needs, and its command."""


RUN = [pytest.param(ends, command, id=ends, marks=needs(tool)) for ends, tool, command in EXAMPLES]


@dataclass(frozen=True, slots=True)
class Product:
    """Where all of it runs."""

    url: str
    sandbox: str

    async def members(self, audience: str) -> set[tuple[Any, ...]]:
        """Return whom Klaviyo's stand-in holds, which takes addresses as they are."""
        query = {"provider": "klaviyo", "audience": audience}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.sandbox}/_sandbox/members", params=query) as answer,
        ):
            return {tuple(member) for member in (await answer.json())["members"]}


@pytest.fixture(scope="module")
async def product(kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """All of it, as `audience up` runs it."""
    folder = tmp_path_factory.mktemp("examples")
    settings = {"AUDIENCE_TOPIC_PREFIX": f"test-{secrets.token_hex(6)}", "AUDIENCE_API_TOKENS": TOKEN}
    async with up(folder, kafka, **settings) as (_, lines):
        yield Product(url=lines[-1].removeprefix("ready "), sandbox=lines[1].removeprefix("sandbox "))


async def run(command: list[str], out: Path, **environ: str) -> tuple[int, str]:
    """Run an example to its end; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, env={**os.environ, "OUT": str(out), "PYTHONDONTWRITEBYTECODE": "1", **environ},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize(("ends", "command"), RUN)
async def test_an_example_uploads_its_people_and_says_so(
    product: Product, tmp_path: Path, ends: str, command: list[str]
) -> None:
    code, output = await run(command, tmp_path, URL=product.url, TOKEN=TOKEN)
    assert code == 0, output
    assert json.loads(output[output.index("{") :]) == {"success": True}
    assert await product.members(f"blotout_Example_{ends}") == PEOPLE


@pytest.mark.parametrize(("ends", "command"), RUN)
async def test_an_example_that_is_refused_says_why_and_exits_with_a_failure(
    product: Product, tmp_path: Path, ends: str, command: list[str]
) -> None:
    del ends
    code, output = await run(command, tmp_path, URL=product.url, TOKEN="made-up-wrong")
    assert code != 0
    assert "Authorization" in output


def test_every_example_is_told_and_run_but_the_one_that_needs_a_registry() -> None:
    named = {word for _, _, command in EXAMPLES for word in " ".join(command).split()}
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = {file.name for file in FOLDER.iterdir() if file.is_file() and file.name != "README.md"}
    assert files <= named
    assert all(file in told for file in (*files, "cd rust"))
