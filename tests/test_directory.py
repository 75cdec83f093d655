"""Audiences are made once: claims on the directory's topic, on a real Kafka, by processes that know nothing else."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.audiences import Audiences
from consumer.retries.clock import Time
from providers.kit.errors import PlatformError, platform_error
from providers.kit.provider import AnyProvider, Rejection, Sent
from providers.kit.settings import AccountSettings
from schemas.avro.framing import Framing
from schemas.records import AudienceType, AudienceUser, Claim, DirectoryEntry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import read_to_end
from streams.tables.audience_claims import Holding, fold
from streams.tables.audience_directory import followed
from streams.tables.audience_owner import Owner
from streams.write.writer import Writer

OWNER = Owner(provider="made", host="127.0.0.1", platform_account_id="1")
START = datetime(2026, 11, 24, tzinfo=UTC)


def entry(
    nonce: str | None = None, audience_id: str | None = None, seconds: float = 10, kind: AudienceType = "custom"
) -> DirectoryEntry:
    """Return a record of the directory."""
    return DirectoryEntry(
        provider="made",
        host="h",
        platform_account_id="1",
        platform_name="VIP",
        type=kind,
        audience_id=audience_id,
        claim=Claim(nonce=nonce, expires_at=START + timedelta(seconds=seconds)) if nonce else None,
        written_at=START,
    )


def folded(*records: tuple[float, DirectoryEntry | None]) -> Holding | None:
    """Return how a name stands after records, each with the second at which Kafka took it."""
    held: Holding | None = None
    for second, record in records:
        held = fold(held, record, START + timedelta(seconds=second))
    return held


def nonce_of(*records: tuple[float, DirectoryEntry | None]) -> str | None:
    """Return whose claim stands after records."""
    held = folded(*records)
    return held.nonce if held else None


def test_the_first_live_claim_wins_until_it_ends() -> None:
    assert nonce_of((0, entry("a")), (9, entry("b"))) == "a"
    assert nonce_of((0, entry("a")), (10, entry("b"))) == "b"


def test_a_claim_is_prolonged_by_who_holds_it() -> None:
    assert nonce_of((0, entry("a")), (8, entry("a")), (15, entry("b"))) == "a"


def test_an_id_ends_a_claim_and_stands_whatever_comes_but_the_claim_that_it_is_gone() -> None:
    made = [(0.0, entry("a")), (1.0, entry(audience_id="1"))]
    for late in (entry("b"), entry(audience_id="2"), entry("b", audience_id="2")):
        held = folded(*made, (99, late))
        assert held is not None
        assert held.audience_id == "1"
    held = folded(*made, (99, entry("b", audience_id="1")))
    assert held is not None
    assert (held.audience_id, held.nonce) == (None, "b")
    assert folded(*made, (2, None)) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=12))
def test_at_no_time_do_two_hold_a_name(steps: list[tuple[str, float]]) -> None:
    """Who sees its own claim hold is the only one, whoever reads and whenever."""
    held: Holding | None = None
    second = 0.0
    for nonce, pause in steps:
        second += pause
        before = held
        held = fold(held, entry(nonce), START + timedelta(seconds=second))
        assert held is not None
        if before is not None and before.nonce != nonce and before.is_live(START + timedelta(seconds=second)):
            assert held == before


@dataclass
class Platform:
    """What all processes call: names are not unique, and new audiences show after a while."""

    lag: float = 0.0
    made: list[tuple[str, str, float]] = field(default_factory=list)
    calls: int = 0

    def listed(self, name: str) -> str | None:
        """Return what a look-up shows."""
        now = asyncio.get_running_loop().time()
        return next((ident for ident, called, at in self.made if called == name and at + self.lag <= now), None)

    def create(self, name: str) -> str:
        """Create an audience."""
        ident = str(random.randrange(10**15))
        self.made.append((ident, name, asyncio.get_running_loop().time()))
        return ident


class Made(AnyProvider):
    """A provider whose platform is in this process: what is tested here is the directory."""

    name = "made"
    settings_type = AccountSettings
    rates = {}  # noqa: RUF012 -- as in the base class
    platform: Platform
    ends_after_create: bool = False
    answer_lost: bool = False
    seconds_to_create: float = 0.02
    refuses: bool = False

    @property
    def account_id(self) -> str:
        return "1"

    def row(self, user: AudienceUser) -> str | Rejection:
        return user.email or ""

    def identifiers(self, row: str) -> list[str]:
        return [row]

    async def find_audience(self, platform_name: str) -> str | None:
        await asyncio.sleep(0.02)
        return self.platform.listed(platform_name)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        self.platform.calls += 1
        await asyncio.sleep(self.seconds_to_create)
        if self.refuses:
            raise platform_error("audience_limit")
        made = self.platform.create(platform_name)
        if self.ends_after_create:
            raise asyncio.CancelledError
        if self.answer_lost:
            self.answer_lost = False
            raise platform_error("no_answer")
        return made

    async def send(self, audience_id: str, rows: object) -> Sent:
        return Sent()


@asynccontextmanager
async def process(
    kafka: KafkaSettings, names: TopicNames, platform: Platform, expiry: float = 30.0
) -> AsyncIterator[tuple[Audiences, Made]]:
    """Run what a consumer process has of audiences."""
    provider = Made(AccountSettings(base_url="http://127.0.0.1"), None)  # type: ignore[arg-type] # it calls nobody
    provider.platform = platform
    async with Writer(kafka) as writer, followed(kafka, writer, names.directory, OWNER, Framing()) as directory:
        yield (
            Audiences(
                provider=provider, directory=directory, time=Time(), now=lambda: datetime.now(UTC), expiry=expiry
            ),
            provider,
        )


@pytest.fixture
async def names(kafka: KafkaSettings, topic_prefix: str) -> TopicNames:
    """Topics of their own for each test."""
    await ensure_topics(kafka, layout(TopicNames(topic_prefix)))
    return TopicNames(topic_prefix)


async def test_processes_that_want_one_audience_at_the_same_moment_end_with_one(
    kafka: KafkaSettings, names: TopicNames
) -> None:
    platform = Platform(lag=3600)
    async with process(kafka, names, platform) as (one, _), process(kafka, names, platform) as (two, _):
        wanted = [audiences.id_of(f"VIP {n}", "custom") for n in range(5) for audiences in (one, two, one)]
        ids = await asyncio.gather(*wanted)
    assert len(platform.made) == len(set(ids)) == 5


async def test_an_id_is_known_after_a_restart_without_a_look_up(kafka: KafkaSettings, names: TopicNames) -> None:
    platform = Platform(lag=3600)
    async with process(kafka, names, platform) as (audiences, _):
        made = await audiences.id_of("VIP", "custom")
    async with process(kafka, names, platform) as (audiences, _):
        assert await audiences.id_of("VIP", "custom") == made
    assert platform.calls == 1
    assert len([r for r in await read_to_end(kafka, names.directory) if r.value]) == 2


async def test_a_process_that_dies_between_creating_and_writing_leaves_one_audience(
    kafka: KafkaSettings, names: TopicNames
) -> None:
    """The listing lags nearly as long as a claim lasts, and the audience was created late in the claim."""
    platform = Platform(lag=1.8)
    async with process(kafka, names, platform, expiry=2) as (audiences, provider):
        provider.ends_after_create, provider.seconds_to_create = True, 0.9
        with pytest.raises(asyncio.CancelledError):
            await audiences.id_of("VIP", "custom")
    async with process(kafka, names, platform, expiry=2) as (one, _), process(kafka, names, platform, 2) as (two, _):
        found = await asyncio.gather(one.id_of("VIP", "custom"), two.id_of("VIP", "custom"))
    assert len(platform.made) == 1
    assert set(found) == {platform.made[0][0]}


async def test_an_ambiguous_create_looks_up_before_it_tries_again(kafka: KafkaSettings, names: TopicNames) -> None:
    platform = Platform(lag=1.5)
    async with process(kafka, names, platform, expiry=2) as (audiences, provider):
        provider.answer_lost = True
        with pytest.raises(PlatformError, match="no_answer"):
            await audiences.id_of("VIP", "custom")
        assert await audiences.id_of("VIP", "custom") == platform.made[0][0]
    assert len(platform.made) == 1


async def test_a_stale_id_is_replaced_once_for_all_processes(kafka: KafkaSettings, names: TopicNames) -> None:
    platform = Platform()
    async with process(kafka, names, platform) as (one, _), process(kafka, names, platform) as (two, _):
        stale = await one.id_of("VIP", "custom")
        assert await two.id_of("VIP", "custom") == stale
        platform.made.clear()
        one.forget("VIP", stale)
        two.forget("VIP", stale)
        healed = await asyncio.gather(one.id_of("VIP", "custom"), two.id_of("VIP", "custom"))
        assert len(platform.made) == 1
        assert set(healed) == {platform.made[0][0]}


async def test_the_other_type_s_name_is_taken(kafka: KafkaSettings, names: TopicNames) -> None:
    platform = Platform()
    async with process(kafka, names, platform) as (one, _), process(kafka, names, platform) as (two, _):
        await one.id_of("VIP", "custom")
        for audiences in (one, two):
            with pytest.raises(PlatformError, match="name_taken"):
                await audiences.id_of("VIP", "primary")
        await two.id_of("other", "primary")


async def test_a_refused_creation_frees_the_name_at_once(kafka: KafkaSettings, names: TopicNames) -> None:
    platform = Platform()
    async with process(kafka, names, platform) as (one, provider), process(kafka, names, platform) as (two, _):
        provider.refuses = True
        with pytest.raises(PlatformError, match="audience_limit"):
            await one.id_of("VIP", "custom")
        async with asyncio.timeout(5):
            await two.id_of("VIP", "custom")


async def test_the_last_record_of_a_name_is_its_id_whoever_wrote_in_between(
    kafka: KafkaSettings, names: TopicNames
) -> None:
    """Compaction keeps the last record of a key: a claim that came too late must not be it."""
    platform = Platform()
    async with process(kafka, names, platform) as (one, _), process(kafka, names, platform) as (two, _):
        await asyncio.gather(*(audiences.id_of("VIP", "custom") for audiences in (one, two)))
        made = await one.id_of("VIP", "custom")
        one.forget("VIP", "another id")
        await asyncio.gather(*(audiences.id_of("VIP", "custom") for audiences in (one, two)))
    records = [record for record in await read_to_end(kafka, names.directory) if record.value]
    assert made.encode() in records[-1].value
