"""The first pass: a file is read whole, mapped, counted and planned before anything is sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from audience_client.columns.mapping import ColumnMapping, MappingOptions
from audience_client.files.options import ReadOptions
from audience_client.files.table import Table
from audience_client.upload.options import UploadOptions
from audience_client.upload.plan import Plan
from audience_client.users.user_reader import Counted, UserReader

Rows = Iterable[Mapping[str, object]]
Source = str | Path | Rows
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
    mapping_options: MappingOptions
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
    raise NotImplementedError
