"""What additions cost where a million identifiers were removed, beside those to an audience without removals."""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pairs import Ratios
from benchmarks.product import Product, product
from checks.chaos.processes import resident
from schemas.avro.codec import encode_audience_batch
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, AudienceUser, Mode
from streams.client.settings import KafkaSettings

PROVIDER = "tiktok"
PLAIN, CHURNED = "Plain", "Churned"
REMOVED = 500_000
"""People who are removed, each with an e-mail address and a phone number."""

ADDED = 60_000
EACH = 4_000
"""People of a record."""

AT_ONCE = 20
"""Records that are written before one has ended."""

PAIRS = 7
PARTITIONS = 12
FIRST_ADDED = 10_000_000 - ADDED
TICK = os.sysconf("SC_CLK_TCK")


async def measure_removals(kafka: KafkaSettings) -> None:
    """Remove people from one audience, then add others to it and to another one in turn."""
    async with product(kafka, [PROVIDER], AUDIENCE_HASH_KEYS="a-made-up-key-of-a-benchmark") as running:
        [process] = await running.consume(PROVIDER)
        await _sent(running, "add", PLAIN, range(EACH))
        idle = resident(process)
        await _sent(running, "remove", CHURNED, range(REMOVED))
        known = resident(process)
        pairs = [(await _cost(running, process, PLAIN), await _cost(running, process, CHURNED)) for _ in range(PAIRS)]
        ratios = Ratios(pairs)
        plain, churned = (1e6 * seconds / ADDED for seconds in ratios.medians())
        print(  # noqa: T201 -- the output
            f"removals: a consumer's CPU of additions to an audience without removals, beside one with "
            f"{2 * REMOVED:,} removed identifiers\n  {ratios}; {plain:.1f} and {churned:.1f} us a user\n"
            f"  memory of the process: {idle / 1e6:.0f} MB before, {known / 1e6:.0f} MB once it knows them, "
            f"{(known - idle) / (2 * REMOVED):.0f} bytes an identifier"
        )


async def _cost(running: Product, process: int, name: str) -> float:
    """Return the seconds of processor time that a consumer takes to add people."""
    began = _seconds(process)
    await _sent(running, "add", name, range(FIRST_ADDED, FIRST_ADDED + ADDED))
    return _seconds(process) - began


async def _sent(running: Product, mode: Mode, name: str, numbers: Sequence[int]) -> None:
    """Write records, some at a time, and return when all have ended."""
    before = len(running.reports.of(PROVIDER))
    for count, start in enumerate(range(0, len(numbers), EACH), before + 1):
        users = [_user(number) for number in numbers[start : start + EACH]]
        batch = AudienceBatch(batch_id=str(uuid.uuid4()), name=name, users=users, mode=mode)
        home = home_partition(batch.key, PARTITIONS)
        await running.writer.send(running.names.batches, batch.key, encode_audience_batch(batch), partition=home)
        await _ended(running, count - AT_ONCE)
    await _ended(running, count)
    ended = {one.completion.status for one in running.reports.of(PROVIDER)[before:]}
    if ended != {"delivered"}:
        raise RuntimeError(f"not all was delivered: {sorted(ended)}")


async def _ended(running: Product, count: int) -> None:
    """Return when so many records have ended in all."""
    await running.reports.until(lambda: len(running.reports.of(PROVIDER)) >= count)


def _user(number: int) -> AudienceUser:
    return AudienceUser(email=f"person{number}@example.com", phone=f"+1212{number:07}")


def _seconds(process: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK
