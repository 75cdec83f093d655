"""A stall of a platform that lasts longer than Kafka lets a consumer be busy: real processes, uploads all the while."""

import asyncio
import hashlib
import os
import random
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from group_members import members_of
from test_cli import clean_environ
from world import World, world

from cli.local_stack.supervisor import Part, Supervisor
from providers.kit.settings import variable
from sandbox import CREDENTIALS
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.groups import committed_offsets
from streams.processes.ports import free_port
from streams.read.topic_offsets import end_offsets

STALL = float(os.environ.get("STALL_SECONDS", "25"))
STALLED, HEALTHY = Target("facebook"), Target("tiktok")
PARTITIONS = 12
USERS = 200
AT_ONCE = 4
"""Uploads that are made before the healthy group must have caught up."""

IN_FLIGHT = 1_000_000
MOST_MEMORY = 12 * IN_FLIGHT
"""What a process may need besides what it needs idle: records raw and decoded, and what the client fetches ahead."""

BACKLOG = 2 * MOST_MEMORY
"""What is uploaded at least, however slow this machine is."""

PATIENCE = 60
TIGHT = {
    "AUDIENCE_IN_FLIGHT_BYTES": str(IN_FLIGHT),
    "KAFKA_MAX_POLL_INTERVAL_MS": "10000",
    "KAFKA_SESSION_TIMEOUT_MS": "6000",
    "KAFKA_FETCH_MAX_BYTES": str(IN_FLIGHT),
    "KAFKA_QUEUED_MAX_MESSAGES_KBYTES": "1024",
}


def part(found: World, folder: Path, target: Target) -> Part:
    """Return a consumer's process, not yet started."""
    health = f"127.0.0.1:{free_port()}"
    settings = {
        **TIGHT,
        **CREDENTIALS[target.provider],
        variable(target, "base_url"): f"{found.sandbox_url}/{target.provider}",
        variable(target, "pace"): "off",
        "AUDIENCE_ENV_FILE": "",
        "AUDIENCE_HEALTH_LISTEN": health,
        "AUDIENCE_TOPIC_PREFIX": found.names.prefix,
        "KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers,
    }
    return Part(
        name=str(target),
        arguments=["consume", "--provider", str(target)],
        environment=clean_environ(folder, **settings),
        output=folder / f"{target}.log",
    )


def large_users(start: int) -> list[dict[str, object]]:
    """Return made-up users of some 2 kB each, hard to compress."""
    made = random.Random(start)
    return [
        {
            "email": f"person{number}@example.com",
            "firstName": made.randbytes(500).hex(),
            "lastName": made.randbytes(500).hex(),
        }
        for number in range(start, start + USERS)
    ]


def memory(process: Part) -> int:
    """Return what a process holds in memory, in bytes."""
    assert process.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


async def members(kafka: KafkaSettings, groups: Collection[str]) -> Mapping[str, set[str]]:
    """Return the ids of the members of groups; Kafka gives a new one to whoever was away."""
    found = await members_of(kafka, *groups)
    return {group: set(of.partitions) for group, of in zip(groups, found, strict=True)}


async def committed(found: World, group: str) -> list[int]:
    """Return the offset of each partition of the log that a group has committed, from the first on."""
    return [max(0, offset) for offset in await committed_offsets(found.kafka, group, found.names.batches, PARTITIONS)]


async def caught_up(found: World, group: str, patience: float = PATIENCE) -> None:
    """Wait until a group has committed all that is on the log."""
    async with asyncio.timeout(patience):
        while await end_offsets(found.kafka, found.names.batches) != await committed(found, group):
            await asyncio.sleep(0.1)


async def upload(found: World, start: int) -> int:
    """Upload large users to an audience of several; return the bytes of their text."""
    users = large_users(start)
    status, body, _ = await found.upload(users, name=f"VIP {start // USERS % AT_ONCE}")
    assert (status, body) == (200, {"success": True})
    return sum(len(str(value)) for user in users for value in user.values())


async def held(found: World, provider: str) -> set[str]:
    """Return the e-mail hashes that a platform holds in all audiences."""
    names = [f"blotout_VIP_{number}" for number in range(AT_ONCE)]
    return {member[0] for name in names for member in await found.members(provider, name)}


@pytest.mark.timeout(STALL + 300)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_long_stall_costs_no_membership_and_no_memory_and_holds_up_nobody_else(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """The stall is longer than `max.poll.interval.ms`, the backlog many times what may be in hand."""
    groups = [STALLED.group_id(topic_prefix), HEALTHY.group_id(topic_prefix)]
    providers = [str(STALLED), str(HEALTHY)]
    async with world(kafka, topic_prefix, providers=providers, consuming=()) as found, Supervisor() as supervisor:
        parts = {target: part(found, tmp_path, target) for target in (STALLED, HEALTHY)}
        await supervisor.start(*parts.values())
        joined = await members(kafka, groups)
        assert [len(joined[group]) for group in groups] == [1, 1]
        await found.inject(provider=str(STALLED), fault="stall", operation="upload", until="cleared")

        idle, most, backlog, users = memory(parts[STALLED]), 0, 0, 0
        until = asyncio.get_running_loop().time() + STALL
        while asyncio.get_running_loop().time() < until or backlog < BACKLOG:
            starts = range(users, users + AT_ONCE * USERS, USERS)
            backlog += sum(await asyncio.gather(*(upload(found, start) for start in starts)))
            users += AT_ONCE * USERS
            await caught_up(found, HEALTHY.group_id(topic_prefix))
            most = max(most, memory(parts[STALLED]) - idle)

        assert await members(kafka, groups) == joined
        assert most < MOST_MEMORY
        assert await held(found, str(STALLED)) == set()

        await found.clear_faults()
        await caught_up(found, STALLED.group_id(topic_prefix), PATIENCE + 2 * STALL)
        assert {c.status for c in await found.completions(2 * users // USERS)} == {"delivered"}
        expected = {hashlib.sha256(f"person{number}@example.com".encode()).hexdigest() for number in range(users)}
        assert await held(found, str(STALLED)) == await held(found, str(HEALTHY)) == expected
        assert await members(kafka, groups) == joined
