"""The examples that upload data frames, queries and models; those whose tool is not on this machine are left out."""

import asyncio
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_upload_command import environ
from tools import PATH, needs
from world import World, world

from streams.client.settings import KafkaSettings

FOLDER = Path(__file__).parent.parent / "examples" / "files"
BIN = Path(sys.executable).parent
LIMIT = 100.0

EXAMPLES = (
    ("pandas", "pandas", ".", (sys.executable, "upload_pandas.py")),
    ("polars", "polars", ".", (sys.executable, "upload_polars.py")),
    ("duckdb", "duckdb", ".", ("sh", "duckdb.sh")),
    ("dbt", "dbt", "dbt", ("sh", "run.sh")),
)
"""Its name, the module or command that it needs, its folder and its command, which takes the audience's name."""

RUN = [pytest.param(name, folder, command, id=name, marks=needs(tool)) for name, tool, folder, command in EXAMPLES]


@pytest.fixture(scope="module")
async def product(kafka: KafkaSettings) -> AsyncIterator[World]:
    """All of it, with a platform that takes addresses and numbers as they are."""
    async with world(kafka, f"test-{secrets.token_hex(6)}", providers=("klaviyo",)) as running:
        yield running


async def members(product: World, audience: str) -> set[tuple[str, ...]]:
    """Return whom the platform holds, once it holds somebody."""
    async with asyncio.timeout(LIMIT):
        while not (held := await product.members("klaviyo", audience)):
            await asyncio.sleep(0.1)
    return held


@pytest.mark.parametrize(("name", "folder", "command"), RUN)
async def test_an_example_uploads_its_people(
    product: World, tmp_path: Path, name: str, folder: str, command: tuple[str, ...]
) -> None:
    here = tmp_path / "example"
    shutil.copytree(FOLDER / folder, here)
    process = await asyncio.create_subprocess_exec(
        *command, f"Of {name}", cwd=here, env=environ(tmp_path, AUDIENCE_URL=product.url, PATH=PATH),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 0, output.decode()
    assert await members(product, f"blotout_Of_{name}") == {
        ("ada@example.com",),
        ("soren@example.com",),
        ("+14155550100",),
    }


def test_every_example_is_told_and_run() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = {word for *_, command in EXAMPLES for word in command[1:]}
    scripts = {path.name for path in FOLDER.rglob("*") if path.suffix in (".py", ".sh")}
    assert scripts == named
    assert all(script in told for script in scripts)
