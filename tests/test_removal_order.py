"""A removal among the records of its audience, on a real Kafka: who waits for whom, and what a take-over finds."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from confluent_kafka import Consumer, Producer, TopicPartition
from processes import killed_in_the_end
from test_cli import clean_environ
from test_decisions import Clock, make_attempts
from test_pipeline import hashes
from world import World, consuming_one, sandbox_account, world

from consumer.retries.account_gate import GivenUpError
from consumer.retries.attempts import PostponedError
from providers.kit.errors import RetryError
from providers.kit.http import HttpTransport, Request
from providers.kit.rate_limiter import Pace
from sandbox import CREDENTIALS
from schemas.avro.codec import decode_batch_completion, encode_audience_batch
from schemas.avro.framing import SINGLE_OBJECT
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion, Mode, OpenRemoval
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.group_member import Leaving
from streams.read.group_reader import GroupReader
from streams.read.offset_tracker import (
    MAX_SPAN,
    decode_offsets,
    encode_offsets,
    is_left_open,
    is_marked,
    left_busy_to,
    marked,
    untagged,
)
from streams.read.tail import read_to_end
from streams.tables.account_states import followed_states

TIKTOK = Target("tiktok")
BUSY: dict[str, Any] = {
    "provider": "tiktok",
    "fault": "custom",
    "status": 200,
    "body": {"code": 40201, "message": "busy", "request_id": "r", "data": {}},
}
HOME = home_partition("custom:VIP", 12)

AT_ONCE = {"AUDIENCE_RETRY_ATTEMPTS": 1}
"""What fails is postponed at once, by a pointer."""


def record(mode: Mode, *people: int, name: str = "VIP") -> bytes:
    """Return a record of the log."""
    users = [AudienceUser(email=f"person{number}@example.com") for number in people]
    return encode_audience_batch(AudienceBatch(batch_id=str(uuid.uuid4()), name=name, users=users, mode=mode))


async def publish(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    """Append records to the home partition of one audience, in this order."""

    def produce() -> None:
        producer = Producer(kafka.client())
        for value in values:
            producer.produce(topic, value, key="custom:VIP", partition=HOME)
        assert producer.flush(20) == 0

    await asyncio.to_thread(produce)


async def until(condition: Callable[[], Any], limit: float = 40) -> Any:
    """Wait until something is so; return it."""
    async with asyncio.timeout(limit):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


async def told(found: World) -> list[BatchCompletion]:
    """Return all that the account reported."""
    return [decode_batch_completion(one.value) for one in await read_to_end(found.kafka, found.names.completions)]


async def calls(found: World) -> Mapping[str, int]:
    """Return how many calls of each kind the platform has met."""
    by_operation: Mapping[str, int] = (await found.counters())["tiktok"]["byOperation"]
    return by_operation


async def open_removals(kafka: KafkaSettings, names: TopicNames) -> list[OpenRemoval]:
    """Return the removals that all processes take for open."""
    async with followed_states(kafka, names.accounts, SINGLE_OBJECT) as states:
        return states.removals.open_removals(TIKTOK)


def waiting_for(completions: list[BatchCompletion], offset: int) -> list[int]:
    """Return the offsets of records that are said to wait for a removal."""
    return [
        one.origin.offset
        for one in completions
        if (one.status, one.error_code, one.waits_for) == ("retrying", "removal_pending", offset)
    ]


async def test_a_removal_waits_for_an_addition_under_way_later_ones_for_it_and_other_audiences_for_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        await publish(kafka, found.names.batches, record("add", 0))
        await found.completions(1)
        await found.inject(provider="tiktok", fault="stall", operation="upload", calls=1)
        await publish(kafka, found.names.batches, record("add", 1))
        await until(lambda: _have(found, upload=2))
        later = [record("remove", 0, 1), record("add", 2), record("add", 3, name="Others")]
        await publish(kafka, found.names.batches, *later)
        await until(lambda: found.members("tiktok", "blotout_Others"))
        have = await calls(found)
        assert (have["remove"], have["upload"]) == (0, 3), "one upload is stalled, one is of the others"
        await found.clear_faults()
        await found.completions(5)
        assert await found.members("tiktok") == hashes(2)


async def _have(found: World, **counts: int) -> bool:
    have = await calls(found)
    return all(have[operation] >= count for operation, count in counts.items())


async def test_who_is_later_than_a_postponed_removal_waits_by_a_pointer_that_says_for_what(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url)
        async with consuming_one(served, kafka, found.names, changed=AT_ONCE):
            await found.inject(**BUSY, operation="remove", until="cleared")
            values = [record("add", 1), record("remove", 1), record("add", 1, 2), record("add", 3, name="Others")]
            await publish(kafka, found.names.batches, *values)
            await until(lambda: _waits(found, 1, {2}))
            [entry] = await open_removals(kafka, found.names)
            assert (entry.origin.offset, entry.audience) == (1, "custom:blotout_VIP")
            await publish(kafka, found.names.batches, record("add", 4))
            await until(lambda: _waits(found, 1, {2, 4}))
            assert await found.members("tiktok", "blotout_Others") == hashes(3)
            await found.clear_faults()
            ends = {one.origin.offset: one for one in await found.completions(5)}
            removal = ends[1].finished_at
            for later in (ends[2], ends[4]):
                assert removal is not None
                assert later.started_at is not None
                assert removal < later.started_at, "the removal has ended first"
                assert later.attempts == 1, "to wait is no attempt"
            assert await found.members("tiktok") == hashes(1, 2, 4)
            await until(lambda: _none_is_open(kafka, found.names))


async def test_a_postponed_removal_takes_out_whom_a_later_addition_names_that_waits_for_it_and_fails_then(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url)
        async with consuming_one(served, kafka, found.names, changed=AT_ONCE):
            await publish(kafka, found.names.batches, record("add", 1, 2))
            await found.completions(1)
            await found.inject(**BUSY, operation="remove", until="cleared")
            await publish(kafka, found.names.batches, record("remove", 1, 2), record("add", 1))
            await until(lambda: _waits(found, 1, {2}))
            await found.inject(provider="tiktok", fault="invalid", operation="upload", until="cleared")
            faults = {"provider": "tiktok", "fault": BUSY["fault"]}
            await found.session.delete(f"{found.sandbox_url}/_sandbox/faults", params=faults)
            ends = {one.origin.offset: one for one in await found.completions(3)}
            assert [ends[offset].status for offset in range(3)] == ["delivered", "delivered", "failed"]
            assert ends[1].counts.superseded == 0
            assert await found.members("tiktok") == set()


async def _waits(found: World, behind: int, offsets: set[int]) -> bool:
    return offsets <= set(waiting_for(await told(found), behind))


async def _none_is_open(kafka: KafkaSettings, names: TopicNames) -> bool:
    return not await open_removals(kafka, names)


async def test_who_takes_a_partition_over_lets_later_records_wait_for_a_removal_that_another_has_postponed(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url)
        await found.inject(**BUSY, operation="remove", until="cleared")
        async with consuming_one(served, kafka, found.names, changed=AT_ONCE):
            await publish(kafka, found.names.batches, record("add", 1), record("remove", 1))
            await until(lambda: _open_one(kafka, found.names))
        await publish(kafka, found.names.batches, record("add", 1))
        async with consuming_one(served, kafka, found.names, changed=AT_ONCE):
            await until(lambda: _waits(found, 1, {2}))
            await found.clear_faults()
            await found.completions(3)
        assert await found.members("tiktok") == hashes(1)


async def _open_one(kafka: KafkaSettings, names: TopicNames) -> bool:
    return bool(await open_removals(kafka, names))


async def test_a_removal_that_fails_for_good_lets_those_behind_it_go(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url)
        await found.inject(**BUSY, operation="remove", until="cleared")
        changed = {**AT_ONCE, "AUDIENCE_RETRY_AGE": 5}
        async with consuming_one(served, kafka, found.names, changed=changed):
            await publish(kafka, found.names.batches, record("add", 1), record("remove", 1), record("add", 2))
            await until(lambda: _waits(found, 1, {2}))
            ends = {one.origin.offset: one for one in await found.completions(3)}
        assert [ends[offset].status for offset in range(3)] == ["delivered", "failed", "delivered"]
        assert await found.members("tiktok") == hashes(1, 2)


async def test_a_removal_after_an_unclean_end_is_sent_once_more_when_no_call_of_the_dead_can_come(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url, timeout="3")
        async with consuming_one(served, kafka, found.names):
            await publish(kafka, found.names.batches, record("add", 1))
            await found.completions(1)
            await found.inject(provider="tiktok", fault="stall", operation="upload", calls=1, seconds=2)
            await publish(kafka, found.names.batches, record("add", 2))
            await until(lambda: _have(found, upload=2))
        assert [left_busy_to(*place) for place in _committed(found).values() if left_busy_to(*place)]
        await publish(kafka, found.names.batches, record("remove", 1, 2))
        async with consuming_one(served, kafka, found.names):
            await found.completions(3)
        assert (await calls(found))["remove"] >= 2
        assert await found.members("tiktok") == set()


async def test_an_addition_of_a_stopped_process_that_comes_after_a_removal_is_undone_by_the_second_one(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await publish(kafka, found.names.batches, record("add", 1))
        environ = clean_environ(
            tmp_path,
            AUDIENCE_ENV_FILE="",
            AUDIENCE_PROVIDERS="tiktok",
            AUDIENCE_TOPIC_PREFIX=found.names.prefix,
            KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            KAFKA_SESSION_TIMEOUT_MS="6000",
            TIKTOK_BASE_URL=f"{found.sandbox_url}/tiktok",
            TIKTOK_PACE="off",
            **CREDENTIALS["tiktok"],
        )
        stopped = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.entry", "consume", "--provider", "tiktok"),
            cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        async with killed_in_the_end(stopped):
            await found.completions(1)
            await found.inject(provider="tiktok", fault="stall", operation="upload", calls=1)
            await publish(kafka, found.names.batches, record("add", 2))
            await until(lambda: _have(found, upload=2))
            stopped.send_signal(signal.SIGSTOP)
            await publish(kafka, found.names.batches, record("remove", 1, 2))
            served = sandbox_account(TIKTOK, found.sandbox_url, timeout="12")
            async with consuming_one(served, kafka, found.names):
                await until(lambda: _have(found, remove=1))
                assert await found.members("tiktok") == set()
                await found.clear_faults()  # what was stalled is done now
                await until(lambda: _is_member(found, 2))
                await until(lambda: _has_ended(found, 2))
                assert await found.members("tiktok") == set()
                stopped.send_signal(signal.SIGCONT)
                await asyncio.sleep(2)  # in which it finds out that nothing is its own any more
                assert await found.members("tiktok") == set()


async def _has_ended(found: World, offset: int) -> bool:
    return any(one.origin.offset == offset and one.status == "delivered" for one in await told(found))


async def _is_member(found: World, person: int) -> bool:
    return hashes(person) <= await found.members("tiktok")


def _committed(found: World) -> Mapping[int, tuple[int, str]]:
    consumer = Consumer(found.kafka.client(**{"group.id": TIKTOK.group_id(found.names.prefix)}))
    try:
        places = consumer.committed([TopicPartition(found.names.batches, number) for number in range(12)], timeout=10)
        return {one.partition: (one.offset, untagged(one.metadata or "")[1]) for one in places if one.offset >= 0}
    finally:
        consumer.close()


async def test_what_a_version_that_knew_no_removals_has_ended_unread_is_carried_out(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url)
        async with consuming_one(served, kafka, found.names):
            await publish(kafka, found.names.batches, record("add", 1, 2))
            await found.completions(1)
        await publish(kafka, found.names.batches, record("remove", 1))
        await asyncio.to_thread(_commit, found, 2)
        async with consuming_one(served, kafka, found.names):
            await found.completions(2)
            await until(lambda: _is_marked(found))
        assert await found.members("tiktok") == hashes(2)
        async with consuming_one(served, kafka, found.names):
            await publish(kafka, found.names.batches, record("add", 3))
            await found.completions(3)
        assert (await calls(found))["remove"] == 1, "it is looked for once"


def _commit(found: World, offset: int) -> None:
    """Commit as a version of before did, by the same group."""
    consumer = Consumer(found.kafka.client(**{"group.id": TIKTOK.group_id(found.names.prefix)}))
    consumer.commit(offsets=[TopicPartition(found.names.batches, 0, offset, "")], asynchronous=False)
    consumer.close()


async def _is_marked(found: World) -> bool:
    return is_marked(*(await asyncio.to_thread(_committed, found))[HOME])


def test_metadata_with_a_mark_says_the_same_to_versions_that_know_none() -> None:
    for finished in (set[int](), {6}, {7, 5 + MAX_SPAN - 1}):
        for busy_to in (None, 5, 6, 40, 5 + MAX_SPAN):
            text = marked(5, encode_offsets(5, finished), busy_to=busy_to)
            assert (decode_offsets(5, text), is_marked(5, text), is_left_open(text)) == (finished, True, False)
            assert len(text) <= 4000
            read_to = left_busy_to(5, text)
            assert (read_to is None) == (busy_to is None)
            assert read_to is None or busy_to is None or read_to >= busy_to
    assert not is_marked(5, "")
    assert not is_marked(5, encode_offsets(5, {6}))


async def test_who_leaves_with_calls_under_way_says_so_and_nobody_is_suspected_for_that(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await publish(kafka, found.names.batches, record("add", 1))

        async def first(is_quiet: bool) -> Record:
            reader = GroupReader(
                kafka,
                group_id=f"{topic_prefix}.g",
                topic=found.names.batches,
                first_offset=lambda _: 0,
                leaving=Leaving(is_quiet=lambda _: is_quiet, longest_call=60),
            )
            async with reader:
                async for records in reader.batches():
                    return records[0]
            raise AssertionError

        assert (await first(is_quiet=True)).assignment.is_clean  # type: ignore[union-attr]
        assert (await first(is_quiet=False)).assignment.is_clean  # type: ignore[union-attr]
        after = await first(is_quiet=True)
        assert after.assignment is not None
        assert (after.assignment.is_clean, after.is_suspect) == (False, False)
        assert after.assignment.end >= 1
        again = await first(is_quiet=True)
        assert again.assignment is not None
        assert not again.assignment.is_clean, "calls of the one before may still come, as too little time has passed"


HOLDING = """
import asyncio, sys, time
from streams.client.settings import KafkaSettings
from streams.read.group_reader import GroupReader

async def main(servers, topic):
    kafka = KafkaSettings(bootstrap_servers=servers, properties={"session.timeout.ms": "6000"})
    async with GroupReader(kafka, group_id=f"{topic}.g", topic=topic, first_offset=lambda _: 0) as reader:
        async for records in reader.batches():
            while True:
                is_ours = reader.is_sure(records[0]) and reader.holds(records[0])
                print(f"{time.time()} {'ours' if is_ours else 'unsure'}", flush=True)
                await asyncio.sleep(0.01)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("stopped", "is_lost"), [(4, False), (9, True)])
async def test_who_was_stopped_takes_no_record_for_its_own_before_kafka_has_said_so(
    kafka: KafkaSettings, topic_prefix: str, stopped: float, is_lost: bool
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await publish(kafka, found.names.batches, record("add", 1))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDING, kafka.bootstrap_servers, found.names.batches, stdout=asyncio.subprocess.PIPE
        )
        async with killed_in_the_end(process):
            assert process.stdout is not None
            async with asyncio.timeout(30):
                while not (await process.stdout.readline()).endswith(b"ours\n"):
                    pass
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(stopped)  # the session ends by Kafka's clock alone
            continued = time.time()
            process.send_signal(signal.SIGCONT)
            said: list[tuple[float, str]] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    while not said or said[-1][0] < continued + 2:
                        at, _, word = (await process.stdout.readline()).decode().strip().partition(" ")
                        said += [(float(at), word)] if word in ("ours", "unsure") else []
            after = [word for at, word in said if at > continued + 0.001]
            assert after[0] == "unsure"
            assert ("ours" in after) is not is_lost


async def test_the_last_look_comes_after_the_slot_and_before_the_bytes() -> None:
    met, is_ours = [], True

    async def answer(request: web.Request) -> web.Response:
        met.append(await request.read())
        await asyncio.sleep(30 if request.path == "/never" else 0)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    slots = asyncio.Semaphore(1)
    async with ClientSession() as session:
        transport = HttpTransport(
            session,
            f"http://127.0.0.1:{runner.addresses[0][1]}",
            slots=slots,
            pace=Pace({"call": ()}, time.monotonic, asyncio.sleep),
            timeout=0.5,
            pause_after=lambda _: None,
        )
        attempts = make_attempts(Clock(), attempts=1)
        attempts.is_wanted = lambda: is_ours
        async with slots:
            trying = asyncio.create_task(attempts.run(lambda: transport.send(request("/at-once"))))
            await asyncio.sleep(0)
            is_ours = False
        with pytest.raises(GivenUpError):
            await trying
        assert (met, attempts.has_called, attempts.doubtful_until) == ([], False, float("-inf"))
        is_ours = True
        with pytest.raises(RetryError) as raised:
            await transport_call(attempts, transport)
        assert raised.value.code == "no_answer"
        assert (attempts.has_called, attempts.doubtful_until) == (True, attempts.time.clock() + attempts.longest_call)
    await runner.cleanup()


def request(path: str) -> Request:
    return Request(operation="call", method="POST", path=path, headers={}, body=b"{}")


async def transport_call(attempts: Any, transport: HttpTransport) -> None:
    """Make a call that is not answered in time."""
    try:
        await attempts.run(lambda: transport.send(request("/never")))
    except PostponedError as postponed:
        raise postponed.error from postponed
