"""Print every figure as a ratio within this run; absolute ones are this machine's. Names choose some benchmarks."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from benchmarks.bulkhead import measure_bulkhead
from benchmarks.concurrency import measure_concurrency
from benchmarks.ingest import measure_ingest
from benchmarks.ledger import measure_ledger
from benchmarks.memory import measure_memory
from benchmarks.product import local_kafka
from benchmarks.replay import measure_replay
from benchmarks.rows import measure_rows
from benchmarks.sandbox import measure_sandbox
from benchmarks.sync import measure_sync
from benchmarks.transform import measure_transform
from streams.client.settings import KafkaSettings

BY_THEMSELVES: Mapping[str, Callable[[], None]] = {
    "ingest": measure_ingest,
    "transform": measure_transform,
    "rows": measure_rows,
    "sandbox": measure_sandbox,
}
ON_KAFKA: Mapping[str, Callable[[KafkaSettings], Awaitable[None]]] = {
    "sync": measure_sync,
    "concurrency": measure_concurrency,
    "bulkhead": measure_bulkhead,
    "memory": measure_memory,
    "replay": measure_replay,
    "ledger": measure_ledger,
}


def main(names: Collection[str]) -> None:
    """Run the benchmarks that are named, all if none is; those that need a Kafka on the same one."""
    if unknown := set(names) - {*BY_THEMSELVES, *ON_KAFKA}:
        sys.exit(
            f"benchmarks: there is no {', '.join(sorted(unknown))}; there are {', '.join([*BY_THEMSELVES, *ON_KAFKA])}"
        )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = names or {*BY_THEMSELVES, *ON_KAFKA}
    for name, measure in BY_THEMSELVES.items():
        if name in chosen:
            measure()
    if chosen & ON_KAFKA.keys():
        asyncio.run(_on_kafka(chosen))


async def _on_kafka(chosen: Collection[str]) -> None:
    async with local_kafka() as kafka:
        for name, measure in ON_KAFKA.items():
            if name in chosen:
                await measure(kafka)


if __name__ == "__main__":
    main(set(sys.argv[1:]))
