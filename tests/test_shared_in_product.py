"""Small uploads that wait at the same time share calls in the whole product; each is told what became of it alone."""

import asyncio
import hashlib
from collections import Counter
from typing import Any

import pytest
from test_ledger import get, ledger, send
from world import World, world

from streams.client.settings import KafkaSettings

UPLOADS = 6


def mail(number: int) -> str:
    return f"person{number}@example.com"


def sent_as(provider: str, number: int) -> str:
    """Return what a platform is sent of somebody."""
    return mail(number) if provider == "klaviyo" else hashlib.sha256(mail(number).encode()).hexdigest()


async def uploaded(found: World, number: int) -> dict[str, Any]:
    """Upload one user in a batch of its own; return the account's status once it is over."""
    status, told = await send(found, [{"email": mail(number)}], sessionId=number + 1)
    assert status == 200
    _, batch = await get(found, f"/audience/batches/{told['batchId']}?wait=60")
    target: dict[str, Any] = batch["targets"][0]
    return target


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
async def test_uploads_that_wait_for_a_throttle_s_end_go_up_together_and_their_status_names_the_call(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with world(kafka, topic_prefix, providers=[provider]) as found, ledger(found):
        assert "sharedCalls" not in await uploaded(found, 100)
        await found.inject(provider=provider, fault="throttled", operation="upload", seconds=3)
        told = await asyncio.gather(*(uploaded(found, number) for number in range(UPLOADS)))
        assert {one["state"] for one in told} == {"delivered"}
        calls = Counter(call for one in told for call in one.get("sharedCalls", ()))
        assert calls
        assert min(calls.values()) > 1
        assert {one["users"]["accepted"] for one in told} == {1}
        assert not any("sharedUnplaced" in one["users"] for one in told)
        held = str(await found.members(provider))
        assert all(sent_as(provider, number) in held for number in range(UPLOADS))


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
async def test_who_is_refused_in_a_shared_call_is_refused_alone_and_nobody_else(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with world(kafka, topic_prefix, providers=[provider]) as found, ledger(found):
        await uploaded(found, 100)
        refused = {"values": [sent_as(provider, 2)], "names": False, "until": "cleared"}
        await found.inject(provider=provider, fault="dislikes", operation="upload", **refused)
        await found.inject(provider=provider, fault="throttled", operation="upload", seconds=3)
        told = await asyncio.gather(*(uploaded(found, number) for number in range(UPLOADS)))
        assert [one["state"] for one in told] == ["failed" if number == 2 else "delivered" for number in range(UPLOADS)]
        assert told[2]["error"]["code"] == "request_refused"
        held = str(await found.members(provider))
        assert [sent_as(provider, number) in held for number in range(UPLOADS)] == [
            number != 2 for number in range(UPLOADS)
        ]
