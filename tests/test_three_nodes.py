"""Three nodes, two of which must have a record: what uploads are told, and what is lost, when nodes are killed."""

import asyncio
import hashlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import Cluster, three_nodes
from confluent_kafka.admin import AdminClient
from world import ALL, World, make_users, world

from schemas.avro.codec import decode_audience_batch, decode_batch_completion
from schemas.records import AudienceBatch, Origin
from schemas.target import Target
from streams.cluster.topics import layout
from streams.read.tail import read_to_end

pytestmark = [pytest.mark.kafka, pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")]

AUDIENCES = ("VIP 0", "VIP 1", "VIP 2", "VIP 3")
PAUSE = 0.2
"""Seconds between uploads, whether those before are answered or not."""

LONGEST = 180
"""Seconds after which what is waited for will not come: three nodes start on a machine that has other work, too."""

clock = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an upload of one user of its own was told, and when."""

    number: int
    sent: float
    answered: float
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def email(self) -> str:
        """Its user."""
        return f"person{self.number}@example.com"

    @property
    def audience(self) -> str:
        """Its audience."""
        return AUDIENCES[self.number % len(AUDIENCES)]

    @property
    def is_accepted(self) -> bool:
        """Told 200, or what became of an accepted batch."""
        return self.status in (200, 400, 504)

    @property
    def is_refused(self) -> bool:
        """Told that nothing of it was accepted."""
        return self.status == 503 and "nothing was accepted" in self.text

    @property
    def is_unconfirmed(self) -> bool:
        """Told that it may or may not have been accepted."""
        return self.status == 503 and "not confirmed" in self.text


@asynccontextmanager
async def uploading(found: World) -> AsyncIterator[list[Told]]:
    """Upload steadily while the block is entered; yields what uploads were told, all of it once it is left."""
    told: list[Told] = []
    is_over = asyncio.Event()

    async def upload(number: int) -> None:
        sent, query = clock(), "?sync=true" if number % 5 == 0 else ""
        audience = AUDIENCES[number % len(AUDIENCES)]
        status, body, headers = await found.upload(make_users(1, number), query, name=audience)
        told.append(Told(number=number, sent=sent, answered=clock(), status=status, text=str(body), headers=headers))

    async def upload_all() -> None:
        async with asyncio.TaskGroup() as uploads:
            for number in itertools.count():
                if is_over.is_set():
                    return
                uploads.create_task(upload(number))
                await asyncio.sleep(PAUSE)

    uploads = asyncio.create_task(upload_all())
    try:
        yield told
    finally:
        is_over.set()
        await uploads


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(LONGEST):
        while not condition():
            await asyncio.sleep(0.05)


async def accepted_everywhere(told: list[Told]) -> None:
    """Wait until an upload of each audience that is sent from now on is told 200."""
    now = clock()
    await until(lambda: {t.audience for t in told if t.status == 200 and t.sent > now} == set(AUDIENCES))


async def log_of(found: World) -> dict[Origin, AudienceBatch]:
    """Return what stands on the log."""
    records = await read_to_end(found.kafka, found.names.batches)
    return {record.origin: decode_audience_batch(record.value) for record in records}


async def delivered_everywhere(found: World, origins: Iterable[Origin]) -> None:
    """Wait until every account has delivered every record."""
    expected = {(origin, provider) for origin in origins for provider in ALL}
    delivered: set[tuple[Origin, str]] = set()
    async with asyncio.timeout(LONGEST):
        while delivered != expected:
            records = await read_to_end(found.kafka, found.names.completions)
            completions = [decode_batch_completion(record.value) for record in records]
            delivered = {(c.origin, c.provider) for c in completions if c.status == "delivered"}
            await asyncio.sleep(0.2)


async def members(found: World, provider: str) -> set[str]:
    """Return what identifies the members of all audiences at a platform."""
    audiences = [await found.members(provider, f"blotout_{name.replace(' ', '_')}") for name in AUDIENCES]
    return {identifier for audience in audiences for (identifier,) in audience}


def as_member(provider: str, email: str) -> str:
    """Return what identifies a user at a platform."""
    return email if provider == "klaviyo" else hashlib.sha256(email.encode()).hexdigest()


class Asking:
    """A client that is asked about a cluster, and how often it has tried to connect to each of the brokers."""

    def __init__(self, cluster: Cluster) -> None:
        self.tries: dict[str, int] = {}
        often = {"statistics.interval.ms": 100}
        self.admin = AdminClient(cluster.kafka.admin(stats_cb=self._note, **often))
        self.admin.list_topics(timeout=10)

    def _note(self, stats: str) -> None:
        brokers = json.loads(stats)["brokers"]
        self.tries |= {name: broker["connects"] + broker["disconnects"] for name, broker in brokers.items()}

    async def ask(self) -> None:
        """Ask all brokers for two seconds, and fail."""
        asked = self.admin.list_consumer_groups(request_timeout=2)
        while not asked.done():
            await asyncio.to_thread(self.admin.poll, 0.1)
        assert asked.result().errors


async def assert_durable(cluster: Cluster, found: World) -> None:
    """See that each topic is on all nodes and that two of them must have a record."""
    for spec in layout(found.names, [Target(provider).group_id(found.names.prefix) for provider in ALL]):
        assert await cluster.durability(spec.name) == ({3}, "2"), spec.name


@pytest.mark.timeout(600)
async def test_killed_nodes_lose_nothing_and_without_two_of_three_nothing_is_accepted(
    tmp_path: Path, topic_prefix: str
) -> None:
    settings = {"AUDIENCE_SYNC_TIMEOUT": 5}
    async with three_nodes(tmp_path) as cluster, world(cluster.kafka, topic_prefix, settings=settings) as found:
        await assert_durable(cluster, found)
        async with uploading(found) as told:
            await accepted_everywhere(told)
            leader = await cluster.leader(found.names.batches, next(iter(await log_of(found))).partition)
            await cluster.kill(leader)
            await accepted_everywhere(told)

            asking = await asyncio.to_thread(Asking, cluster)
            second = leader % 3 + 1
            await cluster.kill(second)
            alone = clock()
            await asking.ask()
            assert 0 < max(asking.tries.values()) < 100, "brokers that are away are tried again without a pause"
            await until(lambda: any(t.is_refused for t in told) and any(t.is_unconfirmed for t in told))
            await until(lambda: any(t.sent > alone for t in told))
            assert {t.status for t in told if t.sent > alone} == {503}

            await cluster.start(leader, second)
            await accepted_everywhere(told)

        log = await log_of(found)
        await delivered_everywhere(found, log)
        emails = {str(user.email) for batch in log.values() for user in batch.users}
        assert {t.email for t in told if t.is_accepted} <= emails
        assert not emails & {t.email for t in told if t.is_refused}
        assert {t.headers["X-Batch-Id"] for t in told if t.is_accepted} <= {batch.batch_id for batch in log.values()}
        for provider in ALL:
            assert await members(found, provider) == {as_member(provider, email) for email in emails}
        assert all(t.headers["Retry-After"] == "5" for t in told if t.status == 503)
        assert max(t.answered - t.sent for t in told if t.is_refused) < 10
        assert max(t.answered - t.sent for t in told if t.is_unconfirmed) < 30
        assert all(t.is_accepted or t.is_refused or t.is_unconfirmed for t in told)
