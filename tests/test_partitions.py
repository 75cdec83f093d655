"""Partitions that come and go while the product runs: paces stay inside their limits, and everything is read."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future as ConcurrentFuture
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from group_members import shares
from world import World, consuming_one, make_users, sandbox_account, sandbox_running, world

from consumer.account.pace_share import share_of
from sandbox import SandboxOptions
from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.partition_counts import followed_partitions
from streams.cluster.topics import TopicNames, TopicSpec, ensure_topics, layout
from streams.read.group_reader import GroupReader
from streams.read.messages import watermarks
from streams.read.tail import Tail
from streams.read.topic_offsets import end_offsets, watermarks_anew

TIKTOK = Target("tiktok")
ROWS = 10
CALLS = 40
"""Of one record: several times what TikTok's ten calls a second allow at once."""


async def add_partitions(kafka: KafkaSettings, topic: str, count: int) -> None:
    """Let a topic have so many partitions."""
    admin = AdminClient(kafka.client())
    await asyncio.to_thread(admin.create_partitions([NewPartitions(topic, count)])[topic].result, 10)


async def make_anew(kafka: KafkaSettings, topic: str, count: int) -> None:
    """Delete a topic and make it again with another count of partitions."""
    admin = AdminClient(kafka.client())
    await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 10)
    async with asyncio.timeout(30):
        while topic in (await asyncio.to_thread(admin.list_topics, timeout=10)).topics:
            await asyncio.sleep(0.05)
    await ensure_topics(kafka, [TopicSpec(topic, count)])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


def test_a_share_is_of_the_partitions_that_there_are_and_never_more_than_the_whole() -> None:
    assert share_of(frozenset(range(4)), 12) == pytest.approx(1 / 3)
    assert share_of(frozenset(range(12)), 2) == 1.0  # partitions were added, which is not known yet
    assert share_of(frozenset({0, 11}), 2) == pytest.approx(1 / 6)  # there are twelve at least
    assert share_of(frozenset(), 4) == 0.25  # it may have a record of before in hand, or a probe to make
    assert share_of(frozenset(), 0) == 1.0


async def test_the_count_of_partitions_follows_those_that_are_added_and_a_topic_that_is_made_anew(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 2)])
    async with followed_partitions(kafka, topic_prefix, 12) as partitions:
        assert partitions.count == 2  # whatever was registered once
        await add_partitions(kafka, topic_prefix, 5)
        await until(lambda: partitions.count == 5)
        await make_anew(kafka, topic_prefix, 3)
        await until(lambda: partitions.count == 3)


async def test_a_count_that_kafka_does_not_tell_stays_as_it_was() -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    async with followed_partitions(nowhere, "audience.batches", 12, limit=0.1) as partitions:
        assert partitions.count == 12


async def test_who_follows_a_count_ends_when_cancelled_at_the_very_moment_of_an_answer(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 2)])
    async with followed_partitions(kafka, topic_prefix, 12) as partitions:
        monkeypatch.setattr(asyncio, "wrap_future", cancelled_by_its_answer(partitions.following))
        async with asyncio.timeout(30):
            await asyncio.wait([partitions.following])
        assert partitions.following.cancelled()


def cancelled_by_its_answer(task: "asyncio.Task[None]") -> Callable[["ConcurrentFuture[Any]"], "asyncio.Future[Any]"]:
    """Return what waits for a client as asyncio does, and lets the answer cancel a task before it is told."""
    wrap = asyncio.wrap_future

    def wrapped(future: "ConcurrentFuture[Any]") -> "asyncio.Future[Any]":
        found = wrap(future)
        found.add_done_callback(lambda _: task.cancel())
        return found

    return wrapped


def publish_to_each(found: World, count: int) -> None:
    """Write a record of many calls to each partition of the log."""
    producer = Producer(found.kafka.client())
    for number in range(count):
        people = [AudienceUser(email=str(user["email"])) for user in make_users(ROWS * CALLS // count)]
        batch = AudienceBatch(batch_id=str(uuid.uuid4()), name=f"VIP {number}", users=people)
        producer.produce(found.names.batches, encode_audience_batch(batch), key=batch.key, partition=number)
    assert producer.flush(20) == 0


async def held(found: World, *wanted: int) -> None:
    """Return when the members of the account's group hold so many partitions each."""
    async with asyncio.timeout(60):
        while await shares(found.kafka, f"{found.names.prefix}.tiktok") != [*wanted]:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def account_on(kafka: KafkaSettings, prefix: str, partitions: int) -> AsyncIterator[World]:
    """Run a sandbox that keeps TikTok's limits, and topics of which the log has so many partitions."""
    names = TopicNames(prefix)
    quick = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, properties={"topic.metadata.refresh.interval.ms": "1000"}
    )
    await ensure_topics(kafka, [TopicSpec(names.batches, partitions)])
    await ensure_topics(kafka, layout(names, [TIKTOK.group_id(prefix)]), allow_weaker=True)
    options = SandboxOptions(limits=True, latency=0.02)
    async with sandbox_running(options) as url, aiohttp.ClientSession() as session:
        yield World(kafka=quick, names=names, session=session, url="", sandbox_url=url)


@asynccontextmanager
async def one_process_on(kafka: KafkaSettings, prefix: str, pace: str = "10/s") -> AsyncIterator[World]:
    """Run one process that serves TikTok, and holds the log's only partition."""
    async with account_on(kafka, prefix, 1) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url, pace=pace, rows=str(ROWS))
        async with consuming_one(served, found.kafka, found.names):
            await held(found, 1)
            yield found


async def pace_is_kept(found: World, partitions: int) -> None:
    """Publish to each partition and see that all is delivered and no call was one too many for the platform."""
    await asyncio.to_thread(publish_to_each, found, partitions)
    completions = await found.completions(partitions, timeout=60)
    assert {completion.status for completion in completions[-partitions:]} == {"delivered"}
    assert (await found.counters())["tiktok"]["refusedByLimits"] == 0


async def test_partitions_that_are_added_do_not_void_the_pace(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with one_process_on(kafka, topic_prefix) as found:
        await add_partitions(kafka, found.names.batches, 8)
        await held(found, 8)
        await pace_is_kept(found, 8)


async def test_two_processes_stay_inside_the_limit_when_partitions_are_added_and_when_one_of_them_leaves(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with account_on(kafka, topic_prefix, 2) as found:
        served = sandbox_account(TIKTOK, found.sandbox_url, pace="10/s", rows=str(ROWS))
        async with consuming_one(served, found.kafka, found.names):
            async with consuming_one(served, found.kafka, found.names):
                await held(found, 1, 1)
                await add_partitions(kafka, found.names.batches, 6)
                await held(found, 3, 3)
                await pace_is_kept(found, 6)
            await held(found, 6)
            await pace_is_kept(found, 6)


async def test_the_pace_is_kept_on_a_log_that_was_made_anew_with_more_partitions(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one_process_on(kafka, topic_prefix) as found:
        await make_anew(kafka, found.names.batches, 6)
        await held(found, 6)
        await pace_is_kept(found, 6)


async def test_calls_of_before_count_when_a_log_is_made_anew(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with one_process_on(kafka, topic_prefix, pace=f"{CALLS // 2}/h") as found:
        await asyncio.to_thread(publish_to_each, found, 1)
        await postponed(found, 1)
        await make_anew(kafka, found.names.batches, 6)
        await asyncio.to_thread(publish_to_each, found, 6)
        await postponed(found, 1 + 6)
        assert (await found.counters())["tiktok"]["byOperation"]["upload"] == CALLS // 2


async def postponed(found: World, count: int) -> None:
    """Return when so many records were postponed in all."""
    async with asyncio.timeout(60):
        while sum(await end_offsets(found.kafka, found.names.retry(f"{found.names.prefix}.tiktok"))) < count:
            await asyncio.sleep(0.1)


async def test_what_a_client_has_not_heard_of_another_one_says_that_asks_for_the_topic(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    consumer = Consumer(kafka.client(**{"group.id": topic_prefix}))
    consumer.assign([TopicPartition(topic_prefix, 0, 0)])
    assert await asyncio.to_thread(watermarks, consumer, topic_prefix, 0) == (0, 0)
    await add_partitions(kafka, topic_prefix, 2)
    with pytest.raises(KafkaException, match="Unknown partition"):
        await asyncio.to_thread(watermarks, consumer, topic_prefix, 1)
    assert await asyncio.to_thread(watermarks_anew, kafka, topic_prefix, 1) == (0, 0)
    await asyncio.to_thread(consumer.close)


async def test_a_member_takes_a_partition_over_that_its_client_has_not_heard_of(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    attentive = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, properties={"topic.metadata.refresh.interval.ms": "500"}
    )

    def member(settings: KafkaSettings) -> GroupReader:
        return GroupReader(settings, group_id=f"{topic_prefix}.g", topic=topic_prefix, first_offset=lambda _: 0)

    async with member(attentive) as leader:  # it gives the partitions out, and hears of new ones at once
        await until(lambda: leader.partitions)
        async with member(kafka) as other:  # looks every five minutes, as clients do
            await until(lambda: other.is_member)
            await add_partitions(kafka, topic_prefix, 4)
            await until(lambda: len(leader.partitions) == len(other.partitions) == 2)


@pytest.mark.parametrize("start", [None, {0: 0}], ids=["from its end", "from offsets"])
async def test_a_tail_reads_partitions_that_are_added_from_their_beginning(
    kafka: KafkaSettings, topic_prefix: str, start: dict[int, int] | None
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    async with Tail(kafka, topic_prefix, start=start) as tail:
        await add_partitions(kafka, topic_prefix, 3)

        def write() -> None:
            producer = Producer(kafka.client())
            for number in range(3):
                producer.produce(topic_prefix, str(number), partition=number)
            assert producer.flush(20) == 0

        await asyncio.to_thread(write)
        seen: set[bytes] = set()
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                async for records in tail.batches():
                    seen |= {record.value for record in records}
                    if len(seen) == 3:
                        break
    assert seen == {b"0", b"1", b"2"}


async def test_sync_uploads_are_answered_when_completions_stand_in_partitions_that_were_added(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        for topic in (found.names.completions, found.names.receipts, found.names.directory):
            await add_partitions(kafka, topic, 60)
        served = sandbox_account(TIKTOK, found.sandbox_url)
        async with consuming_one(served, kafka, found.names), asyncio.TaskGroup() as tasks:  # it knows all of them
            uploads = [
                tasks.create_task(found.upload(make_users(2, 2 * number), "?sync=true", name=f"VIP {number}"))
                for number in range(4)
            ]
        assert [upload.result()[0] for upload in uploads] == [200] * 4
