"""Removals through a consumer: who leaves, what is told, and what is never made."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from removals import completions_of, done, end_of, people, person, phone, publish, remembering
from test_unisolated import Naps, hashes
from world import ALL, consuming_one, sandbox_account, world

from consumer.account.account import Account
from consumer.retries.clock import Time
from providers.installed import installed
from sandbox import SandboxOptions
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.tail import read_to_end


@pytest.mark.parametrize("provider", ALL)
async def test_who_is_removed_leaves_and_others_stay(kafka: KafkaSettings, topic_prefix: str, provider: str) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        await done(found, "add", people(*range(5)))
        before = await found.members(provider)
        told = await done(found, "remove", people(1, 2))
        assert (told.status, told.mode) == ("delivered", "remove")
        assert (told.counts.received, told.counts.accepted, told.counts.rejected) == (2, 2, 0)
        assert told.counts.removed == (2 if provider == "klaviyo" else None)
        assert (len(before), len(await found.members(provider))) == (5, 3)
        await done(found, "add", people(1))
        assert len(await found.members(provider)) == 4


@pytest.mark.parametrize("provider", ALL)
async def test_an_audience_that_does_not_exist_is_not_made_and_nobody_was_in_it(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        told = await done(found, "remove", people(1, 2))
        assert (told.status, told.counts.accepted, told.counts.removed) == ("delivered", 2, 0)
        assert told.counts.other_identifiers_unknown == 2
        operations = (await found.counters())[provider]["byOperation"]
        assert operations.get("create", 0) == operations.get("remove", 0) == 0
        assert await read_to_end(kafka, found.names.directory) == []


@pytest.mark.parametrize("provider", ALL)
async def test_an_audience_that_was_deleted_is_not_made_again_by_a_removal(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        await done(found, "add", people(1, 2))
        await found.inject(
            provider=provider, fault="not_found", operation="lookup" if provider == "klaviyo" else "remove"
        )
        told = await done(found, "remove", people(1))
        assert (told.status, told.error_code, told.counts.accepted) == ("delivered", None, 1)
        assert told.counts.removed == 0
        assert (await found.counters())[provider]["byOperation"]["create"] == 1


async def test_users_without_an_identifier_are_rejected_and_the_others_leave(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", people(1, 2))
        nobody = person(0)
        nameless = type(nobody)(first_name="Ada", last_name="Lovelace", country="gb", postal_code="W1")
        told = await done(found, "remove", [nameless, *people(2)])
        assert (told.status, told.rejected_reasons) == ("partial", {"no_identifier": 1})
        assert len(await found.members("facebook")) == 1


async def test_without_a_key_nobody_is_removed_and_the_completion_says_so(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "tiktok", changed={"AUDIENCE_HASH_KEYS": ""}) as found:
        await done(found, "add", people(1))
        told = await done(found, "remove", people(1))
        assert (told.status, told.error_code, told.mode) == ("failed", "no_hash_keys", "remove")
        assert len(await found.members("tiktok")) == 1


async def test_a_removal_that_the_platform_refuses_for_the_audience_s_state_fails_by_its_own_word(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    body = {"error": {"code": 100, "error_subcode": 1713230, "message": "m", "fbtrace_id": "r"}}
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", people(1))
        await found.inject(provider="facebook", fault="custom", operation="remove", status=400, body=body)
        told = await done(found, "remove", people(1))
        assert (told.status, told.error_code) == ("failed", "removal_refused")


async def test_rows_of_a_removal_that_the_platform_refuses_are_looked_for(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "tiktok") as found:
        await done(found, "add", people(*range(40)))
        bad = min(await found.members("tiktok"))
        await found.inject(provider="tiktok", fault="dislikes", operation="remove", values=list(bad), untilCleared=True)
        told = await done(found, "remove", people(*range(40)))
        assert (told.status, told.counts.accepted, told.counts.rejected) == ("partial", 39, 1)
        assert await found.members("tiktok") == {bad}


@pytest.mark.parametrize("provider", ALL)
async def test_who_is_removed_by_e_mail_leaves_with_the_phone_number_of_the_row(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        await done(found, "add", [person(1, phone=phone(1)), person(2, phone=phone(2))])
        before = await found.members(provider)
        told = await done(found, "remove", people(1))
        assert (told.status, told.counts.received, told.counts.accepted) == ("delivered", 1, 1)
        assert told.counts.other_identifiers_unknown == 0
        assert len(await found.members(provider)) == len(before) / 2
        await done(found, "remove", people(2))
        assert await found.members(provider) == set()


async def test_a_person_of_whom_the_log_has_no_row_is_counted(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", people(1))
        told = await done(found, "remove", people(1, 7))
        assert (told.counts.accepted, told.counts.other_identifiers_unknown) == (2, 1)


async def test_a_removal_waits_for_an_import_of_klaviyo_that_a_dead_process_left_under_way(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    options = SandboxOptions(limits=False, latency=0.001, job_seconds=4)
    async with world(kafka, topic_prefix, providers=["klaviyo"], consuming=(), options=options) as found:
        served = sandbox_account(Target("klaviyo"), found.sandbox_url, timeout="6")
        changed = {"AUDIENCE_SHUTDOWN_TIMEOUT": 0}
        async with consuming_one(served, kafka, found.names, changed=changed):
            added = await publish(found, "add", people(1, 2))
            await jobs(found.names, kafka, 1)
        removed = await publish(found, "remove", people(1))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(consuming_one(served, kafka, found.names))
            assert (await end_of(found, removed)).status == "delivered"
            await end_of(found, added)
        assert await jobs(found.names, kafka, 0) == 0


async def jobs(names: TopicNames, kafka: KafkaSettings, count: int) -> int:
    """Return how many jobs are under way by the topic of accounts, once those are so many."""
    async with asyncio.timeout(20):
        while True:
            records = [one for one in await read_to_end(kafka, names.accounts) if (one.key or b"").startswith(b"job:")]
            open_jobs = {one.key: one.value for one in records}
            if sum(map(bool, open_jobs.values())) == count:
                return count
            await asyncio.sleep(0.05)


async def test_added_removed_and_added_again_are_three_events_of_a_receiver_each_with_an_id_of_its_own(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    calls: list[tuple[str, Any]] = []
    answers = iter([200, 503, 200, 200])

    async def receive(request: web.Request) -> web.Response:
        calls.append((request.headers["webhook-id"], json.loads(await request.text())))
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_post("/", receive)
    async with world(kafka, topic_prefix, providers=["webhook"], consuming=()) as found, TestServer(app) as server:
        kind = installed()["webhook"]
        made = kind.settings_type.model_validate(
            {"base_url": str(server.make_url("/")), "secret": "s", "allow_private": True}
        )
        served = Account(target=Target("webhook"), kind=kind, settings=made)
        async with consuming_one(served, kafka, found.names):
            for mode in ("add", "remove", "add"):
                assert (await done(found, mode, people(1))).status == "delivered"
    (first, _), (tried, body), (again, _), (last, _) = calls
    assert tried == again
    assert len({first, tried, last}) == 3
    assert (body["type"], "users" in body) == ("audience.users.removed", False)


async def test_a_removal_that_is_tried_again_tells_so_by_its_mode(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", people(1))
        await found.inject(provider="facebook", fault="server_error", operation="remove", calls=1)
        origin = await publish(found, "remove", people(1))
        await end_of(found, origin)
        assert [(one.status, one.mode) for one in await completions_of(found, origin)] == [
            ("retrying", "remove"),
            ("delivered", "remove"),
        ]


async def test_a_search_among_a_removal_s_rows_goes_on_in_a_later_try(kafka: KafkaSettings, topic_prefix: str) -> None:
    naps = Naps()
    changed = {"AUDIENCE_SEARCH_CALLS": 6}
    async with remembering(kafka, topic_prefix, "facebook", time=Time(sleep=naps.sleep), changed=changed) as found:
        await done(found, "add", people(*range(60)))
        bad = [7, 41]
        values = hashes(bad)
        await found.inject(
            provider="facebook", fault="dislikes", operation="remove", values=values, names=False, untilCleared=True
        )
        origin = await publish(found, "remove", people(*range(60)))
        async with asyncio.timeout(20):
            while not (told := await completions_of(found, origin)):
                await asyncio.sleep(0.1)
        counts = told[0].counts
        assert (told[0].error_code, told[0].mode) == ("unisolated", "remove")
        assert counts.received == counts.accepted + counts.rejected + counts.open == 60
        naps.is_due.set()
        ended = await end_of(found, origin)
        assert (ended.status, ended.counts.accepted, ended.counts.rejected) == ("partial", 58, 2)
        assert [user.index for user in ended.rejected_users] == bad
        assert len(await found.members("facebook")) == 2
