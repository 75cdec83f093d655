"""`audience consume` as a process that is killed, or told to end: what is done again, and that nothing is lost."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from processes import killed_in_the_end
from test_cli import clean_environ
from test_pipeline import hashes, minimal_record, publish, single_object
from world import World, world

from providers.kit.settings import AccountSettings
from sandbox import CREDENTIALS, SandboxOptions
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.offset_tracker import decode_offsets, untagged

SLOTS: int = AccountSettings.model_fields["slots"].default
"""Calls that may be under way at once: the in-flight window."""

SHUTDOWN = 15


@contextlib.asynccontextmanager
async def waiting(kafka: KafkaSettings, prefix: str, records: int, latency: float = 0.001) -> AsyncIterator[World]:
    """Run the sandbox, with so many records of one user each waiting for TikTok on one partition."""
    options = SandboxOptions(limits=False, latency=latency)
    async with world(kafka, prefix, providers=["tiktok"], consuming=(), options=options) as found:
        values = [single_object(minimal_record(person)) for person in range(records)]
        await asyncio.to_thread(publish, found, *values)
        yield found


@contextlib.asynccontextmanager
async def consuming(found: World, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `audience consume --provider tiktok` while the block is entered."""
    environ = clean_environ(
        folder,
        AUDIENCE_ENV_FILE="",
        AUDIENCE_PROVIDERS="tiktok",
        AUDIENCE_TOPIC_PREFIX=found.names.prefix,
        AUDIENCE_SHUTDOWN_TIMEOUT=str(SHUTDOWN),
        KAFKA_BOOTSTRAP_SERVERS=found.kafka.bootstrap_servers,
        KAFKA_SESSION_TIMEOUT_MS="6000",  # for so long a killed member's place is kept
        TIKTOK_BASE_URL=f"{found.sandbox_url}/tiktok",
        TIKTOK_PACE="off",
        TIKTOK_ROWS="1",  # so that a record is a call
        **CREDENTIALS["tiktok"],
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", "consume", "--provider", "tiktok", cwd=folder, env=environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    async with killed_in_the_end(process):
        yield process


async def uploads(found: World) -> int:
    """Return how many upload calls the platform has met."""
    calls: int = (await found.counters())["tiktok"]["byOperation"]["upload"]
    return calls


async def until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(40):
        while not await condition():
            await asyncio.sleep(0.05)


async def until_uploads(found: World, calls: int) -> None:
    """Wait until the platform has met so many upload calls."""

    async def have_come() -> bool:
        return await uploads(found) >= calls

    await until(have_come)


async def everything_arrives(found: World, records: int) -> None:
    """Wait until the log is committed to its end; by then the platform must have all users."""

    async def is_committed() -> bool:
        return (records, set()) in (await asyncio.to_thread(committed, found)).values()

    await until(is_committed)
    assert len(await found.completions(records)) >= records
    assert await found.members("tiktok") == hashes(*range(records))


def committed(found: World) -> Mapping[int, tuple[int, set[int]]]:
    """Return of each partition the committed offset, and what is finished beyond it."""
    group = Target("tiktok").group_id(found.names.prefix)
    consumer = Consumer({"bootstrap.servers": found.kafka.bootstrap_servers, "group.id": group})
    try:
        wanted = [TopicPartition(found.names.batches, number) for number in range(12)]
        places = consumer.committed(wanted, timeout=10)
        return {
            p.partition: (p.offset, decode_offsets(p.offset, untagged(p.metadata or "")[1]))
            for p in places
            if p.offset >= 0
        }
    finally:
        consumer.close()


async def is_all_but_one_committed(found: World, records: int) -> bool:
    """Tell whether one record early on is all that is not committed as finished."""
    places = await asyncio.to_thread(committed, found)
    return any(len(beyond) > 1000 and offset + len(beyond) == records - 1 for offset, beyond in places.values())


async def test_a_consumer_killed_with_1000_records_finished_out_of_order_repeats_fewer_than_were_in_flight(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    records = 1200
    async with waiting(kafka, topic_prefix, records) as found:
        await found.inject(provider="tiktok", fault="stall", operation="upload", calls=1)
        async with consuming(found, tmp_path) as process:
            await until(lambda: is_all_but_one_committed(found, records))
            process.kill()
        async with consuming(found, tmp_path):
            await everything_arrives(found, records)
        assert await uploads(found) - records < SLOTS


async def test_a_consumer_that_is_told_to_end_finishes_what_is_in_hand_and_repeats_nothing(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    records = 2000
    async with waiting(kafka, topic_prefix, records) as found:
        async with consuming(found, tmp_path) as process:
            await until_uploads(found, 50)
            began = time.monotonic()
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 2 * SHUTDOWN) == 0
            assert time.monotonic() - began < SHUTDOWN
        before = await uploads(found)
        assert 50 <= before < records
        assert len(await found.completions(before)) == before
        async with consuming(found, tmp_path):
            await everything_arrives(found, records)
        assert await uploads(found) == records


async def test_a_second_signal_ends_a_consumer_at_once_and_nothing_is_lost(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    records = 200
    async with waiting(kafka, topic_prefix, records) as found:
        await found.inject(provider="tiktok", fault="stall", operation="upload", until="cleared")
        async with consuming(found, tmp_path) as process:
            await until_uploads(found, SLOTS)
            began = time.monotonic()
            while process.returncode is None:  # two that come at once count as one
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 0.5)
            assert process.returncode == 130
            assert time.monotonic() - began < SHUTDOWN / 2
        await found.clear_faults()
        async with consuming(found, tmp_path):
            await everything_arrives(found, records)
