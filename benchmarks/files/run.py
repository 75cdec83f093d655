"""All that is measured of files, on the same ones."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.files.demands import print_all
from benchmarks.files.reading import measure_reading
from benchmarks.files.uploading import measure_uploading

ROWS = 1_000_000
MANY = 10_000_000


def measure_files(rows: int = ROWS, many: int = MANY) -> bool:
    """Measure reading, then uploading by the command on a Kafka of its own; return whether all is met that is asked."""
    with tempfile.TemporaryDirectory() as folder:
        demands = measure_reading(Path(folder), rows, many)
        demands += asyncio.run(measure_uploading(Path(folder), rows, many))
    return print_all(demands)
