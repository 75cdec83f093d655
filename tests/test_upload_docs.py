"""What docs/files.md shows of an upload is what is shown, and its program runs."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import BLOCKS, DOCS
from test_upload_command import environ, upload
from world import World, world

from streams.client.settings import KafkaSettings

PAGE = DOCS / "files.md"
CUSTOMERS = (
    "E-Mail,Telefon,PLZ,Newsletter,Geburtstag\n"
    "ada@example.com,+1 415 5550100,94107,yes,1815-12-10\n"
    "alan@example.com,0049 151 1234567,01067,no,1912-06-23\n"
)
SHOWN, TOLD, PROGRAM = (block for block in BLOCKS if block.page == PAGE and block.test == "tests/test_upload_docs.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file that the page speaks of."""
    (tmp_path / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    return tmp_path


def as_on_the_page(text: str, product: World) -> str:
    """Return what was said with the server and the session of the page."""
    return re.sub(r"session \d+", "session 4711", text).replace(product.url, "http://127.0.0.1:8080")


async def test_the_page_about_files_shows_what_the_command_shows(
    kafka: KafkaSettings, topic_prefix: str, folder: Path
) -> None:
    async with world(kafka, topic_prefix) as product:
        done = await upload(folder, "customers.csv", "--name", "VIP customers", "--wait", "--url", product.url)
        assert done.code == 0, done.errors
        assert as_on_the_page(done.errors, product).startswith(SHOWN.text)
        assert as_on_the_page(done.output, product) == TOLD.text
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM.text, cwd=folder, env=environ(folder, AUDIENCE_URL=product.url),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, errors.decode()
        assert output.decode() == "2 delivered\n"
