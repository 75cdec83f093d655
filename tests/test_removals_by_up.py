"""Adds and removals through real processes: with a schema registry, and while partitions are added to the log."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka import Producer
from test_cli import audience, up
from test_parking import Registry
from test_partitions import add_partitions
from world import ALL, make_batch, make_form

from schemas.avro.codec import BATCHES, encode_audience_batch
from schemas.avro.framing import schema_json
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, AudienceUser, Mode
from streams.client.settings import KafkaSettings

NAMES = ["VIP", "Newsletter", "Customers", "Others"]
MARK = 10
"""Bytes by which a value of ours says which schema wrote it."""


class Deployment:
    """A running `audience up`, its stand-ins of the platforms, and who is to be where."""

    def __init__(self, http: aiohttp.ClientSession, lines: list[str]) -> None:
        self.http = http
        [self.sandbox] = [line.removeprefix("sandbox ") for line in lines if line.startswith("sandbox ")]
        self.url = lines[-1].removeprefix("ready ")
        self.expected: dict[str, set[str]] = {}
        self._session = 0

    async def upload(self, mode: Mode, name: str, *people: str) -> None:
        """Upload people, and wait until every platform is through with them."""
        self._session += 1
        batch = make_batch(sessionId=self._session, totalUsers=len(people))
        form = make_form([{"email": address(one)} for one in people], name=name, batch=batch)
        async with self.http.post(f"{self.url}/audience?mode={mode}&sync=true", data=form) as response:
            assert response.status == 200, await response.text()
        self.expect(mode, name, *people)

    def expect(self, mode: Mode, name: str, *people: str) -> None:
        """Note who is to be in an audience."""
        held = self.expected.setdefault(name, set())
        held.update(people) if mode == "add" else held.difference_update(people)

    async def check(self) -> None:
        """Wait until every platform holds exactly who is to be there."""
        wanted = {(one, name): members(one, held) for one in ALL for name, held in self.expected.items()}
        found: dict[tuple[str, str], set[str]] = {}
        for _ in range(100):
            found = {place: await self._members(*place) for place in wanted}
            if found == wanted:
                return
            await asyncio.sleep(0.2)
        assert found == wanted

    async def _members(self, provider: str, name: str) -> set[str]:
        query = {"provider": provider, "audience": f"blotout_{name}"}
        async with self.http.get(f"{self.sandbox}/_sandbox/members", params=query) as response:
            return {value for member in (await response.json())["members"] for value in member}


def address(person: str) -> str:
    """Return somebody's made-up address."""
    return f"{person}@example.com"


def members(provider: str, people: set[str]) -> set[str]:
    """Return what a platform holds of people."""
    addresses = set(map(address, people))
    if provider == "klaviyo":
        return addresses
    return {hashlib.sha256(one.encode()).hexdigest() for one in addresses}


@asynccontextmanager
async def deployed(kafka: KafkaSettings, prefix: str, folder: Path, **settings: str) -> AsyncIterator[Deployment]:
    """Run `audience up` on a Kafka."""
    own = {"AUDIENCE_TOPIC_PREFIX": prefix, "AUDIENCE_ENV_FILE": "", **settings}
    async with up(folder, kafka, **own) as (_, lines), aiohttp.ClientSession() as http:
        yield Deployment(http, lines)


async def replay_all(folder: Path) -> None:
    """Send again all that the log holds."""
    code, output, errors = await audience(folder, "replay", "--since", "1h", "--yes", AUDIENCE_ENV_FILE="")
    assert code == 0, (output, errors)


def by_another_schema(registry: Registry, mode: Mode, *people: str) -> bytes:
    """Return a record as somebody writes it whose schema has a field of their own."""
    schema = json.loads(schema_json(BATCHES[mode]))
    schema["fields"].insert(0, {"name": "note", "type": "string"})
    number = registry.register(json.dumps(schema))
    users = [AudienceUser(email=address(one)) for one in people]
    ours = encode_audience_batch(AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", users=users, mode=mode))
    return b"\x00" + number.to_bytes(4, "big") + b"\x08text" + ours[MARK:]


def publish(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    """Publish with a bare producer, to the home partition of VIP."""
    producer = Producer(kafka.client())
    for value in values:
        producer.produce(topic, value, key="custom:VIP", partition=home_partition("custom:VIP", 12))
    assert producer.flush(20) == 0


@pytest.mark.timeout(240)
async def test_with_a_registry_people_leave_and_stay_away_whoever_s_schema_wrote_the_removal(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    registry = Registry()
    async with (
        registry as url,
        deployed(kafka, topic_prefix, tmp_path, SCHEMA_REGISTRY_URL=url) as found,
    ):
        await found.upload("add", "VIP", "ada", "bob", "cleo")
        await found.upload("remove", "VIP", "ada")
        values = [by_another_schema(registry, "add", "dan", "eve"), by_another_schema(registry, "remove", "bob", "eve")]
        await asyncio.to_thread(publish, kafka, f"{topic_prefix}.batches", *values)
        found.expect("add", "VIP", "dan", "eve")
        found.expect("remove", "VIP", "bob", "eve")
        await found.check()
        await found.upload("add", "VIP", "ada")
        await found.upload("remove", "VIP", "dan")
        await replay_all(tmp_path)
        await found.check()


@pytest.mark.timeout(240)
async def test_who_is_added_and_removed_while_partitions_are_added_is_where_the_last_upload_has_them(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    homes = [{home_partition(f"custom:{name}", count) for name in NAMES} for count in (12, 17, 30)]
    assert len({frozenset(some) for some in homes}) == 3, "the partitioner would choose others"
    async with deployed(kafka, topic_prefix, tmp_path) as found:
        log = f"{topic_prefix}.batches"
        for name in NAMES:
            await found.upload("add", name, "ada", "bob", "cleo")
        await asyncio.gather(add_partitions(kafka, log, 17), found.upload("remove", "VIP", "ada"))
        for name in NAMES:
            await found.upload("remove", name, "bob")
            await found.upload("add", name, "bob", "dan")
        await asyncio.gather(add_partitions(kafka, log, 30), *(found.upload("remove", name, "cleo") for name in NAMES))
        for name in NAMES:
            await found.upload("remove", name, "dan")
        await found.upload("add", "VIP", "cleo")
        await found.check()
        await replay_all(tmp_path)
        await found.check()
