"""A thread that dies is never missed in silence: somebody is told, or the process ends and is started again."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap
import threading
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest
from test_cli import REAL_LOOKING, clean_environ
from test_writer import gapless, set_limit
from world import consuming_one, make_form, make_users, sandbox_account, world

from cli.local_stack.supervisor import Part, Supervisor
from ledger.receipts import keep_receipts
from schemas.avro.framing import Framing
from schemas.target import Target
from streams.client.errors import ProducerFailedError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.processes.watched_threads import watched_thread

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "consumer", "ledger", "producer", "providers", "schemas", "streams")
TIKTOK = Target("tiktok")


def test_what_a_thread_raises_is_handed_to_whoever_must_know() -> None:
    told: list[BaseException] = []

    def work() -> None:
        raise KeyError

    thread = watched_thread("made up", work, told.append)
    thread.start()
    thread.join(10)
    assert [type(error) for error in told] == [KeyError]
    assert thread.daemon


def test_no_thread_is_started_but_by_what_watches_it() -> None:
    starts = re.compile(r"\b(threading\.(Thread|Timer)|Thread|Timer|_thread\.start_new\w*)\(")
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if starts.search(path.read_text())]
    assert found == [ROOT / "streams" / "processes" / "watched_threads.py"]


DIES = """
import asyncio, sys, threading
sys.argv = ["audience", "sandbox"]
from dataclasses import replace
from cli import main

async def command(options, environment):
    def die():
        raise KeyError("ada@example.com")
    threading.Thread(target=die, name="of a library").start()
    try:
        await asyncio.Event().wait()
    finally:
        print("put in order")

found = main.load_command("sandbox")
main.load_command = lambda name: replace(found, run=command)
main.main()
"""


def test_a_process_of_ours_ends_in_order_and_as_failed_when_any_thread_in_it_fails(tmp_path: Path) -> None:
    environ = clean_environ(tmp_path, AUDIENCE_ENV_FILE="", PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", textwrap.dedent(DIES)]
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "put in order\n")
    assert '"event": "A thread failed: the process ends."' in ran.stderr
    assert '"thread": "of a library"' in ran.stderr
    assert "KeyError < die" in ran.stderr
    assert "audience sandbox: A thread ended by an error" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "ada@example.com" not in ran.stderr


async def test_a_part_whose_lines_cannot_be_told_is_ended_and_so_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()

    def tell(fields: object) -> None:
        del fields
        if not broken.is_set():
            broken.set()
            raise RecursionError

    monkeypatch.setattr("cli.local_stack.supervisor.write_relayed", tell)
    environ = clean_environ(tmp_path, AUDIENCE_ENV_FILE="", AUDIENCE_SANDBOX_LISTEN="127.0.0.1:0")
    part = Part(name="sandbox", arguments=["sandbox"], environment=environ, ready_path="/_sandbox/counters")
    async with Supervisor(limit=10) as supervisor:
        starting = asyncio.create_task(supervisor.start(part))
        async with asyncio.timeout(60):
            while not broken.is_set():
                await asyncio.sleep(0.05)
            assert part.process is not None
            while part.process.poll() is None:
                await asyncio.sleep(0.05)
        await asyncio.gather(starting, return_exceptions=True)


async def test_ingestion_is_not_ready_at_once_when_its_producer_fails_and_says_why(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(gapless(kafka), topic_prefix, providers=["tiktok"], consuming=()) as found:
        await set_limit(kafka, found.names.batches, 30_000)
        status, _, _ = await found.upload([{"email": f"{os.urandom(16).hex()}@example.com"} for _ in range(3000)])
        assert status in {500, 503}
        async with found.session.get(f"{found.url}/readyz") as response:
            assert response.status == 503
            assert (await response.text()).startswith("the producer failed for good (_GAPLESS_GUARANTEE")
        status, body, headers = await found.upload(make_users(2))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert body["errors"] == ["Kafka can't be reached; nothing was accepted, send the request again"]


async def test_a_server_whose_producer_fails_ends_and_is_started_again(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    settings = {
        "AUDIENCE_ENV_FILE": "",
        "AUDIENCE_LISTEN": "127.0.0.1:0",
        "AUDIENCE_PROVIDERS": "tiktok",
        "AUDIENCE_TOPIC_PREFIX": topic_prefix,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_ENABLE_GAPLESS_GUARANTEE": "true",
        "KAFKA_ENABLE_IDEMPOTENCE": "true",
        **REAL_LOOKING,
    }
    await ensure_topics(kafka, layout(names, [TIKTOK.group_id(topic_prefix)]))
    log = tmp_path / "log"
    part = Part(name="ingestion", arguments=["serve"], environment=clean_environ(tmp_path, **settings), output=log)
    async with Supervisor(limit=20) as supervisor, aiohttp.ClientSession() as session:
        await supervisor.start(part)
        assert part.process is not None
        first = part.process
        await set_limit(kafka, names.batches, 30_000)
        many = [{"email": f"{os.urandom(16).hex()}@example.com"} for _ in range(3000)]
        async with session.post(f"http://{part.address}/audience", data=make_form(many)) as response:
            assert response.status in {500, 503}
        async with asyncio.timeout(60):
            while part.process is first:
                await asyncio.sleep(0.1)
        assert first.returncode == 1
        assert "audience serve: The producer failed for good (_GAPLESS_GUARANTEE" in log.read_text()
        assert "Traceback" not in log.read_text()


async def test_the_ledger_ends_when_its_producer_fails(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await set_limit(kafka, found.names.receipts, 100)
        assert (await found.upload(make_users(2)))[0] == 200
        keeping = keep_receipts(gapless(kafka), found.names, Framing(), lambda _: nullcontext())
        with pytest.raises(ProducerFailedError, match="_GAPLESS_GUARANTEE"):
            await asyncio.wait_for(keeping, 60)


async def test_a_consumer_ends_when_its_producer_fails(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await set_limit(kafka, found.names.completions, 100)
        async with consuming_one(sandbox_account(TIKTOK, found.sandbox_url), gapless(kafka), found.names) as consuming:
            assert (await found.upload(make_users(2)))[0] == 200
            with pytest.raises(ProducerFailedError, match="_GAPLESS_GUARANTEE"):
                await asyncio.wait_for(asyncio.shield(consuming), 60)
