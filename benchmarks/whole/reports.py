"""How many users each account has reported as taken."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.followed import followed_completions
from schemas.avro.codec import decode_batch_completion
from schemas.records import TERMINAL
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.tail import Tail


@dataclass(slots=True)
class Reports:
    """Users of the records that ended, by provider: those that were taken, and whether any was not."""

    accepted: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Records that did not end as delivered, by provider, status and error."""

    async def follow(self, tail: Tail) -> None:
        """Take reports without end."""
        async for records in tail.batches():
            for completion in (decode_batch_completion(record.value) for record in records):
                if completion.status in TERMINAL:
                    self.accepted[completion.provider] += completion.counts.accepted
                if completion.status != "delivered":
                    self.failures[f"{completion.provider}: {completion.status} ({completion.error_code})"] += 1


@asynccontextmanager
async def followed_reports(kafka: KafkaSettings, names: TopicNames) -> AsyncIterator[Reports]:
    """Follow what accounts report while the block is entered."""
    reports = Reports()
    async with followed_completions(kafka, names, reports.follow):
        yield reports
