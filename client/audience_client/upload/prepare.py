"""The first pass: a file is read whole, mapped, counted and planned before anything is sent."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from audience_client.columns.mapping import ColumnMapping, MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.errors import FileError, quoted
from audience_client.files.options import ReadOptions
from audience_client.files.reading import read_table
from audience_client.files.table import Table
from audience_client.upload.options import UploadOptions
from audience_client.upload.plan import Plan, bytes_of_user, make_plan
from audience_client.upload.rejected_table import as_it_was
from audience_client.upload.rows import Rows, read_rows
from audience_client.users.user_reader import Counted, UserReader

Source: TypeAlias = str | Path | Rows
"""A file's path, `-` for standard input, or rows as mappings of column names to values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A file that was looked at whole, and how it will be sent. Close it when nothing of it is needed any more."""

    table: Table
    mapping: ColumnMapping
    reader: UserReader
    counted: Counted
    options: UploadOptions
    read: ReadOptions
    plan: Plan
    content: str
    """A fingerprint of the file's bytes."""

    path: str
    """A fingerprint of the file's absolute path; empty for what has none."""

    def close(self) -> None:
        """Let go of the file, and delete what was kept of it."""
        self.table.close()

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def prepare(
    source: Source,
    options: UploadOptions,
    *,
    read: ReadOptions | None = None,
    mapping: MappingOptions | None = None,
) -> Prepared:
    """Read all of a source and plan its upload; nothing is sent. It blocks for as long as reading takes.

    Raises FileError, MappingError (AmbiguousColumnsError where a terminal may ask and call again), InputError.
    """
    read = read or ReadOptions()
    table = _table(source, read)
    try:
        return _prepared(table, options, read, mapping or MappingOptions(), path_fingerprint(source))
    except BaseException:
        table.close()
        raise


def _table(source: Source, read: ReadOptions) -> Table:
    if isinstance(source, str | Path):
        return as_it_was(read_table(source, read))
    return read_rows(source, read)


def _prepared(table: Table, options: UploadOptions, read: ReadOptions, maps: MappingOptions, path: str) -> Prepared:
    """Map, count, plan and take the fingerprint, in this order."""
    mapping = map_columns(table.name, table.columns, table.samples, maps)
    reader = UserReader(table, mapping, country=options.country, limit=options.limit)
    counted = reader.count()
    if counted.not_consented and not counted.users:
        raise FileError(table.name, _nobody_agreed(mapping, counted.not_consented, table.unit, table.columns))
    plan = make_plan(table.name, counted.users, options.batch_size, bytes_of_user(mapping))
    return Prepared(
        table=table,
        mapping=mapping,
        reader=reader,
        counted=counted,
        options=options,
        read=read,
        plan=plan,
        content=table.fingerprint(),
        path=path,
    )


def _nobody_agreed(mapping: ColumnMapping, left_out: int, unit: str, columns: Sequence[str]) -> str:
    names = ", ".join(quoted(columns[consent.column]) for consent in mapping.consents)
    return (
        f"nobody agreed by {names}: all {left_out:,} {unit}s were left out; look at what these columns hold; "
        "--ignore-column leaves one of them out"
    )


def path_fingerprint(source: Source) -> str:
    """Return a fingerprint of a path; a path may name people, and so is not kept itself."""
    if not isinstance(source, str | Path) or not Path(source).is_file():
        return ""
    return hashlib.blake2b(os.fsencode(Path(source).resolve()), digest_size=32).hexdigest()
