"""Supervision: survives whatever a start does, asks only its own processes, ends them side by side."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from test_cli import audience, clean_environ

from cli.local_stack.running import chosen_address
from cli.local_stack.supervisor import LONGEST_WAIT, Part, PartFailedError, Supervisor, keep, until_ready
from cli.settings.environment import Environment
from producer.settings import Address
from streams.client.errors import BrokerFailedError, PortTakenError
from streams.client.settings import KafkaSettings
from streams.cluster.cluster_id import cluster_id
from streams.local.broker import LocalBroker
from streams.processes.lifeline import Lifeline
from streams.processes.port_locks import PortLocks
from streams.processes.ports import free_port, is_free, pick_port

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

CAN_T_START = "A part can't be started: trying again."


async def test_a_start_that_fails_is_tried_again_later_and_later_whatever_it_raises() -> None:
    failures: list[Exception] = [BrokerFailedError("no\nroom"), OSError(28, "No space left"), AssertionError()] * 4
    waits: list[float] = []
    started = asyncio.Event()

    async def start() -> None:
        if failures:
            raise failures.pop(0)
        started.set()

    async def wait() -> int:
        if started.is_set():
            await asyncio.Event().wait()
        return 1

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with capture_logs() as lines:
        keeping = asyncio.create_task(keep("kafka", wait, start, sleep))
        await asyncio.wait_for(started.wait(), 10)
        assert not keeping.done()
        keeping.cancel()
    told = [str(line["why"]) for line in lines if line["event"] == CAN_T_START]
    assert told[:2] == ["no | room", "[Errno 28] No space left"]
    assert told[2].startswith("a bug: AssertionError")
    assert len(told) == 12
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


@contextmanager
def full_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """Let a folder be a small disk; yields a function that fills it, and frees it when called again."""
    mounted = subprocess.run(
        [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    filler = folder / "filler"

    def turn() -> None:
        if filler.exists():
            filler.unlink()
            return
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    try:
        yield turn
    finally:
        subprocess.run([shutil.which("umount") or "umount", "--lazy", folder], check=True)


@contextmanager
def in_the_way(folder: Path) -> Iterator[Callable[[], None]]:
    """Yields a function that puts something where Kafka's settings are written, and takes it away again."""
    file = folder / "kafka" / "server.properties"

    def turn() -> None:
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
            file.mkdir()

    yield turn


@linux
@pytest.mark.kafka
@pytest.mark.timeout(240)
@pytest.mark.parametrize("trouble", [full_disk, in_the_way])
async def test_a_kafka_that_can_t_be_started_again_comes_back_when_the_cause_is_gone(
    tmp_path: Path, trouble: Callable[[Path], contextlib.AbstractContextManager[Callable[[], None]]]
) -> None:
    with trouble(tmp_path) as turn, capture_logs() as lines:
        async with Supervisor() as supervisor:
            broker = LocalBroker(data=tmp_path / "kafka", port=free_port(), report=lambda _: None)
            await supervisor.start_broker(broker)
            turn()
            with contextlib.suppress(ProcessLookupError):  # a full disk may have ended it already
                os.kill(broker.pid, signal.SIGKILL)
            async with asyncio.timeout(100):
                while not any(line["event"] == CAN_T_START for line in lines):
                    await asyncio.sleep(0.1)
            turn()
            async with asyncio.timeout(100):
                await answers(broker)
    whys = {str(line["why"]) for line in lines if line["event"] == CAN_T_START}
    expected = "no space is left" if trouble is full_disk else "server.properties: Is a directory"
    assert all(expected in why and "\n" not in why for why in whys)


async def answers(broker: LocalBroker) -> None:
    """Wait until Kafka answers."""
    while True:
        with contextlib.suppress(Exception):
            await cluster_id(KafkaSettings(bootstrap_servers=broker.bootstrap_servers))
            return
        await asyncio.sleep(0.2)


@pytest.mark.kafka
async def test_a_local_kafka_takes_any_port_and_says_when_the_usual_one_is_taken(tmp_path: Path) -> None:
    async with LocalBroker(data=tmp_path / "any", port=0, report=lambda _: None) as broker:
        assert broker.port
        assert is_free("127.0.0.1", broker.port) is False
    said: list[str] = []
    broker = LocalBroker(data=tmp_path / "usual", report=said.append)
    async with broker:
        is_usual = broker.port == 9092
    assert [f"Kafka listens on {broker.port}" in text for text in said] == ([] if is_usual else [True])


def test_the_next_port_is_taken_where_one_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        picked = pick_port("127.0.0.1", port)
    assert picked != port


def test_two_that_look_at_the_same_moment_get_different_ports_and_who_ends_leaves_its_own(tmp_path: Path) -> None:
    """Neither listens yet, so that both ports look free to both; a file of its own locks as that of a process does."""
    usual = Address(host="127.0.0.1", port=free_port())
    by_default, asked = Environment({}, {}), Environment({}, {"AUDIENCE_LISTEN": "the environment"})
    with PortLocks(tmp_path) as second:
        with PortLocks(tmp_path) as first:
            mine = chosen_address(by_default, "AUDIENCE_LISTEN", usual, first)
            other = chosen_address(by_default, "AUDIENCE_LISTEN", usual, second)
            assert (mine, other.port > usual.port) == (usual, True)
            assert chosen_address(by_default, "AUDIENCE_LISTEN", mine, first) == mine  # again, before it listens
            with pytest.raises(PortTakenError, match=f"AUDIENCE_LISTEN: port {usual.port} is taken"):
                chosen_address(asked, "AUDIENCE_LISTEN", usual, second)
        assert chosen_address(asked, "AUDIENCE_LISTEN", usual, second) == usual


def test_a_port_that_another_program_takes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    with PortLocks(tmp_path) as ours, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        assert ours.pick("127.0.0.1", port) == port
        with socket.create_server(("127.0.0.1", port)):
            assert ours.pick("127.0.0.1", port) > port
        with PortLocks(tmp_path) as others:
            assert others.take("127.0.0.1", port)


@pytest.mark.parametrize("harm", ["a file", "a link"])
def test_where_nothing_can_be_locked_a_free_port_is_had_all_the_same(tmp_path: Path, harm: str) -> None:
    folder, port = tmp_path / "locks", free_port()
    if harm == "a file":
        folder.touch()
    else:
        folder.mkdir()
        (folder / f"127.0.0.1-{port}.lock").symlink_to(tmp_path / "elsewhere")
    with PortLocks(folder) as locks:
        assert locks.take("127.0.0.1", port)
    assert not (tmp_path / "elsewhere").exists()


def sandbox_part(folder: Path, listen: str) -> Part:
    """Return a sandbox, not yet started."""
    environment = clean_environ(folder, AUDIENCE_ENV_FILE="", AUDIENCE_SANDBOX_LISTEN=listen)
    return Part(
        name="sandbox",
        arguments=["sandbox"],
        environment=environment,
        ready_path="/healthz",
        output=folder / "sandbox.log",
    )


@asynccontextmanager
async def stranger() -> AsyncIterator[str]:
    """Run a server that says yes to everything; yields its address."""

    async def yes(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/{path:.*}", yes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_readiness_is_asked_of_the_process_that_was_started_and_of_no_other(tmp_path: Path) -> None:
    lifeline = Lifeline()
    async with stranger() as address:
        part = sandbox_part(tmp_path, address)
        part.start(lifeline)
        with pytest.raises(PartFailedError, match="ended at its start"):
            await until_ready(part)
        assert part.ready_url() is None
        await part.stop()
    lifeline.close()
    assert "set AUDIENCE_SANDBOX_LISTEN" in (tmp_path / "sandbox.log").read_text()


async def test_a_part_on_any_port_tells_which_and_listens_there_again(tmp_path: Path) -> None:
    async with Supervisor() as supervisor:
        part = sandbox_part(tmp_path, "127.0.0.1:0")
        await supervisor.start(part)
        assert part.process is not None
        first, pid = part.address, part.process.pid
        assert first is not None
        assert not first.endswith(":0")
        part.process.kill()
        async with asyncio.timeout(60):
            while part.process.pid == pid or part.ready_url() is None:
                await asyncio.sleep(0.1)
        assert part.address == first


async def test_parts_are_ended_side_by_side_and_by_force_where_they_do_not_end(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with Supervisor(limit=6) as supervisor:
            parts = [sandbox_part(tmp_path, "127.0.0.1:0") for _ in range(3)]
            await supervisor.start(*parts)
            for part in parts:
                assert part.process is not None
                part.process.send_signal(signal.SIGSTOP)
    (told,) = [line["parts"] for line in lines if line["event"] == "Waiting for parts to end."]
    assert told == ["sandbox"] * 3  # they share their time
    assert Counter(line["event"] for line in lines)["A part did not end in time: ended by force."] == 3


async def started_up(folder: Path, kafka: LocalBroker | None, **settings: str) -> asyncio.subprocess.Process:
    """Start `up` with its log in a file and return when it is ready."""
    named = {} if kafka is None else {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    anywhere = {"AUDIENCE_LISTEN": "127.0.0.1:0", "AUDIENCE_SANDBOX_LISTEN": "127.0.0.1:0"}
    environ = clean_environ(folder, AUDIENCE_ENV_FILE="", **anywhere, **named, **settings)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.entry", "up", cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    async with asyncio.timeout(100):
        while not (line := (await process.stdout.readline()).decode()).startswith("ready "):
            assert line, (folder / "log").read_text()
    return process


def lines_of(folder: Path) -> Sequence[Mapping[str, Any]]:
    """Return the log of `up`, each line of which must be one of its own."""
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


@linux
@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_ctrl_c_ends_up_within_its_time_though_kafka_is_away_and_says_what_it_waits_for(tmp_path: Path) -> None:
    async with LocalBroker(data=tmp_path / "kafka", port=free_port(), report=lambda _: None) as broker:
        process = await started_up(tmp_path, broker, AUDIENCE_SHUTDOWN_TIMEOUT="8", AUDIENCE_PROVIDERS="")
        await broker.kill()
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 40) == 0
    lines = lines_of(tmp_path)
    assert {"ingestion", "ledger", "sandbox", "consumer facebook", "consumer klaviyo", "consumer tiktok", "up"} == {
        line["part"] for line in lines
    }
    told = [line for line in lines if line["event"] == "Waiting for parts to end."]
    assert told
    assert {part for line in told for part in line["parts"]} <= {line["part"] for line in lines}


@linux
@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_a_second_up_in_the_folder_names_the_process_of_the_first(tmp_path: Path) -> None:
    process = await started_up(tmp_path, None)
    try:
        code, _, errors = await audience(tmp_path, "up")
        assert code == 1
        assert f"(process {process.pid})" in errors
        assert "Traceback" not in errors
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert {line["part"] for line in lines_of(tmp_path)} >= {"ingestion", "ledger", "sandbox", "consumer tiktok"}
