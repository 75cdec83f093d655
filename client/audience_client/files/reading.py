"""One way to read any file: tell what it is, read all of it once, hand on a table."""

from pathlib import Path
from typing import BinaryIO

from audience_client.errors import InputError
from audience_client.files.excel import ExcelTable
from audience_client.files.kinds import Kind, kind_of
from audience_client.files.options import ReadOptions
from audience_client.files.parquet import ParquetTable
from audience_client.files.source import Source, held_source, open_source
from audience_client.files.table import Table
from audience_client.files.text.delimited import read_delimited
from audience_client.files.text.json_objects import JsonArray, JsonLines, JsonTable


def read_table(path: str | Path, options: ReadOptions | None = None) -> Table:
    """Read a file whole, and return what it holds; `-` is standard input. The caller closes it.

    Raises FileError where it is not a table that can be read to its end, InputError where an option is wrong.
    """
    source = open_source(path)
    try:
        return _table(source, options or ReadOptions())
    except BaseException:
        source.close()
        raise


def read_held(name: str, content: BinaryIO, held: int, options: ReadOptions | None = None) -> Table:
    """Read a file that is in memory, so that nothing of it reaches a disk; it may become so many bytes when unpacked.

    The caller closes the table, and thereby the content. Raises what `read_table` raises.
    """
    source = held_source(name, content, held)
    try:
        return _table(source, options or ReadOptions())
    except BaseException:
        source.close()
        raise


def _table(source: Source, options: ReadOptions) -> Table:
    kind = kind_of(source)
    _check_options(kind, options)
    if kind == "delimited":
        return read_delimited(source, options)
    if kind == "json lines":
        return JsonTable(JsonLines(source, options))
    if kind == "json array":
        return JsonTable(JsonArray(source, options))
    return ParquetTable(source) if kind == "parquet" else ExcelTable(source, options)


def _check_options(kind: Kind, options: ReadOptions) -> None:
    """Raise InputError where an option is said that a file of this kind has no use for."""
    if options.sheet is not None and kind != "excel":
        raise InputError("--sheet: is of Excel files, and this is none; leave it out")
    if options.separator is not None and kind != "delimited":
        raise InputError("--separator: is of CSV files, and this is none; leave it out")
    if options.encoding is not None and kind in ("excel", "parquet"):
        raise InputError("--encoding: is of text files, and this is none; leave it out")
