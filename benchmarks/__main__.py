"""Print every figure as a ratio within this run; absolute ones are this machine's."""

import asyncio
import logging

import structlog

from benchmarks.ingest import measure_ingest
from benchmarks.sync import measure_sync
from benchmarks.transform import measure_transform

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    measure_ingest()
    measure_transform()
    asyncio.run(measure_sync())
