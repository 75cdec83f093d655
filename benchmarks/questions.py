"""What it costs to ask Kafka where a log ends, and to read what came: by one client that is kept, and by one each."""

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable

from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import scan, scan_by
from streams.read.topic_offsets import end_offsets, ends_by
from streams.read.ungrouped import UngroupedConsumer
from streams.write.writer import Writer

RECORDS = 600
ROUNDS = 20


async def measure_questions(kafka: KafkaSettings) -> None:
    """Ask and scan in turn by both, and print the medians."""
    names = TopicNames(f"questions-{secrets.token_hex(4)}")
    await ensure_topics(kafka, layout(names, []))
    async with Writer(kafka) as writer:
        await asyncio.gather(*(writer.send(names.batches, str(number), b"x") for number in range(RECORDS)))
    with UngroupedConsumer(kafka, names.batches) as client:
        start = dict(enumerate(await ends_by(client)))
        await _measure("where it ends", lambda: ends_by(client), lambda: end_offsets(kafka, names.batches))
        await _measure(
            "what came since, nothing",
            lambda: scan_by(client, lambda _: None, start=start),
            lambda: scan(kafka, names.batches, lambda _: None, start=start),
        )
        await _measure(
            f"all {RECORDS} records",
            lambda: scan_by(client, lambda _: None),
            lambda: scan(kafka, names.batches, lambda _: None),
        )


async def _measure(what: str, kept: Callable[[], Awaitable[object]], fresh: Callable[[], Awaitable[object]]) -> None:
    await kept()
    took: dict[str, list[float]] = {"kept": [], "fresh": []}
    for _ in range(ROUNDS):
        for name, ask in (("kept", kept), ("fresh", fresh)):
            began = time.perf_counter()
            await ask()
            took[name].append(time.perf_counter() - began)
    one, other = (statistics.median(took[name]) for name in ("kept", "fresh"))
    print(  # noqa: T201 -- the output
        f"questions, {what:26} a client that is kept {one * 1e3:6.1f} ms, one for each {other * 1e3:6.1f} ms, "
        f"x{other / one:.1f}"
    )
