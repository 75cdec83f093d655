"""Ways to read a file: ours, what a first script does, and pyarrow's reader; and the command, which uploads it."""

import csv
import json
from pathlib import Path

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.files.reading import read_table
from audience_client.users.user_reader import UserReader
from benchmarks.files.people import HEADER

BATCH = 5_000


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


def upload(path: Path, url: str) -> None:
    """Upload a file by the command, to its end."""
    from audience_client.command.main import main  # noqa: PLC0415 -- the others need none of it

    try:
        main([str(path), "--name", "VIP", "--url", url, "--new", "--yes"])
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError("The upload failed.") from None
