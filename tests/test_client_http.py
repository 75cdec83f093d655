"""Both HTTP clients against the product: what is uploaded arrives, and what became of it is told."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from test_client_http_faults import TOKEN, Kind, both, either
from world import make_users, world

from audience_client.http.batches import BatchToSend
from audience_client.http.errors import (
    AccessError,
    ContradictionError,
    NotKnownError,
    RefusedError,
    TooLargeError,
    UnreachableError,
)
from audience_client.http.retry import Retry
from streams.client.settings import KafkaSettings

ROOT = Path(__file__).parent.parent
NOT_AGAIN = Retry(give_up_after=0.0)


def batch_of(*users: Mapping[str, object], sequence: int = 1, of: int = 1, total: int | None = None) -> BatchToSend:
    """Return a batch of a session with these users."""
    return BatchToSend(
        name="VIP",
        session_id=2**53 - 1,
        sequence=sequence,
        total_batches=of,
        total_users=len(users) if total is None else total,
        users=json.dumps(users).encode(),
        resume=False,
    )


@both
async def test_a_list_of_three_batches_is_uploaded_waited_for_and_told(
    kind: Kind, kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["klaviyo"]) as product,
        either(kind, product.url, token=None) as client,
    ):
        people = make_users(6)
        people[3] = {"email": "no address"}
        for sequence in (3, 1, 2):
            some = people[2 * sequence - 2 : 2 * sequence]
            accepted = await client.ask("send_batch", batch_of(*some, sequence=sequence, of=3, total=6))
            assert (accepted.ignored, accepted.location) == (0, f"/audience/batches/{accepted.batch_id}")
        told = await client.ask("wait", 2**53 - 1, timeout=60, name="VIP", type="custom", mode="add")
        (run,) = told.runs
        assert (told.is_over, run.state, run.missing, run.are_totals_right) == (True, "partial", [], True)
        assert sorted((one.sequence, one.users) for one in run.batches) == [(1, 2), (2, 2), (3, 2)]
        (target,) = run.targets
        assert (target.provider, target.users.accepted, target.users.rejected) == ("klaviyo", 5, 1)
        (rejected,) = await client.list("rejected", 2**53 - 1, name="VIP")
        second = next(one.batch_id for one in run.batches if one.sequence == 2)
        assert (rejected.batch_id, rejected.index, rejected.field) == (second, 1, "email")
        assert rejected.remedy
        batch = await client.ask("batch", second)
        assert (batch.sequence, batch.users, batch.is_over, batch.name) == (2, 2, True, "VIP")
        (listed,) = await client.list("sessions", name="VIP", since="1h")
        assert (listed.session_id, listed.state, listed.targets) == (str(2**53 - 1), "partial", {"klaviyo": "partial"})
        assert [one.state for one in (await client.ask("accounts")).accounts] == ["running"]
        assert len(await product.members("klaviyo")) == 5
        for which in ({"name": "Other"}, {"mode": "remove"}, {"type": "primary"}):
            with pytest.raises(NotKnownError):
                await client.ask("session", 2**53 - 1, **which)


@both
async def test_the_same_batch_again_is_the_same_and_another_is_a_contradiction(
    kind: Kind, kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["klaviyo"], consuming=[]) as product,
        either(kind, product.url, token=None) as client,
    ):
        batch = batch_of(*make_users(2), of=2, total=3)
        first = await client.ask("send_batch", batch)
        assert await client.ask("send_batch", batch) == first
        with pytest.raises(ContradictionError) as caught:
            await client.ask("send_batch", replace(batch, users=json.dumps(make_users(2, start=7)).encode()))
        assert (caught.value.status, caught.value.batch_id) == (409, first.batch_id)
        assert first.batch_id in caught.value.words
        assert "example.com" not in str(caught.value)


@both
async def test_what_the_server_does_not_know_is_named(kind: Kind, kafka: KafkaSettings, topic_prefix: str) -> None:
    async with (
        world(kafka, topic_prefix, providers=["klaviyo"], consuming=[]) as product,
        either(kind, product.url, token=None) as client,
    ):
        people = [{"email": "ada@example.com", "Phone": "+14155550100"}, {"email": "grace@example.com"}]
        accepted = await client.ask("send_batch", batch_of(*people))
        assert (accepted.ignored, accepted.knows_resume) == (1, True)
        (ignored,) = accepted.ignored_names
        assert (ignored.location, ignored.name, ignored.count, ignored.did_you_mean) == ("users", "Phone", 1, "phone")


@both
async def test_tokens_bounds_and_wrong_batches_are_refused_by_name(
    kind: Kind, kafka: KafkaSettings, topic_prefix: str
) -> None:
    settings = {"AUDIENCE_API_TOKENS": TOKEN, "AUDIENCE_MAX_BODY": 1_000_000, "AUDIENCE_BODY_BUDGET": 4_000_000}
    async with world(kafka, topic_prefix, providers=["klaviyo"], consuming=[], settings=settings) as product:
        batch = batch_of(*make_users(1))
        for token, words in ((None, "send Bearer and a token"), ("another", "this token is none of those")):
            async with either(kind, product.url, token=token) as client:
                with pytest.raises(AccessError, match=words):
                    await client.ask("send_batch", batch)
        async with either(kind, product.url) as client:
            assert (await client.ask("send_batch", batch)).batch_id
            for users in (60_000, 400_000):
                with pytest.raises(TooLargeError, match="send at most 1000000 bytes"):
                    await client.ask("send_batch", batch_of(*make_users(users)))
            assert not client.notices
            with pytest.raises(RefusedError, match=r"with 400: .*name"):
                await client.ask("send_batch", replace(batch, name=" "))
            with pytest.raises(NotKnownError):
                await client.ask("session", 12)


@both
async def test_a_503_that_does_not_pass_is_given_up_with_the_server_s_words(
    kind: Kind, kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["klaviyo"], consuming=[]) as product,
        either(kind, product.url, token=None, retry=NOT_AGAIN) as client,
    ):
        with pytest.raises(UnreachableError) as caught:
            await client.ask("send_batch", replace(batch_of(*make_users(1)), mode="remove"))
        assert caught.value.why == "no_room"
        assert "klaviyo" in caught.value.words


async def test_the_example_of_the_client_s_readme_runs(kafka: KafkaSettings, topic_prefix: str) -> None:
    page = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "send_batch" in block)
    async with world(kafka, topic_prefix, providers=["klaviyo"]) as product:
        environ = {**os.environ, "AUDIENCE_URL": product.url, "PYTHONPATH": str(ROOT / "client")}
        command = [sys.executable, "-W", "error", "-c", example]
        ran = await asyncio.to_thread(
            subprocess.run, command, env=environ, capture_output=True, text=True, timeout=90, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.fullmatch(r"[0-9a-f-]{36} delivered\n", ran.stdout)


def test_the_client_needs_nothing_of_the_server_s() -> None:
    code = """
import sys
for package in ("confluent_kafka", "fastavro", "pydantic", "aiohttp", "structlog", "rich", "openpyxl", "pyarrow"):
    sys.modules[package] = None
from audience_client.http.client import ServerClient
from audience_client.http.async_client import AsyncServerClient
ServerClient("http://127.0.0.1:1").close()
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False, timeout=60).returncode == 0
