"""The local Kafka: gets what it needs, says what is wrong, never outlives its parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kafka_clients import clients
from world import make_users, world

from streams.client.errors import BrokerFailedError, KafkaUnreachableError, PortTakenError
from streams.client.rights import Rights
from streams.client.settings import KafkaSettings
from streams.cluster.groups import GroupLooks, backlog, committed_offsets, groups_with_members
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.local import jars
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.group_reader import GroupReader
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets
from streams.write.writer import Writer

pytestmark = pytest.mark.kafka

OWNER = """
import asyncio, sys
from pathlib import Path
from streams.local.broker import LocalBroker

async def own():
    async with LocalBroker(data=Path(sys.argv[1]), port=int(sys.argv[2])) as broker:
        print(broker.guard, flush=True)
        await asyncio.Event().wait()

asyncio.run(own())
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


async def gone(pids: list[int]) -> None:
    """Wait until processes are no more."""
    async with asyncio.timeout(20):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


def own_broker(data: Path) -> tuple["subprocess.Popen[str]", int, list[int]]:
    """Start a process that owns a Kafka; return it, the guard's id and Kafka's."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data), str(free_port())], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    guard = int(owner.stdout.readline())
    return owner, guard, children(guard)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_kafka_ends_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    owner, guard, kafka = await asyncio.to_thread(own_broker, tmp_path)
    assert len(kafka) == 1
    owner.kill()
    owner.communicate()
    await gone([guard, *kafka])


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_kafka_ends_with_its_guard(tmp_path: Path) -> None:
    owner, guard, kafka = await asyncio.to_thread(own_broker, tmp_path)
    os.kill(guard, signal.SIGKILL)
    await gone(kafka)
    owner.kill()
    owner.communicate()


async def test_a_restart_keeps_what_was_written(tmp_path: Path) -> None:
    for start in range(2):
        async with LocalBroker(data=tmp_path, port=free_port()) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            await ensure_topics(kafka, [TopicSpec("topic", 1)])
            async with Writer(kafka) as writer:
                await writer.send("topic", "key", str(start).encode())
            assert [record.value for record in await read_to_end(kafka, "topic")] == [b"0", b"1"][: start + 1]
            if start == 0:
                kept = (tmp_path / "server.properties").read_bytes()
                with pytest.raises(BrokerFailedError, match="another Kafka uses"):
                    await LocalBroker(data=tmp_path, port=free_port()).start()
                assert (tmp_path / "server.properties").read_bytes() == kept
                assert not (tmp_path / "broker-before.log").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_what_was_acknowledged_survives_a_kill_and_nobody_is_left_of_a_kafka_that_was_killed(
    tmp_path: Path,
) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(kafka, [TopicSpec("topic", 1)])
        async with Writer(kafka) as writer:
            await writer.send("topic", "key", b"kept")
        pid = broker.pid
        os.kill(pid, signal.SIGSTOP)
        await broker.kill()
        assert not is_alive(pid)
        with pytest.raises(ProcessLookupError):
            await broker.kill()
        await broker.start()
        assert [record.value for record in await read_to_end(kafka, "topic")] == [b"kept"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_guard_that_does_not_end_with_its_kafka_is_killed_too(tmp_path: Path) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        pid, guard = broker.pid, broker.guard
        assert guard is not None
        os.kill(guard, signal.SIGSTOP)
        async with asyncio.timeout(20):
            await broker.kill(0.1)
        await gone([pid, guard])


SIGNALLED_ANYWHERE = """
import os, signal, sys, time
from streams.processes import parent_guard

def guard(at):
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if event == "line" and callable(signal.getsignal(signal.SIGTERM)):
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGTERM)
        return trace

    sys.argv = ["guard", "sleep", "60"]
    sys.settrace(trace)
    parent_guard.main()
    os._exit(0)

running = {}
for at in range(1, 81):
    pid = os.fork()
    if not pid:
        guard(at)
    running[pid] = at
until = time.monotonic() + 20
while running and time.monotonic() < until:
    for pid in [pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]]:
        del running[pid]
    time.sleep(0.02)
for pid in running:
    os.kill(pid, signal.SIGKILL)
print(sorted(running.values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="its children are killed with it")
def test_a_guard_ends_at_a_signal_wherever_it_interrupts_it() -> None:
    """One that had an event for that waited for the event's lock, which it held itself, and Kafka's end never came."""
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALLED_ANYWHERE], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "[]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_to_ask_who_is_in_a_group_of_a_kafka_that_dies_ends_no_process(tmp_path: Path) -> None:
    """librdkafka 2.16 aborts the process that describes groups by its newer call then."""

    async def ask(kafka: KafkaSettings) -> None:
        for _ in range(6):
            with contextlib.suppress(KafkaUnreachableError):
                assert await groups_with_members(kafka, ["one", "another", "a third"], 1) == set()

    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(6):
                tasks.create_task(ask(kafka))
            await broker.kill()
        with pytest.raises(KafkaUnreachableError):
            await groups_with_members(kafka, ["one"], 1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_to_ask_what_groups_have_committed_of_a_kafka_that_stands_still_leaves_threads_to_others(
    tmp_path: Path,
) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka, pid = KafkaSettings(bootstrap_servers=broker.bootstrap_servers), broker.pid
        os.kill(pid, signal.SIGSTOP)
        asked = [asyncio.create_task(committed_offsets(kafka, f"group {number}", "topic", 1)) for number in range(40)]
        try:
            await asyncio.sleep(0)
            other = asyncio.create_task(asyncio.to_thread(os.getpid))
            done, _ = await asyncio.wait([*asked, other], return_when=asyncio.FIRST_COMPLETED)
            assert done == {other}
        finally:
            os.kill(pid, signal.SIGCONT)
            await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_sync_upload_that_was_accepted_is_told_so_though_kafka_is_gone_by_then(tmp_path: Path) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        settings = {"AUDIENCE_SYNC_TIMEOUT": 4}
        async with world(kafka, "audience", providers=["tiktok"], consuming=[], settings=settings) as found:
            upload = asyncio.create_task(found.upload(make_users(1), "?sync=true"))
            async with asyncio.timeout(3):
                while not sum(await end_offsets(kafka, found.names.batches)):
                    await asyncio.sleep(0.02)
            await broker.kill()
            status, body, headers = await upload
    assert (status, body["errors"]) == (504, [f"tiktok: still in progress; see {found.url}{headers['Location']}"])


async def test_a_group_is_behind_by_what_it_has_not_committed(kafka: KafkaSettings, topic_prefix: str) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 2)])
    async with Writer(kafka) as writer:
        for number in range(5):
            await writer.send(topic_prefix, str(number), b"record")
    assert await backlog(kafka, "nobody", topic_prefix) == 5
    reader = GroupReader(kafka, group_id=topic_prefix, topic=topic_prefix, first_offset=lambda _: 0)
    async with reader:
        left = 4
        async for records in reader.batches():
            for record in records[:left]:
                reader.finish(record)
            left -= len(records)
            if left < 0:
                break
    assert await backlog(kafka, topic_prefix, topic_prefix) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_rights_are_asked_for_by_one_client(kafka: KafkaSettings, topic_prefix: str) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    rights = Rights(kafka)
    assert await rights.may_write(topic_prefix)
    before = clients()
    for _ in range(3):
        assert await rights.may_write(topic_prefix)
    assert clients() <= before


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_groups_are_asked_about_by_kept_clients_also_after_kafka_was_away(tmp_path: Path) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(kafka, [TopicSpec("topic", 2)])
        async with Writer(kafka) as writer:
            for number in range(5):
                await writer.send("topic", str(number), b"record")
        async with GroupReader(kafka, group_id="joined", topic="topic", first_offset=lambda _: 0) as reader:
            await anext(aiter(reader.batches()))
            with GroupLooks(kafka, ["joined", "nobody"], "topic") as looks:
                expected = ({"joined": 5, "nobody": 5}, {"joined"})
                assert (await looks.backlogs(), await looks.with_members()) == expected
                before = clients()
                for _ in range(3):
                    assert (await looks.backlogs(), await looks.with_members()) == expected
                assert clients() <= before
                await broker.kill()
                with pytest.raises(KafkaUnreachableError):
                    await looks.with_members()
                with pytest.raises(KafkaUnreachableError):
                    await looks.backlogs()
                await broker.start()
                async with asyncio.timeout(60):
                    while await told(looks) != expected:
                        await asyncio.sleep(0.2)


async def told(looks: GroupLooks) -> tuple[dict[str, int | None], set[str]] | None:
    """Return how far groups are behind and which have members, None where Kafka does not say."""
    try:
        return await looks.backlogs(), await looks.with_members()
    except KafkaUnreachableError:
        return None


async def test_two_that_start_at_the_same_moment_never_take_each_other_s_kafka_for_their_own(tmp_path: Path) -> None:
    port = free_port()
    brokers = [LocalBroker(data=tmp_path / name, port=port) for name in ("a", "b")]
    outcomes = await asyncio.gather(*(broker.start() for broker in brokers), return_exceptions=True)
    try:
        failed = [outcome for outcome in outcomes if outcome is not None]
        assert len(failed) == 1
        assert isinstance(failed[0], BrokerFailedError | PortTakenError)
    finally:
        await asyncio.gather(*(broker.stop() for broker in brokers))


async def test_a_port_that_is_asked_for_and_taken_is_an_error(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(PortTakenError, match=f"Port {port}"):
        await LocalBroker(data=tmp_path, port=port).start()
    server.close()


def test_a_jar_that_is_not_the_one_in_the_lock_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "audience" / f"kafka-{jars.KAFKA_VERSION}"
    folder.mkdir(parents=True)
    for name in jars.locked_jars():
        (folder / name).write_bytes(b"something else")
    with pytest.raises(BrokerFailedError, match=r"HdrHistogram.*Delete that folder"):
        jars.class_path({"XDG_CACHE_HOME": str(tmp_path)}, print)


def test_kafka_home_comes_first() -> None:
    assert jars.class_path({"KAFKA_HOME": "/opt/kafka"}, print) == "/opt/kafka/libs/*"


def test_an_old_java_is_passed_over(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    found = jars.find_java({"JAVA_HOME": str(tmp_path), "PATH": ""})
    assert found != str(java)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.2\"' >&2\n")
    assert jars.find_java({"JAVA_HOME": str(tmp_path), "PATH": ""}) == str(java)
