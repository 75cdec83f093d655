"""Every request that a real client was recorded with gets the answer that is right, and its members arrive as meant."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from world import world

from checks.clients import FOLDER, Capture, captures, page
from checks.wire import Reply, exchange
from schemas.avro.codec import decode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end

ROOT = Path(__file__).parent.parent
CAPTURES = captures()
AT_ONCE = 6

SOREN = AudienceUser(email="soren@example.com", first_name="Søren", last_name="李", phone="+4520123456", country="DK")
ADA = AudienceUser(email="ada@example.com", first_name="Ada", last_name="Lovelace")
ALAN = AudienceUser(email="alan@example.com", phone="+14155550100")

REPLACED: Mapping[str, tuple[str, str]] = {
    "hc4-browser": ("Søren", "?"),
    "hc4-setCharset": ("Søren", "?"),
    "hc4-t": ("Søren", "?"),
    "hc4-cjk-only": ("Soren", "?"),
    "hc5-latin": ("Søren", "L"),
}
"""The first user's names as these requests have them: the client replaced what Latin-1 lacks, or was given others."""

AUDIENCES: Mapping[str, str] = {
    "curl-at": "curl-@",
    "curl-atjson": "curl-@json",
    "curl-lt": "curl-<",
    "curl-stdinat-": "curl-stdin@-",
    "curl-stdinlt-": "curl-stdin<-",
}
"""How the audience of a request begins where a file's name can't."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What each request was answered, and what stands in the log by batch id."""

    replies: Mapping[str, Reply | None]
    log: Mapping[str, AudienceBatch]


@pytest.fixture(scope="module")
async def answered(kafka: KafkaSettings) -> Answered:
    """All requests, sent to the byte, and the log after them."""
    settings = {"AUDIENCE_API_TOKENS": "made-up-token"}
    async with world(kafka, f"test-{secrets.token_hex(6)}", settings=settings) as found:
        places = asyncio.Semaphore(AT_ONCE)
        at = urlsplit(found.url)

        async def send(capture: Capture) -> Reply | None:
            async with places:
                return await exchange(at.hostname or "", at.port or 0, capture.request, 60)

        replies = await asyncio.gather(*map(send, CAPTURES))
        batches = [decode_audience_batch(record.value) for record in await read_to_end(kafka, found.names.batches)]
    names = (capture.name for capture in CAPTURES)
    return Answered(dict(zip(names, replies, strict=True)), {batch.batch_id: batch for batch in batches})


def meant(capture: Capture) -> list[AudienceUser]:
    first, last = REPLACED.get(capture.name, ("Søren", "李"))
    return [msgspec.structs.replace(SOREN, first_name=first, last_name=last), ADA, ALAN]


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.status == 200], ids=lambda capture: capture.name)
async def test_what_a_client_sends_arrives_with_exactly_the_members_that_were_meant(
    answered: Answered, capture: Capture
) -> None:
    reply = answered.replies[capture.name]
    assert reply
    assert reply.status == 200, reply.body.decode()
    batch = answered.log[reply.headers["x-batch-id"]]
    begins = re.escape(AUDIENCES.get(capture.name, capture.name))
    assert list(batch.users) == meant(capture)
    assert re.fullmatch(rf"{begins} \d+ S[øo]ren [李L?]", batch.name)
    assert (batch.sequence, batch.total_batches, batch.total_users) == (1, 1, 3)
    assert (batch.channels is not None) == (b"channels=" in capture.request.partition(b"\r\n")[0])


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.status == 400], ids=lambda capture: capture.name)
async def test_what_cannot_be_read_is_refused_with_what_to_do(answered: Answered, capture: Capture) -> None:
    reply = answered.replies[capture.name]
    assert reply
    assert reply.status == 400
    text = reply.body.decode()
    assert capture.says in text
    assert not re.search("example.com|Lovelace|4520123456|14155550100|54[0-9]{3}", text)


def test_nothing_is_in_the_log_but_what_was_answered_200(answered: Answered) -> None:
    told = {reply.headers["x-batch-id"] for reply in answered.replies.values() if reply and reply.status == 200}
    assert set(answered.log) == told


def test_every_recorded_request_is_in_the_index_and_the_page_is_in_step() -> None:
    assert sorted(capture.name for capture in CAPTURES) == sorted(file.stem for file in FOLDER.glob("*.raw"))
    assert len({(capture.client, capture.version) for capture in CAPTURES}) == 51
    assert all((capture.status == 400) == bool(capture.says and capture.advice) for capture in CAPTURES)
    assert (ROOT / "docs" / "clients.md").read_text(encoding="utf-8") == page(CAPTURES), "run make docs"
