"""What ingestion holds in memory for one large upload, beside what it held in the general way."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.ingest import before, make_payload, ours
from benchmarks.memory import peak
from benchmarks.pairs import Ratios
from schemas.avro.codec import Part

USERS = 250_000
PAIRS = 7
MB = 1_000_000

Way = Callable[[bytes], list[Part]]


def measure_ingest_memory() -> None:
    """Ingest the upload by each way in turn, each time in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder:
        path = Path(folder) / "users.json"
        path.write_bytes(make_payload(USERS))
        ratios = Ratios([(_held_by(before, path), _held_by(ours, path)) for _ in range(PAIRS)])
        size = path.stat().st_size
    general, own = (held / MB for held in ratios.medians())
    print(  # noqa: T201 -- the output
        f"ingest_memory, {USERS:,} users, {size / MB:.0f} MB of JSON: peak above the idle process\n"
        f"  before is {ratios} of ours; {own:.0f} MB instead of {general:.0f}"
    )


def _held_by(way: Way, path: Path) -> int:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_held, way, path).result()


def _held(way: Way, path: Path) -> int:
    """Return how much more than an idle process this one held, the upload included."""
    way(make_payload(500))
    idle = peak(os.getpid())
    way(path.read_bytes())
    return peak(os.getpid()) - idle
