"""`audience watch`: what changes, as people and programs read it, through a server that ends and comes again."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_cli import audience, clean_environ
from test_event_examples import PAGE
from test_ledger import node, send
from world import make_users, world

from cli.watch.printing import event_line
from cli.watch.stream import Event, EventLines
from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port


@asynccontextmanager
async def watching(folder: Path, *options: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command while the block is entered."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", "watch", *options, cwd=folder, env=clean_environ(folder, **settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(stream: asyncio.StreamReader | None, text: str) -> str:
    """Return the first line that has a text in it."""
    assert stream is not None
    seen = []
    async with asyncio.timeout(30):
        while line := (await stream.readline()).decode():
            seen.append(line)
            if text in line:
                return line
    raise AssertionError(f"it ended behind {seen}")


async def test_watch_shows_changes_goes_on_where_the_server_comes_again_and_ends_by_ctrl_c(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    listen, view = f"127.0.0.1:{free_port()}", tmp_path / "b.sqlite"
    server = {"AUDIENCE_LISTEN": listen}
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        async with (
            node(found, view, "facebook", **server) as url,
            watching(tmp_path, "41", "--json", **server) as watch,
        ):
            await until(watch.stderr, "Listening.")
            await send(found, make_users(2), url, sessionId=41)
            await send(found, make_users(2), url, sessionId=42)
            line = await until(watch.stdout, '"event":"session"')
            assert json.loads(line)["data"]["sessionId"] == "41"
        code, _, errors = await audience(tmp_path, "watch", **server)
        assert (code, "no server answers at" in errors) == (1, True)
        async with AsyncExitStack() as stack:
            async with node(found, view, "facebook", **server):
                watch = await stack.enter_async_context(watching(tmp_path, "--kind", "batch", **server))
                await until(watch.stderr, "Listening.")
            await until(watch.stderr, "asking again")
            async with node(found, view, "facebook", **server) as url:
                await until(watch.stdout, "Changes may be missing here")
                _, sent = await send(found, make_users(2), url, sessionId=43)
                assert "VIP" in await until(watch.stdout, sent["batchId"])
                watch.send_signal(signal.SIGINT)
                assert await watch.wait() == 130


LINES = (
    "batch 7c0f7b0e-4a53-4b2b-9d3c-2f1f6f0c9a11  VIP customers  partial  3 users  facebook partial",
    "session 41  VIP customers  incomplete  3 of 6 users  facebook partial",
    "account facebook  blocked  4 behind  token_invalid: Set a new token.",
    "loss tiktok  40 records of partition 0 from offset 100 to 140 left the log before they were read",
)


def test_an_event_is_a_line_for_people() -> None:
    found = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert found
    reader = EventLines()
    events = [event for line in found[1].splitlines() if (event := reader.take(line)) is not None]
    now = datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert [event_line(event, now) for event in events] == [f"12:00:00  {line}" for line in LINES]
    assert "audience status" in event_line(Event(kind="reset", data='{"reason":"foreign"}'), now)
    assert event_line(Event(kind="change", data="{}"), now) == "12:00:00  something changed"
    assert event_line(Event(kind="newer", data="{}"), now) == "12:00:00  newer {}"


@pytest.mark.parametrize("kinds", ["sessions", "batch,batch", ""])
async def test_a_kind_that_there_is_none_of_is_told(tmp_path: Path, kinds: str) -> None:
    code, _, errors = await audience(tmp_path, "watch", "--kind", kinds)
    assert code == 2
    assert "name one or more of session, batch, account, loss, change" in errors
