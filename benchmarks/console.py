"""What the console costs: a large session's page beside its JSON, and uploads beside somebody who looks at pages."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import aiohttp

from benchmarks.alongside import alongside
from benchmarks.events import Cost, Ingestion, Uploads, serving, spread
from benchmarks.product import LIMIT, Product, product
from schemas.avro.codec import encode_batch_completion, encode_batch_receipt
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, RejectedUser
from streams.client.settings import KafkaSettings

T = TypeVar("T")

PROVIDERS = ("facebook", "tiktok", "klaviyo")
BATCHES, USERS = 1_000, 500
EACH_PARTIAL, REJECTED = 10, 5
"""Of one of so many batches each account rejects so many users."""

SESSION = "41"
PAGE, JSON = f"/sessions/{SESSION}", f"/audience/sessions/{SESSION}"
PAIRS, LOOKS = 9, 5
MOST = 3.0
"""Times as much as its JSON that a page may cost."""

UPLOADS = Uploads(400, 100)
LOOKED_AT = ("/", "/sessions")
PAUSE, REST, KIND = 2.0, 3, "change"
"""As in `console/static/follow.js`: seconds, and times as long as the last look took, until the next; and events."""

GOAL = 0.97


async def measure_console(kafka: KafkaSettings) -> None:
    """Ask for page and JSON in turn, upload beside a reader and beside none in turn, and exit where it costs more."""
    async with product(kafka, PROVIDERS) as found, serving(found) as ingestion:
        await _publish_session(found, ingestion)
        looks = [await _pair(ingestion, is_page_first=number % 2 == 0) for number in range(PAIRS)]
        await ingestion.cost(UPLOADS)
        beside = [await _beside(ingestion, with_first=number % 2 == 0) for number in range(PAIRS)]
    print("\n".join([*report_of_page(looks), *report_of_uploads(beside)]))  # noqa: T201 -- the output
    if statistics.median(page / json for page, json in looks) > MOST:
        sys.exit(f"console: the page costs more than x{MOST} of its JSON")


async def _publish_session(found: Product, ingestion: Ingestion) -> None:
    """Let a session be known whose batches all accounts are through with."""
    begun = datetime.now(UTC) - timedelta(hours=1)
    receipts = [_receipt(found, begun, number) for number in range(BATCHES)]
    ends = [_completion(one, number, provider) for number, one in enumerate(receipts) for provider in PROVIDERS]
    await asyncio.gather(
        *(found.writer.send(found.names.receipts, one.key, encode_batch_receipt(one)) for one in receipts),
        *(found.writer.send(found.names.completions, one.key, encode_batch_completion(one)) for one in ends),
    )
    async with asyncio.timeout(LIMIT):
        while not await _is_whole(found, ingestion):
            await asyncio.sleep(0.2)


async def _is_whole(found: Product, ingestion: Ingestion) -> bool:
    async with found.session.get(f"http://{ingestion.address}{JSON}") as response:
        if response.status != 200:
            return False
        run = (await response.json())["runs"][0]
    return run["state"] == "partial" and len(run["batches"]) == BATCHES


def _receipt(found: Product, begun: datetime, number: int) -> BatchReceipt:
    return BatchReceipt(
        batch_id=str(UUID(int=number + 1)),
        part=1,
        parts=1,
        session_id=SESSION,
        sequence=number + 1,
        total_batches=BATCHES,
        total_users=BATCHES * USERS,
        name="VIP customers",
        type="custom",
        disable_prefix=False,
        users=USERS,
        content_hash=number.to_bytes(32, "big"),
        source="http",
        origin=Origin(topic=found.names.batches, partition=0, offset=number),
        timestamp=begun + timedelta(seconds=number),
        verdict="valid",
    )


def _completion(of: BatchReceipt, number: int, provider: str) -> BatchCompletion:
    rejected = REJECTED if number % EACH_PARTIAL == 0 else 0
    return BatchCompletion(
        batch_id=of.batch_id,
        origin=of.origin,
        provider=provider,
        status="partial" if rejected else "delivered",
        counts=Counts(received=USERS, accepted=USERS - rejected, rejected=rejected),
        rejected_reasons={"email: not_an_email": rejected} if rejected else {},
        rejected_users=[RejectedUser(index=at, field="email", reason="not_an_email") for at in range(rejected)],
        attempts=1,
        started_at=of.timestamp,
        finished_at=of.timestamp + timedelta(seconds=5),
    )


async def _pair(ingestion: Ingestion, *, is_page_first: bool) -> tuple[float, float]:
    """Return the seconds of the processor that ingestion takes for a page, and for its JSON."""
    return await _in_turn(lambda: _look(ingestion, PAGE), lambda: _look(ingestion, JSON), is_first=is_page_first)


async def _look(ingestion: Ingestion, path: str) -> float:
    used = ingestion.processor()
    for _ in range(LOOKS):
        async with ingestion.found.session.get(f"http://{ingestion.address}{path}") as response:
            response.raise_for_status()
            await response.read()
    return (ingestion.processor() - used) / LOOKS


async def _beside(ingestion: Ingestion, *, with_first: bool) -> tuple[Cost, Cost]:
    """Return what uploads took beside a reader, and beside none."""

    async def beside() -> Cost:
        async with _reader(ingestion):
            return await ingestion.cost(UPLOADS)

    return await _in_turn(beside, lambda: ingestion.cost(UPLOADS), is_first=with_first)


@asynccontextmanager
async def _reader(ingestion: Ingestion) -> AsyncIterator[None]:
    """Keep somebody looking while the block is entered: a stream of events that is read, and pages that follow it."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        alongside(_looks(session, ingestion), _listens(session, ingestion)),
    ):
        yield


async def _looks(session: aiohttp.ClientSession, ingestion: Ingestion) -> None:
    while True:
        for path in LOOKED_AT:
            begun = time.perf_counter()
            async with session.get(f"http://{ingestion.address}{path}") as response:
                response.raise_for_status()
                await response.read()
            await asyncio.sleep(max(PAUSE, REST * (time.perf_counter() - begun)))


async def _listens(session: aiohttp.ClientSession, ingestion: Ingestion) -> None:
    async with session.get(f"http://{ingestion.address}/events", params={"kind": KIND}) as response:
        response.raise_for_status()
        async for _ in response.content:
            pass


async def _in_turn(
    first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[T]], *, is_first: bool
) -> tuple[T, T]:
    if is_first:
        found = await first()
        return found, await second()
    other = await second()
    return await first(), other


def report_of_page(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Return the lines that say what the page costs beside its JSON."""
    page, json = (1000 * statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return [
        f"console, the page of a session of {BATCHES:,} batches at {len(PROVIDERS)} accounts beside its JSON, "
        f"{len(pairs)} pairs of {LOOKS} in turn; processor time, {page:.0f} ms and {json:.0f} ms",
        f"  page                    {spread([page / json for page, json in pairs])} of the JSON; x{MOST} at most",
    ]


def report_of_uploads(pairs: Sequence[tuple[Cost, Cost]]) -> list[str]:
    """Return the lines that say how much of the uploads is left beside a reader."""
    rate = UPLOADS.count / statistics.median(alone.seconds for _, alone in pairs)
    return [
        f"console, {UPLOADS.count} uploads beside somebody who follows {' and '.join(LOOKED_AT)} and beside nobody, "
        f"{len(pairs)} pairs in turn, {rate:.0f} uploads a second without",
        f"  uploads a second        {spread([alone.seconds / beside.seconds for beside, alone in pairs])} of those "
        f"without; the goal is x{GOAL} at least",
        f"  uploads a processor s   {spread([alone.processor / beside.processor for beside, alone in pairs])} of those "
        "without",
    ]
