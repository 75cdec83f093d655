"""What reading a customer's file costs, from opening it to users as JSON, beside Python's csv and pyarrow's reader."""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.files.reading import read_table
from audience_client.users.user_reader import UserReader

ROWS = 1_000_000
MANY = 10_000_000
RUNS = 3
BATCH = 5_000
HEADER = ("Email", "Phone", "First Name", "Last Name", "Country", "Zip", "Tags", "Note")
LOOP = "DictReader + dumps"


def people(count: int) -> Iterator[tuple[str, ...]]:
    """Yield rows of made-up people; one in ten has a note that needs quotes."""
    for number in range(count):
        note = "likes tea, and cake" if number % 10 == 0 else "tea"
        phone, code = f"+1415{5550000 + number % 9_999_999}", f"{10000 + number % 89_999}"
        yield f"person{number}@example.com", phone, f"Ada{number % 100}", "Lovelace", "US", code, "vip", note


def write_csv(path: Path, count: int) -> None:
    """Write made-up people as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER])
        csv.writer(file).writerows(people(count))


def write_parquet(path: Path, count: int) -> None:
    """Write the same people as Parquet, in groups as large as pyarrow makes them unasked."""
    import pyarrow as arrow  # noqa: PLC0415 -- a measured process has only what it needs
    from pyarrow import parquet  # noqa: PLC0415 -- for the same reason

    schema = arrow.schema([(name, arrow.string()) for name in HEADER])
    with parquet.ParquetWriter(path, schema) as writer:
        group: list[tuple[str, ...]] = []
        for row in people(count):
            group.append(row)
            if len(group) == 1 << 20:
                writer.write_table(arrow.table(list(zip(*group, strict=True)), schema=schema))
                group.clear()
        if group:
            writer.write_table(arrow.table(list(zip(*group, strict=True)), schema=schema))


def ours(path: Path) -> int:
    """Read a file as an upload does: all of it first, then again as users in batches."""
    table = read_table(path)
    reader = UserReader(table, map_columns(table.name, table.columns, table.samples, MappingOptions()))
    counted = reader.count()
    sent = sum(len(batch.rows) for batch in reader.batches(BATCH))
    if sent != counted.users:
        raise RuntimeError("The passes disagree.")
    return sent


def loop(path: Path) -> int:
    """Do what a first script does: one pass, a dict and a text for each row."""
    with path.open(newline="") as file:
        return sum(1 for row in csv.DictReader(file) if json.dumps(row))


def by_arrow(path: Path) -> int:
    """Read once by pyarrow, all columns as text, and make nothing of it."""
    import pyarrow as arrow  # noqa: PLC0415 -- a measured process has only what it needs
    import pyarrow.csv  # noqa: PLC0415 -- for the same reason
    from pyarrow import parquet  # noqa: PLC0415 -- for the same reason

    if path.suffix == ".parquet":
        return sum(batch.num_rows for batch in parquet.ParquetFile(path).iter_batches(use_threads=False))
    as_text = arrow.csv.ConvertOptions(column_types=dict.fromkeys(HEADER, arrow.string()))
    reader = arrow.csv.open_csv(path, arrow.csv.ReadOptions(use_threads=False), convert_options=as_text)
    return sum(batch.num_rows for batch in reader)


WAYS: dict[str, Callable[[Path], int]] = {"ours, two passes": ours, LOOP: loop, "pyarrow, reading only": by_arrow}


def peak_mebibytes() -> float:
    """Return the most memory that this process has had."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        import resource  # noqa: PLC0415 -- Windows has none

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(way: str, path: Path) -> tuple[float, float]:
    """Return seconds of processor time and the peak of memory of one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.files.reading", way, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- ourselves
    seconds, peak = ran.stdout.split()
    return float(seconds), float(peak)


def measure_files() -> None:
    """Run all ways in turn, so that a change of the machine's speed meets each; then once on ten times as many rows."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, write in (("csv", write_csv), ("parquet", write_parquet)):
            path = Path(folder, f"customers.{kind}")
            write(path, ROWS)
            ways = [way for way in WAYS if kind == "csv" or way != LOOP]
            runs = [{way: measured(way, path) for way in ways} for _ in range(RUNS)]
            loop_took = _loop_took(runs, Path(folder, "customers.csv"))
            print(f"files, {ROWS:,} rows of {kind}, median of {RUNS} runs, rows/s per core")  # noqa: T201 -- the output
            for way in ways:
                took = statistics.median(run[way][0] for run in runs)
                peak = statistics.median(run[way][1] for run in runs)
                told = f"{ROWS / took:12,.0f}   x{loop_took / took:.2f} of {LOOP}   peak {peak:.0f} MiB"
                print(f"  {way:22}{told}")  # noqa: T201 -- the output
            own, others = (
                statistics.median(run[way][0] for run in runs) for way in ("ours, two passes", "pyarrow, reading only")
            )
            print(f"  ours takes x{own / others:.1f} of pyarrow's reading")  # noqa: T201 -- the output
            _measure_many(path, write, statistics.median(run["ours, two passes"][1] for run in runs))


def _loop_took(runs: list[dict[str, tuple[float, float]]], as_csv: Path) -> float:
    """Return what the loop took; for another kind of file, on the same people as CSV."""
    return statistics.median(run[LOOP][0] if LOOP in run else measured(LOOP, as_csv)[0] for run in runs)


def _measure_many(path: Path, write: Callable[[Path, int], None], peak: float) -> None:
    many = path.with_name(f"many{path.suffix}")
    write(many, MANY)
    took, most = measured("ours, two passes", many)
    many.unlink()
    told = f"{MANY / took:12,.0f}   peak {most:.0f} MiB, x{most / peak:.2f}"
    print(f"  {MANY:,} rows once     {told}")  # noqa: T201 -- the output


if __name__ == "__main__":
    began = time.process_time()
    WAYS[sys.argv[1]](Path(sys.argv[2]))
    print(time.process_time() - began, peak_mebibytes())  # noqa: T201 -- read by the process that started this one
