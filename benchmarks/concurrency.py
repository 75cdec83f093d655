"""What of its slots an account uses on one partition of the log, where nothing but the platform's latency holds it."""

import asyncio
import uuid

from benchmarks.product import Product, product
from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from streams.client.settings import KafkaSettings

SLOTS = 16
LATENCY = 0.1
RECORDS = 100 * SLOTS
EDGE = 5 * SLOTS
"""Records left out at the start and at the end, while slots fill and empty."""

PROVIDER = "tiktok"


async def measure_concurrency(kafka: KafkaSettings) -> None:
    """Let a backlog of small records of one audience, so of one partition, go to a slow platform, one call each."""
    settings = {"AUDIENCE_SANDBOX_LATENCY": str(LATENCY), f"{PROVIDER.upper()}_SLOTS": str(SLOTS)}
    async with product(kafka, [PROVIDER], **settings) as running:
        await _publish(running)
        await running.consume(PROVIDER)
        await running.reports.until(lambda: len(running.reports.of(PROVIDER)) >= RECORDS)
        ended = [report.completion for report in running.reports.of(PROVIDER)]
    if {completion.status for completion in ended} != {"delivered"}:
        raise RuntimeError("not all was delivered")
    times = sorted(completion.finished_at.timestamp() for completion in ended if completion.finished_at)
    # From one record to the one that ended a whole number of rounds later, so that no round counts in part.
    rate = (RECORDS - 2 * EDGE) / (times[-EDGE] - times[EDGE])
    print(  # noqa: T201 -- the output
        f"concurrency, {RECORDS:,} records on one partition, {SLOTS} slots, "
        f"the platform takes {LATENCY * 1000:.0f} ms, without the first and last {EDGE} records"
    )
    print(f"  x{rate * LATENCY / SLOTS:.3f} of {SLOTS} slots x {1 / LATENCY:.0f} records/s")  # noqa: T201 -- the output


async def _publish(running: Product) -> None:
    users = [AudienceUser(email=f"person{number}@example.com") for number in range(3)]
    batches = [AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", users=users) for _ in range(RECORDS)]
    topic = running.names.batches
    await asyncio.gather(*(running.writer.send(topic, batch.key, encode_audience_batch(batch)) for batch in batches))
