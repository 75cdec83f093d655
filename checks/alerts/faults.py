"""What makes each alert fire: faults of the sandbox, of our processes, of Kafka and of a disk; and their mending."""

import asyncio
import itertools
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import aiohttp
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from cli.local_stack.running import Running
from streams.cluster.topics import TopicNames

LARGEST = "1048588"
"""Bytes of a record that brokers take by default."""

UPLOAD = 3.0
"""Seconds that an upload may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs, and what uploads to it."""

    found: Running
    names: TopicNames
    view: Path
    session: aiohttp.ClientSession
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def upload(self, count: int = 1) -> None:
        """Upload so many made-up people, each to an audience of its own; whatever comes of it."""
        for number in itertools.islice(self.numbers, count):
            form = aiohttp.FormData(default_to_multipart=True)
            form.add_field("name", f"Alert {number}")
            form.add_field(
                "batch", json.dumps({"sessionId": number, "sequence": 1, "totalBatches": 1, "totalUsers": 1})
            )
            form.add_field("users", json.dumps([{"email": f"person{number}@example.com"}]))
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.post(f"{self.found.url}/audience", data=form):
                    pass

    @asynccontextmanager
    async def sandbox_fault(self, **fault: object) -> AsyncIterator[None]:
        """Have a platform fail until the block is left."""
        url = f"http://{self.found.sandbox}/_sandbox/faults"
        async with self.session.post(url, json={**fault, "untilCleared": True}) as response:
            response.raise_for_status()
        try:
            yield
        finally:
            async with self.session.delete(url):
                pass


def pids_of(*words: str) -> list[int]:
    """Return our processes whose command line has these words, by a program's name or an argument."""
    parents: dict[int, int] = {}
    lines: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = (folder / "cmdline").read_text(errors="replace").split("\0")
    return [
        pid
        for pid, line in lines.items()
        if _is_ours(pid, parents) and all(word in (Path(line[0]).name, *line) for word in words)
    ]


def _is_ours(pid: int, parents: Mapping[int, int]) -> bool:
    """Tell whether a process is our child, or that of a guard of ours."""
    parent = parents[pid]
    return os.getpid() in (parent, parents.get(parent))


@contextmanager
def paused(*words: str) -> Iterator[None]:
    """Have a process of ours stand still until the block is left."""
    pids = pids_of(*words)
    if not pids:
        raise LookupError(f"no process has {' '.join(words)}")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def blocked(stage: Stage) -> AsyncIterator[None]:
    """Let a token be refused."""
    async with stage.sandbox_fault(provider="facebook", fault="auth"):
        await stage.upload()
        yield


@asynccontextmanager
async def away(stage: Stage) -> AsyncIterator[None]:
    """Let a platform fail on its side."""
    async with stage.sandbox_fault(provider="tiktok", fault="server_error"):
        await stage.upload(12)
        yield


@asynccontextmanager
async def failing(stage: Stage) -> AsyncIterator[None]:
    """Let a platform refuse the audiences themselves."""
    async with stage.sandbox_fault(provider="facebook", fault="invalid"):
        await stage.upload(3)
        yield


@asynccontextmanager
async def stalling(stage: Stage) -> AsyncIterator[None]:
    """Let a platform not answer."""
    async with stage.sandbox_fault(provider="klaviyo", fault="stall", operation="upload"):
        await stage.upload()
        yield


@asynccontextmanager
async def unserved(stage: Stage) -> AsyncIterator[None]:
    """Let a consumer stand still."""
    del stage
    with paused("consume", "tiktok"):
        yield


@asynccontextmanager
async def without_kafka(stage: Stage) -> AsyncIterator[None]:
    """Let Kafka stand still, while others upload."""
    with paused("java"):
        uploading = asyncio.create_task(_upload_on(stage))
        try:
            yield
        finally:
            uploading.cancel()
            await asyncio.gather(uploading, return_exceptions=True)


async def _upload_on(stage: Stage) -> None:
    while True:
        await stage.upload()
        await asyncio.sleep(0.2)


@asynccontextmanager
async def locked_view(stage: Stage) -> AsyncIterator[None]:
    """Let nobody write to the view."""
    connection = sqlite3.connect(stage.view, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        await stage.upload()
        yield
    finally:
        connection.rollback()
        connection.close()


@asynccontextmanager
async def lost(stage: Stage) -> AsyncIterator[None]:
    """Delete records of the log while a consumer stands still."""
    admin = AdminClient(stage.found.kafka.admin())
    with paused("consume", "klaviyo"):
        await stage.upload(20)
        await asyncio.to_thread(_delete_records, admin, stage.names.batches)
    yield


def _delete_records(admin: AdminClient, topic: str) -> None:
    """Delete all that stands in a topic."""
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    ends = [TopicPartition(topic, number, -1) for number in partitions]
    for deleted in admin.delete_records(ends).values():
        deleted.result(10)


@asynccontextmanager
async def refused_receipts(stage: Stage) -> AsyncIterator[None]:
    """Let Kafka take no receipt, as they are all too large."""
    admin, topic = AdminClient(stage.found.kafka.admin()), stage.names.receipts
    await asyncio.to_thread(_bound_records, admin, topic, "1", AlterConfigOpType.SET)
    try:
        await stage.upload()
        yield
    finally:
        await asyncio.to_thread(_bound_records, admin, topic, LARGEST, AlterConfigOpType.SET)


def _bound_records(admin: AdminClient, topic: str, size: str, operation: AlterConfigOpType) -> None:
    """Say how large a record of a topic may be."""
    bound = ConfigEntry("max.message.bytes", size, ConfigSource.DYNAMIC_TOPIC_CONFIG, incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[bound])
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(10)


Fault = Callable[[Stage], AbstractAsyncContextManager[None]]

FAULTS: Mapping[tuple[str, ...], Fault] = MappingProxyType(
    {
        ("AudienceAccountBlocked",): blocked,
        ("AudiencePlatformAway",): away,
        ("AudienceRecordsFail",): failing,
        ("AudienceAccountBehind", "AudienceRetriesExpire"): stalling,
        ("AudienceAccountUnserved", "AudienceProcessDown"): unserved,
        ("AudienceRecordsLost",): lost,
        ("AudienceStatusBehind",): locked_view,
        ("AudienceLedgerBehind", "AudienceNotReady"): refused_receipts,
        ("AudienceKafkaAway", "AudienceUploadsFail"): without_kafka,
    }
)
"""By what which alerts fire; a record that ends processes, for AudienceRecordQuarantined, is nothing to be had."""
