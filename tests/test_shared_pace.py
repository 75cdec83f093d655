"""Several processes of one account together stay inside the platform's limits."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from confluent_kafka import Producer
from group_members import shares
from test_cli import clean_environ
from world import World, make_users, world

from sandbox import CREDENTIALS, SandboxOptions
from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from streams.client.settings import KafkaSettings

PARTITIONS = 12
PROCESSES = 3
ROWS = 10
CALLS_EACH = 7
"""Calls for each partition's record: all together are more than TikTok's ten calls a second allow in eight seconds."""


@asynccontextmanager
async def consumer_process(found: World, folder: Path, number: int) -> AsyncIterator[Path]:
    """Run a consumer at the default pace as a process of its own; yields its log."""
    path = folder / f"{number}.log"
    settings = {
        **CREDENTIALS["tiktok"],
        "TIKTOK_BASE_URL": f"{found.sandbox_url}/tiktok",
        "TIKTOK_ROWS": str(ROWS),
        "KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers,
        "AUDIENCE_TOPIC_PREFIX": found.names.prefix,
    }
    command = [sys.executable, "-m", "cli.entry", "consume", "--provider", "tiktok"]
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=clean_environ(folder, **settings), stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        yield path
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 30)
        finally:
            if process.returncode is None:
                process.kill()


def publish_to_every_partition(found: World) -> None:
    """Write a record of an audience of its own to each partition of the log."""
    producer = Producer(found.kafka.client())
    for number in range(PARTITIONS):
        people = [AudienceUser(email=str(user["email"])) for user in make_users(ROWS * CALLS_EACH)]
        batch = AudienceBatch(batch_id=str(uuid.uuid4()), name=f"VIP {number}", users=people)
        producer.produce(found.names.batches, encode_audience_batch(batch), key=batch.key, partition=number)
    assert producer.flush(20) == 0


async def uploaded(found: World, calls: int) -> None:
    """Wait for so many uploads, and leave the machine to the consumers meanwhile."""
    async with asyncio.timeout(60):
        while (await found.counters())["tiktok"]["byOperation"]["upload"] < calls:
            await asyncio.sleep(0.2)


def handled(log: Path) -> list[str]:
    """Return the origins of the records that a process handled."""
    lines: Sequence[dict[str, str]] = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["origin"] for line in lines if line["event"] == "Record handled."]


async def test_three_processes_of_one_account_together_stay_inside_its_limit(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    options = SandboxOptions(limits=True, latency=0.02)
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=(), options=options) as found:
        async with AsyncExitStack() as processes:
            logs = [
                await processes.enter_async_context(consumer_process(found, tmp_path, number))
                for number in range(PROCESSES)
            ]
            async with asyncio.timeout(60):
                while await shares(kafka, f"{topic_prefix}.tiktok") != [4, 4, 4]:
                    await asyncio.sleep(0.2)
            await asyncio.to_thread(publish_to_every_partition, found)
            await uploaded(found, PARTITIONS * CALLS_EACH)
            completions = await found.completions(PARTITIONS)
            counters = (await found.counters())["tiktok"]
        assert {completion.status for completion in completions} == {"delivered"}
        assert counters["refusedByLimits"] == 0
        assert counters["byOperation"]["upload"] == PARTITIONS * CALLS_EACH
        assert [len(handled(log)) for log in logs] == [4, 4, 4]
        for number in range(PARTITIONS):
            assert len(await found.members("tiktok", f"blotout_VIP_{number}")) == ROWS * CALLS_EACH
