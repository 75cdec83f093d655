"""Made-up people, as CSV and Parquet."""

import csv
from collections.abc import Iterator
from pathlib import Path

HEADER = ("Email", "Phone", "First Name", "Last Name", "Country", "Zip", "Tags", "Note")


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
