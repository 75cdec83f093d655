"""What a consumer holds in memory by a backlog and by a larger one, while its platform stalls and after."""

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.product import LIMIT, Product, product
from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser, Purchase
from streams.client.settings import KafkaSettings
from streams.write.writer import Writer

PROVIDER = "tiktok"
IN_FLIGHT = 4 * 1024 * 1024
AUDIENCES = 12
USERS = 3_200
"""Of a record, which makes it about as large as any of ingestion's."""

SMALL = 48
"""Records, more than are in flight and fetched ahead."""

TIMES = 8
BOMB = bytes(120_000_000)
"""Compresses to some kB; more than the client takes (`receive.message.max.bytes`, 100,000,000)."""

CALM = 3.0
"""Seconds without growth after which a process is taken to hold what it will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The most that a process held, in bytes."""

    stalled: int
    drained: int


async def measure_memory(kafka: KafkaSettings) -> None:
    """Let a consumer meet each backlog, a record in its midst that can't be inflated, on a platform that stalls."""
    idle, size = await _idle(kafka), len(encode_audience_batch(_batch(0)))
    small, large = await _peaks(kafka, SMALL), await _peaks(kafka, SMALL * TIMES)
    print(  # noqa: T201 -- the output
        f"memory, peak of a consumer's process that may hold {IN_FLIGHT >> 20} MiB of records in hand, "
        f"backlogs of x{SMALL * size / IN_FLIGHT:.0f} and x{SMALL * TIMES * size / IN_FLIGHT:.0f} of that"
    )
    _show("while the platform stalls", idle, small.stalled, large.stalled)
    _show("until all is delivered", idle, small.drained, large.drained)


def _show(when: str, idle: int, small: int, large: int) -> None:
    above = [(peak - idle) / IN_FLIGHT for peak in (small, large)]
    print(  # noqa: T201 -- the output
        f"  {when:26} x{large / small:.2f} by a backlog x{TIMES}; above an idle process x{above[1] / above[0]:.2f}, "
        f"which is x{above[0]:.0f} and x{above[1]:.0f} of what may be in hand"
    )


async def _idle(kafka: KafkaSettings) -> int:
    async with product(kafka, [PROVIDER]) as running:
        [process] = await running.consume(PROVIDER)
        return await _calm_peak(process)


async def _peaks(kafka: KafkaSettings, records: int) -> Peaks:
    async with product(kafka, [PROVIDER], AUDIENCE_IN_FLIGHT_BYTES=str(IN_FLIGHT)) as running:
        await running.inject(provider=PROVIDER, fault="stall", operation="upload", until="cleared")
        await _publish(running, records)
        [process] = await running.consume(PROVIDER)
        await running.until_in_flight(PROVIDER)
        stalled = await _calm_peak(process)
        await running.clear_faults()
        await running.reports.until(lambda: len(running.reports.of(PROVIDER)) > records)
        ended = [report.completion for report in running.reports.of(PROVIDER)]
        if sorted(completion.status for completion in ended) != ["delivered"] * records + ["failed"]:
            raise RuntimeError("expected one record to fail, and all others to be delivered")
        return Peaks(stalled=stalled, drained=peak(process))


async def _publish(running: Product, records: int) -> None:
    """Write records to all partitions, with one in their midst that the client refuses to inflate."""
    topic = running.names.batches
    made = [_batch(number) for number in range(AUDIENCES)]
    encoded = [(batch.key, encode_audience_batch(batch)) for batch in made]
    for number in range(records):
        if number == records // 2:
            lifted = replace(running.kafka, properties={"message.max.bytes": "1000000000"})
            async with Writer(lifted, max_queued_bytes=2 * len(BOMB)) as writer:
                await writer.send(topic, made[0].key, BOMB)
        await running.writer.send(topic, *encoded[number % AUDIENCES])


def _batch(number: int) -> AudienceBatch:
    return AudienceBatch(batch_id=str(uuid.uuid4()), name=f"VIP {number}", users=[_user(n) for n in range(USERS)])


def _user(number: int) -> AudienceUser:
    """Return a made-up customer who compresses no better than a true one."""
    digests = [hashlib.sha256(f"{column} {number}".encode()).hexdigest() for column in range(4)]
    return AudienceUser(
        edge_tag_id=digests[0],
        email=f"{digests[1][:20]}@example.com",
        first_name=digests[2],
        last_name=digests[3],
        country="US",
        postal_code="94107",
        purchase=Purchase(currency="USD", profit=number / 4, total_7_days=1.0),
    )


async def _calm_peak(process: int) -> int:
    """Return the peak once it has not grown for a while."""
    clock, highest = asyncio.get_running_loop().time, 0
    since = clock()
    async with asyncio.timeout(LIMIT):
        while clock() < since + CALM:
            if (now := peak(process)) > highest:
                highest, since = now, clock()
            await asyncio.sleep(0.1)
    return highest


def peak(process: int) -> int:
    """Return the most memory that a process ever held, in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if found is None:
        raise RuntimeError("this system does not tell a process's memory")
    return int(found[1]) * 1024
