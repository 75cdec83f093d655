"""What a replay takes from live traffic beside it: the seconds of live `sync=true` uploads, as ratios."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

from benchmarks.product import Product, make_form, product
from ledger.receipts import keep_receipts
from schemas.avro.framing import SINGLE_OBJECT
from streams.client.settings import KafkaSettings

PROVIDERS = ("facebook", "tiktok")
LATENCY = 0.05
UPLOADS = 200
REPLAYED = 50_000
A_BATCH = 5_000
USERS = [{"email": f"person{number}@example.com"} for number in range(10)]
PACE = "10/s,600/m"
"""TikTok's documented one, so that the replay lasts for as long as the uploads; live consumers have none."""


async def measure_replay(kafka: KafkaSettings) -> None:
    """Time live uploads alone, beside a replay, and alone again, so that drift shows."""
    async with product(kafka, PROVIDERS, AUDIENCE_SANDBOX_LATENCY=str(LATENCY)) as running:
        url = await running.serve()
        await running.consume(*PROVIDERS)
        async with _ledger(running):
            await _fill(running, url)
            alone = await _uploads(running, url)
            async with running.command(
                "replay", "--since", "1h", "--yes", "--audience", "Old", TIKTOK_PACE=PACE
            ) as sent:
                ended = len(running.reports.of("facebook"))
                await running.reports.until(lambda: len(running.reports.of("facebook")) > ended)
                beside = await _uploads(running, url)
                if sent.returncode is not None:
                    raise RuntimeError("the replay was over before the uploads were")
                code = await sent.wait()
        again = await _uploads(running, url)
    if code:
        raise RuntimeError(f"the replay ended with {code}")
    print(  # noqa: T201 -- the output
        f"replay, {UPLOADS} live sync uploads with a replay of {REPLAYED:,} users beside them, to those alone "
        "(lower is better)"
    )
    for name, at in (("p50", 49), ("p95", 94)):
        before, with_it, after = (statistics.quantiles(took, n=100)[at] for took in (alone, beside, again))
        print(f"  {name}  x{with_it / before:.2f}   alone again x{after / before:.2f}")  # noqa: T201 -- the output


@asynccontextmanager
async def _ledger(running: Product) -> AsyncIterator[None]:
    keeping = asyncio.create_task(keep_receipts(running.kafka, running.names, SINGLE_OBJECT, lambda _: nullcontext()))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _fill(running: Product, url: str) -> None:
    """Upload what is replayed later, and make the audience of the live uploads."""
    for first in range(0, REPLAYED, A_BATCH):
        people = [{"email": f"person{number}@example.com"} for number in range(first, first + A_BATCH)]
        await _upload(running, url, "Old", people)
    await _upload(running, url, "VIP", USERS)


async def _uploads(running: Product, url: str) -> Sequence[float]:
    seconds = []
    for _ in range(UPLOADS):
        began = time.perf_counter()
        await _upload(running, url, "VIP", USERS)
        seconds.append(time.perf_counter() - began)
    return seconds


async def _upload(running: Product, url: str, name: str, users: Sequence[dict[str, str]]) -> None:
    async with running.session.post(f"{url}/audience?sync=true", data=make_form(name, users)) as response:
        if response.status != 200:
            raise RuntimeError(f"the upload was answered {response.status}")
