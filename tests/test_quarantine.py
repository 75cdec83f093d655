"""A record that ends the process which reads it is quarantined, and nothing else is."""

import asyncio
import contextlib
import pickle
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from deadly import Deadly, deadly, end_by, fail, loop, sleep, talk, wait
from pod import Pod, pods_running
from world import make_topics, make_users, sandbox_running

from schemas.avro.codec import (
    decode_batch_completion,
    decode_batch_receipt,
    encode_audience_batch,
)
from schemas.avro.framing import Framing
from schemas.records import TERMINAL, AudienceBatch, AudienceUser, BatchCompletion, BatchReceipt, Origin
from schemas.target import Target
from streams.client import schema_registry
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.containment import quarantine
from streams.containment.quarantine import Trial
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.read.offset_tracker import OffsetTracker, decode_offsets, is_left_open, left_open
from streams.read.tail import read_to_end

FRAMING = Framing(Deadly())
FACEBOOK = Target("facebook")
ORIGIN = Origin(topic="t", partition=0, offset=7)


def batch(name: str) -> bytes:
    """Return a batch of one user, as a publisher with that registry writes it."""
    users = [AudienceUser(email=str(make_users(1)[0]["email"]))]
    return encode_audience_batch(AudienceBatch(batch_id=str(uuid.uuid4()), name=name, users=users), FRAMING)


@pytest.mark.parametrize("by", sorted(quarantine.OF_THE_RECORD))
async def test_what_ends_a_child_twice_by_a_fault_is_told_and_its_neighbours_are_not(by: int) -> None:
    async with Trial(partial(end_by, by=by)) as tried:
        assert not await tried.ends_process(Record(origin=ORIGIN))
        assert await tried.ends_process(Record(origin=ORIGIN, value=b"x"))
        assert not await tried.ends_process(Record(origin=ORIGIN))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_child_that_others_end_says_nothing_of_its_record(by: int) -> None:
    async with Trial(partial(end_by, by=by)) as tried:
        assert not await tried.ends_process(Record(origin=ORIGIN, value=b"x"))
        assert not await tried.ends_process(Record(origin=ORIGIN))


@pytest.mark.parametrize("judge", [fail, talk])
async def test_an_error_and_words_of_a_library_are_no_death(judge: Callable[[Record], None]) -> None:
    async with Trial(judge) as tried:
        for value in (b"", b"x" * 1_000_000):
            assert not await tried.ends_process(Record(origin=ORIGIN, value=value))


async def test_work_without_end_counts_as_a_death_and_waiting_for_a_registry_does_not() -> None:
    async with Trial(loop, limit=0.5) as tried:
        assert await tried.ends_process(Record(origin=ORIGIN, value=b"x"))
    async with Trial(wait, limit=0.5) as tried:
        assert not await tried.ends_process(Record(origin=ORIGIN, value=b"x"))
    one_question = 4 * (schema_registry.TIMEOUT + 2)  # with its repetitions, and the pauses between them
    assert 2 * one_question + schema_registry.LONGEST < quarantine.CHILD_TIMEOUT


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
async def test_a_record_by_which_a_child_stands_still_twice_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Trial(sleep) as tried:
        assert not await tried.ends_process(Record(origin=ORIGIN))
        monkeypatch.setattr(quarantine, "CHILD_TIMEOUT", 0.5)
        assert await tried.ends_process(Record(origin=ORIGIN, value=b"x"))
        monkeypatch.setattr(quarantine, "CHILD_TIMEOUT", 60)
        assert not await tried.ends_process(Record(origin=ORIGIN))


def test_a_child_at_work_ends_with_a_parent_that_is_killed() -> None:
    script = Path(__file__).parent / "parent.py"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = Path("/proc") / parent.stdout.readline().strip()
        assert child.exists()
        parent.kill()
    deadline = time.monotonic() + 30
    while child.exists() and "Z" not in (child / "stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_child_is_started_when_it_is_needed_and_ended_when_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "IDLE", 0.05)
    async with Trial(fail) as tried:
        assert tried._child is None
        await tried.ends_process(Record(origin=ORIGIN))
        child = tried._child
        assert child is not None
        async with asyncio.timeout(10):
            await child.wait()
        assert tried._child is None
        assert not await tried.ends_process(Record(origin=ORIGIN))


def test_a_registry_is_the_same_one_in_a_child() -> None:
    registry = ConfluentRegistry("mock://here", {"AudienceBatch": "log"})
    again = pickle.loads(pickle.dumps(registry))  # noqa: S301 -- our own
    assert (again._url, again._topics) == ("mock://here", {"AudienceBatch": "log"})


def test_a_partition_that_is_held_says_so_and_what_is_finished_is_read_all_the_same() -> None:
    tracker = OffsetTracker(5)
    for offset in range(5, 9):
        tracker.add(offset)
    tracker.finish(7)
    metadata = left_open(tracker.metadata())
    assert is_left_open(metadata)
    assert is_left_open(left_open(""))
    assert not is_left_open(tracker.metadata())
    assert not is_left_open("")
    assert decode_offsets(5, metadata) == {7}


@contextlib.asynccontextmanager
async def member(kafka: KafkaSettings, topic: str) -> AsyncIterator[GroupReader]:
    async with GroupReader(kafka, group_id=f"{topic}.g", topic=topic, first_offset=lambda _: 0) as reader:
        yield reader


def publish(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    """Publish with a bare producer, to one partition."""
    producer = Producer(kafka.client())
    for value in values:
        producer.produce(topic, value, partition=0, headers={"audience-source": b"test"})
    assert producer.flush(20) == 0


async def taken(reader: GroupReader, count: int) -> list[Record]:
    """Return so many records."""
    found: list[Record] = []
    async with asyncio.timeout(30):
        async for records in reader.batches():
            found += records
            if len(found) >= count:
                return found
    raise AssertionError


def left_uncleanly(kafka: KafkaSettings, topic: str) -> None:
    """Leave partitions as one does that is killed: what it committed last says that they are held."""
    consumer = Consumer(kafka.client(**{"group.id": f"{topic}.g"}))
    held = [TopicPartition(topic, number, 0, left_open("")) for number in range(6)]
    consumer.commit(offsets=held, asynchronous=False)
    consumer.close()


async def test_who_leaves_in_order_leaves_no_suspects_and_who_does_not_leaves_what_was_there(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    topic = names.batches
    await asyncio.to_thread(publish, kafka, topic, b"1", b"2", b"3")
    async with member(kafka, topic) as reader:
        assert [record.is_suspect for record in await taken(reader, 3)] == [False] * 3
    async with member(kafka, topic) as reader:
        assert [record.is_suspect for record in await taken(reader, 3)] == [False] * 3
    await asyncio.to_thread(left_uncleanly, kafka, topic)
    async with member(kafka, topic) as reader:
        found = await taken(reader, 3)
        assert [record.is_suspect for record in found] == [True] * 3
        await asyncio.to_thread(publish, kafka, topic, b"4")
        [later] = await taken(reader, 1)
        assert not later.is_suspect
        for record in [*found, later]:
            reader.finish(record)


def spec(
    kafka: KafkaSettings, prefix: str, kind: str, sandbox: str = "", by: int = signal.SIGSEGV
) -> dict[str, object]:
    """Return what a pod is to do."""
    return {"kafka": kafka.bootstrap_servers, "prefix": prefix, "kind": kind, "sandbox": sandbox, "by": by}


async def ends(kafka: KafkaSettings, names: TopicNames, count: int) -> Mapping[Origin, list[BatchCompletion]]:
    """Return how records ended, once so many have."""
    async with asyncio.timeout(120):
        while True:
            told: dict[Origin, list[BatchCompletion]] = {}
            for record in await read_to_end(kafka, names.completions):
                completion = decode_batch_completion(record.value, FRAMING)
                if completion.status in TERMINAL:
                    told.setdefault(completion.origin, []).append(completion)
            if len(told) >= count:
                return told
            await asyncio.sleep(0.2)


async def receipts(kafka: KafkaSettings, names: TopicNames, count: int) -> list[BatchReceipt]:
    """Return the receipts, once there are so many."""
    async with asyncio.timeout(120):
        while True:
            found = [decode_batch_receipt(one.value, FRAMING) for one in await read_to_end(kafka, names.receipts)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.2)


@pytest.mark.timeout(240)
async def test_two_pods_in_turn_meet_a_record_that_ends_them_and_go_on_without_it(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    async with sandbox_running() as sandbox:
        what = spec(kafka, topic_prefix, "facebook", sandbox)
        first, second = (Pod(what, tmp_path / f"{number}.log") for number in range(2))
        async with pods_running([first, second]):
            await asyncio.gather(first.started(), second.started())
            await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"))
            await ends(kafka, names, 1)
            values = [*(batch("VIP") for _ in range(10)), deadly(), *(batch("VIP") for _ in range(10))]
            await asyncio.to_thread(publish, kafka, names.batches, *values)
            told = await ends(kafka, names, 22)
            assert first.deaths + second.deaths >= 1, "nothing was ended, so nothing is proven"
            await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"))
            told = await ends(kafka, names, 23)
            before = first.deaths + second.deaths
            await asyncio.sleep(3)
            assert first.deaths + second.deaths == before
    quarantined = [place for place, found in told.items() if found[-1].error_code == "quarantined"]
    assert quarantined == [Origin(topic=names.batches, partition=0, offset=11)]
    assert {(end.status, end.error_code) for end in told[quarantined[0]]} == {("failed", "quarantined")}
    assert {found[-1].status for place, found in told.items() if place not in quarantined} == {"delivered"}


@pytest.mark.timeout(240)
async def test_a_record_that_ends_the_ledger_has_a_receipt_that_says_so(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix)
    pod = Pod(spec(kafka, topic_prefix, "ledger", by=signal.SIGABRT), tmp_path / "ledger.log")
    await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"), deadly(), batch("VIP"))
    async with pods_running([pod]):
        await receipts(kafka, names, 3)
        await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"))
        told = await receipts(kafka, names, 4)
    assert pod.deaths >= 1
    last = {receipt.origin.offset: (receipt.verdict, receipt.reason, receipt.source) for receipt in told}
    assert last[1] == ("undecodable", "quarantined: it ends the process that reads it", None)
    assert [last[offset][0] for offset in (0, 2, 3)] == ["valid"] * 3
    assert last[3][2] == "test"


@pytest.mark.timeout(240)
async def test_a_pod_that_is_killed_quarantines_nothing(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    async with sandbox_running() as sandbox:
        pod = Pod(spec(kafka, topic_prefix, "facebook", sandbox), tmp_path / "pod.log")
        async with pods_running([pod]):
            await pod.started()
            for number in range(3):
                await asyncio.to_thread(publish, kafka, names.batches, *(batch("VIP") for _ in range(20)))
                await ends(kafka, names, 20 * number + 5)
                assert pod.process is not None
                pod.process.kill()
            told = await ends(kafka, names, 60)
            async with asyncio.timeout(60):
                while pod.deaths < 3:  # the last one may have delivered all before it was gone
                    await asyncio.sleep(0.1)
    assert {found[-1].status for found in told.values()} == {"delivered"}


@pytest.mark.timeout(240)
async def test_a_pointer_that_ends_its_pod_ends_its_record(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    group = FACEBOOK.group_id(topic_prefix)
    async with sandbox_running() as sandbox:
        pod = Pod(spec(kafka, topic_prefix, "facebook", sandbox), tmp_path / "pod.log")
        async with pods_running([pod]):
            await pod.started()
            await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"))
            [place] = await ends(kafka, names, 1)
            producer = Producer(kafka.client())
            producer.produce(names.retry(group), deadly(), key=str(place))
            assert producer.flush(20) == 0
            async with asyncio.timeout(120):
                while {end.status for end in (await ends(kafka, names, 1))[place]} != {"delivered", "failed"}:
                    await asyncio.sleep(0.2)
    told = (await ends(kafka, names, 1))[place]
    assert {(end.status, end.error_code) for end in told} == {("delivered", None), ("failed", "quarantined")}
    assert pod.deaths >= 1


@pytest.mark.timeout(240)
async def test_a_replay_that_a_record_ends_goes_on_without_it_when_it_is_resumed(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    await asyncio.to_thread(publish, kafka, names.batches, batch("VIP"), deadly(), batch("VIP"))
    async with sandbox_running() as sandbox:
        pod = Pod(spec(kafka, topic_prefix, "facebook", sandbox) | {"records": 3}, tmp_path / "pod.log")
        async with pods_running([pod]):
            told = await ends(kafka, names, 3)
    assert pod.deaths >= 1
    last = {place.offset: (found[-1].status, found[-1].error_code) for place, found in told.items()}
    assert last == {0: ("delivered", None), 1: ("failed", "quarantined"), 2: ("delivered", None)}
