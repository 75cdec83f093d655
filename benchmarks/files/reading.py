"""What reading a customer's file costs, from opening it to users as JSON, beside Python's csv and pyarrow's reader."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.files.demands import Demand, memory, speed_of_reading
from benchmarks.files.people import write_csv, write_parquet
from benchmarks.files.processes import ARROW, LOOP, OURS, Cost, measured

RUNS = 3


def measure_reading(folder: Path, rows: int, many: int) -> list[Demand]:
    """Run all ways in turn, so that a change of the machine's speed meets each; then once on many more rows.

    The loop reads the people as CSV also beside Parquet.
    """
    demands: list[Demand] = []
    for kind, write in (("csv", write_csv), ("parquet", write_parquet)):
        path = Path(folder, f"customers.{kind}")
        write(path, rows)
        as_csv = Path(folder, "customers.csv")
        ways = (OURS, LOOP, ARROW)
        runs = [{way: measured(way, as_csv if way == LOOP else path) for way in ways} for _ in range(RUNS)]
        loop_took = statistics.median(run[LOOP].processor for run in runs)
        print(f"files, {rows:,} rows of {kind}, median of {RUNS} runs, rows/s per core")  # noqa: T201 -- the output
        for way in (OURS, LOOP, ARROW) if path == as_csv else (OURS, ARROW):
            took = statistics.median(run[way].processor for run in runs)
            peak = statistics.median(run[way].peak for run in runs)
            told = f"{rows / took:12,.0f}   x{loop_took / took:.2f} of {LOOP}   peak {peak:.0f} MiB"
            print(f"  {way:22}{told}")  # noqa: T201 -- the output
        own, others = (statistics.median(run[way].processor for run in runs) for way in (OURS, ARROW))
        print(f"  ours takes x{own / others:.1f} of pyarrow's reading")  # noqa: T201 -- the output
        demands.append(speed_of_reading(kind, statistics.median(_beside_loop(run) for run in runs)))
        peak = statistics.median(run[OURS].peak for run in runs)
        demands += memory(f"reading {kind}", peak, _measure_many(path, write, many, peak))
    return demands


def _beside_loop(run: Mapping[str, Cost]) -> float:
    return run[LOOP].processor / run[OURS].processor


def _measure_many(path: Path, write: Callable[[Path, int], None], many: int, peak: float) -> float:
    """Read many more rows once; return the most memory that took."""
    larger = path.with_name(f"many{path.suffix}")
    write(larger, many)
    cost = measured(OURS, larger)
    told = f"{many / cost.processor:12,.0f}   peak {cost.peak:.0f} MiB, x{cost.peak / peak:.2f}"
    print(f"  {many:,} rows once     {told}")  # noqa: T201 -- the output
    return cost.peak
