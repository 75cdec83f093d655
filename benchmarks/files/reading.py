"""What reading a customer's file costs, from opening it to users as JSON, beside Python's csv and pyarrow's reader."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.files.people import write_csv, write_parquet
from benchmarks.files.processes import ARROW, LOOP, OURS, Cost, measured

RUNS = 3


def measure_reading(folder: Path, rows: int, many: int) -> None:
    """Run all ways in turn, so that a change of the machine's speed meets each; then once on many more rows."""
    for kind, write in (("csv", write_csv), ("parquet", write_parquet)):
        path = Path(folder, f"customers.{kind}")
        write(path, rows)
        ways = [way for way in (OURS, LOOP, ARROW) if kind == "csv" or way != LOOP]
        runs = [{way: measured(way, path) for way in ways} for _ in range(RUNS)]
        loop_took = _loop_took(runs, Path(folder, "customers.csv"))
        print(f"files, {rows:,} rows of {kind}, median of {RUNS} runs, rows/s per core")  # noqa: T201 -- the output
        for way in ways:
            took = statistics.median(run[way].processor for run in runs)
            peak = statistics.median(run[way].peak for run in runs)
            told = f"{rows / took:12,.0f}   x{loop_took / took:.2f} of {LOOP}   peak {peak:.0f} MiB"
            print(f"  {way:22}{told}")  # noqa: T201 -- the output
        own, others = (statistics.median(run[way].processor for run in runs) for way in (OURS, ARROW))
        print(f"  ours takes x{own / others:.1f} of pyarrow's reading")  # noqa: T201 -- the output
        _measure_many(path, write, many, statistics.median(run[OURS].peak for run in runs))


def _loop_took(runs: Sequence[dict[str, Cost]], as_csv: Path) -> float:
    """Return what the loop took; for another kind of file, on the same people as CSV."""
    return statistics.median((run[LOOP] if LOOP in run else measured(LOOP, as_csv)).processor for run in runs)


def _measure_many(path: Path, write: Callable[[Path, int], None], many: int, peak: float) -> None:
    larger = path.with_name(f"many{path.suffix}")
    write(larger, many)
    cost = measured(OURS, larger)
    told = f"{many / cost.processor:12,.0f}   peak {cost.peak:.0f} MiB, x{cost.peak / peak:.2f}"
    print(f"  {many:,} rows once     {told}")  # noqa: T201 -- the output
