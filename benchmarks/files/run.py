"""All that is measured of files, on the same ones."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.files.reading import measure_reading
from benchmarks.files.uploading import measure_uploading

ROWS = 1_000_000
MANY = 10_000_000


def measure_files(rows: int = ROWS, many: int = MANY) -> None:
    """Measure reading, then uploading by the command on a Kafka of its own."""
    with tempfile.TemporaryDirectory() as folder:
        measure_reading(Path(folder), rows, many)
        asyncio.run(measure_uploading(Path(folder), rows, many))
