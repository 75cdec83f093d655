"""Accounts and their audiences in the whole product: each of its own, each audience once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from processes import killed_in_the_end
from test_cli import clean_environ
from test_pipeline import hashes
from world import ALL, World, consuming_one, make_users, sandbox_account, world

from sandbox import CREDENTIALS, SandboxOptions
from schemas.target import parse_target
from streams.client.settings import KafkaSettings

TWO = ("facebook", "facebook/eu")


@asynccontextmanager
async def accounts(found: World, eu: dict[str, str]) -> AsyncIterator[None]:
    """Serve two accounts of Facebook."""
    async with AsyncExitStack() as stack:
        for name, settings in zip(TWO, ({}, eu), strict=True):
            served = sandbox_account(parse_target(name), found.sandbox_url, **settings)
            await stack.enter_async_context(consuming_one(served, found.kafka, found.names))
        yield


async def audiences(found: World, provider: str) -> list[dict[str, object]]:
    """Return the audiences that a platform has."""
    async with found.session.get(f"{found.sandbox_url}/_sandbox/audiences?provider={provider}") as response:
        shown: list[dict[str, object]] = (await response.json())["audiences"]
        return shown


async def test_two_accounts_of_a_provider_have_audiences_and_results_of_their_own(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=TWO, consuming=()) as found,
        accounts(found, {"ad_account_id": "2"}),
    ):
        status, body, _ = await found.upload(make_users(2), "?sync=true&detail=true")
        assert status == 200
        assert [(told["provider"], told["account"], told["accepted"]) for told in body["results"]] == [
            ("facebook", None, 2),
            ("facebook", "eu", 2),
        ]
        assert (await found.upload(make_users(3), "?sync=true&channels=facebook/eu"))[0] == 200
        held = {audience["account"]: audience["members"] for audience in await audiences(found, "facebook")}
        assert held == {"1001": 2, "2": 3}


async def test_one_account_that_is_not_let_in_harms_no_other(kafka: KafkaSettings, topic_prefix: str) -> None:
    eu = {"access_token": "wrong", "ad_account_id": "2"}
    async with world(kafka, topic_prefix, providers=TWO, consuming=()) as found, accounts(found, eu):
        status, body, _ = await found.upload(make_users(2), "?sync=true")
        assert status == 400
        assert len(body["errors"]) == 1
        assert body["errors"][0].startswith("facebook/eu: blocked: token_invalid (190, request ")
        assert await found.members("facebook") == hashes(0, 1)


async def test_two_groups_on_one_ad_account_make_an_audience_once(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Both meet the name at the same moment, and neither can see in the listing what the other made."""
    options = SandboxOptions(limits=False, latency=0.05, listing_lag=3600)
    async with (
        world(kafka, topic_prefix, providers=TWO, consuming=(), options=options) as found,
        accounts(found, {}),
    ):
        uploads = [found.upload(make_users(2), "?sync=true", name=f"VIP {number}") for number in range(5)]
        assert [status for status, _, _ in await asyncio.gather(*uploads)] == [200] * 5
        assert len(await audiences(found, "facebook")) == 5


async def test_a_changed_ad_account_never_meets_an_old_id(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        for account_id, count in (("1", 2), ("2", 3), ("1", 4)):
            served = sandbox_account(parse_target("facebook"), found.sandbox_url, ad_account_id=account_id)
            async with consuming_one(served, kafka, found.names):
                assert (await found.upload(make_users(count), "?sync=true"))[0] == 200
        held = {audience["account"]: audience["members"] for audience in await audiences(found, "facebook")}
        assert held == {"1": 4, "2": 3}


async def test_the_other_type_of_a_name_is_refused_by_every_platform(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix) as found:
        assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
        status, body, _ = await found.upload(make_users(3), "?sync=true", extra={"type": "primary"})
        assert status == 400
        assert sorted(body["errors"]) == sorted(f"{name}: name_taken" for name in ALL)
        assert await found.members("facebook") == hashes(0, 1)
        assert (await found.upload(make_users(3), "?sync=true", name="other", extra={"type": "primary"}))[0] == 200


async def test_ids_outlive_the_process_and_no_look_up_is_made_for_them(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["klaviyo"], consuming=()) as found:
        served = sandbox_account(parse_target("klaviyo"), found.sandbox_url)
        for count in (1, 2):
            async with consuming_one(served, kafka, found.names):
                assert (await found.upload(make_users(count), "?sync=true"))[0] == 200
        calls = (await found.counters())["klaviyo"]["byOperation"]
        assert (calls["find"], calls["create"], calls["upload"]) == (1, 1, 2)


@asynccontextmanager
async def consumer_process(found: World, folder: Path) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Run a consumer as a process of its own."""
    settings = {
        **CREDENTIALS["facebook"],
        "FACEBOOK_BASE_URL": f"{found.sandbox_url}/facebook",
        "KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers,
        "KAFKA_SESSION_TIMEOUT_MS": "6000",
        "AUDIENCE_TOPIC_PREFIX": found.names.prefix,
        "AUDIENCE_CLAIM_EXPIRY": "3",
    }
    command = [sys.executable, "-m", "cli.entry", "consume", "--provider", "facebook"]
    environment = clean_environ(folder, **settings)
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment)
    async with killed_in_the_end(process):
        yield process


async def test_a_consumer_that_is_killed_between_creating_an_audience_and_noting_it_leaves_one(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """New audiences show after 2 seconds, which is less than the 3 for which a claim lasts."""
    options = SandboxOptions(limits=False, latency=0.001, listing_lag=2)
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=(), options=options) as found:
        await found.inject(provider="facebook", fault="slow", operation="create", seconds=100)
        async with asyncio.timeout(60), consumer_process(found, tmp_path) as process:
            assert (await found.upload(make_users(3)))[0] == 200
            while not await audiences(found, "facebook"):
                await asyncio.sleep(0.02)
            process.kill()
        async with asyncio.timeout(60), consumer_process(found, tmp_path):
            await found.completions(1)
        assert [audience["members"] for audience in await audiences(found, "facebook")] == [3]


async def test_a_second_signal_ends_a_consumer_at_once_and_nothing_is_lost(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        await found.inject(provider="facebook", fault="stall", operation="upload", untilCleared=True)
        async with asyncio.timeout(60), consumer_process(found, tmp_path) as process:
            assert (await found.upload(make_users(3)))[0] == 200
            while not (await found.counters())["facebook"]["byOperation"]["upload"]:
                await asyncio.sleep(0.02)
            process.terminate()
            await asyncio.sleep(1)
            assert process.returncode is None  # it finishes what is in hand
            process.terminate()
            async with asyncio.timeout(5):
                assert await process.wait() == 130
        await found.clear_faults()
        async with asyncio.timeout(60), consumer_process(found, tmp_path):
            await found.completions(1)
        assert await found.members("facebook") == hashes(0, 1, 2)
