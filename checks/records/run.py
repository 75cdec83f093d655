"""A run: everything is sent, asked what became of each record, and sent again by a replay."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checks.records.foreign_producer import ForeignProducer
from checks.records.generator import make_good, make_record
from checks.records.product import PROVIDERS, Product, product
from checks.records.replay_of_all import replay_all
from checks.records.report import Report
from checks.records.values import Made
from checks.records.verdict import faults_of
from schemas.avro.framing import Framing
from schemas.records import Origin
from streams.client.settings import KafkaSettings

AT_ONCE = 100
"""Records after which a good one comes."""

STALL_TIMEOUT = 120.0
"""Seconds in which something must end while anything has yet to; it takes one or two, on a busy machine some more."""

LOOK = 0.05
"""Seconds between looks at what was reported."""


async def run(kafka: KafkaSettings, prefix: str, seed: int, numbers: range, framing: Framing, report: Report) -> None:
    """Send these records of a seed, a good one after each hundred, and judge what was reported; then replay all."""
    async with product(kafka, prefix, framing) as found, ForeignProducer(kafka) as producer:
        flood = _Flood(found, producer, report, seed)
        for first in range(numbers.start, numbers.stop, AT_ONCE):
            await flood.send(range(first, min(first + AT_ONCE, numbers.stop)))
            if report.faults:
                return
        await replay_all(found, report)
        await flood.send(range(numbers.stop, numbers.stop))


@dataclass(slots=True)
class _Flood:
    """Sends the records of a seed."""

    product: Product
    producer: ForeignProducer
    report: Report
    seed: int

    async def send(self, numbers: range) -> None:
        """Send some records and a good one, wait until all have ended, and judge them."""
        made = [make_record(self.seed, number) for number in numbers]
        good = make_good(self.seed, len(self.report.seconds))
        origins = await asyncio.gather(*map(self._write, made))
        begun, last = time.monotonic(), await self._write(good)
        self.report.sent += len(made)
        ended_at = await self._ends([*origins, last])
        where = f"records {numbers.start} to {numbers.stop}"
        if len(ended_at) <= len(origins):
            self.report.note("not all is ended in time", where)
        for name in self.product.ended:
            self.report.note(f"{name} ended", where)
        if last in ended_at:
            self.report.note_good(ended_at[last] - begun, f"after {where}")
        for number, one, origin in zip([*numbers, numbers.stop], [*made, good], [*origins, last], strict=True):
            for fault in faults_of(self.product.reported, origin, PROVIDERS):
                self.report.note(fault, f"record {number} ({one.kind})")
        if not self.product.reported.is_delivered(last):
            self.report.note("a good record is not delivered everywhere", f"after {where}")
        self.report.verdicts += self.product.reported.verdicts()
        self.product.reported.settle()

    async def _write(self, made: Made) -> Origin:
        return await self.producer.write(self.product.log, made)

    async def _ends(self, origins: Sequence[Origin]) -> Mapping[Origin, float]:
        """Return when each was found to have ended everywhere, of those that did while anything moved."""
        ended: dict[Origin, float] = {}
        moved = time.monotonic()
        while len(ended) < len(origins) and time.monotonic() - moved < STALL_TIMEOUT and not self.product.ended:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            fresh = [one for one in origins if one not in ended and self.product.reported.is_ended(one, PROVIDERS)]
            ended.update(dict.fromkeys(fresh, now))
            moved = now if fresh else moved
        return ended
