"""Rows of a program, such as of a data frame or a cursor, as a file that only we can read."""

import tempfile
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import msgspec

from audience_client.errors import FileError, InputError
from audience_client.files.options import ReadOptions
from audience_client.files.source import not_kept, spooled_source
from audience_client.files.table import Table
from audience_client.files.text.json_objects import JsonLines, JsonTable

Rows = Iterable[Mapping[str, object]]

NAME = "the rows"
"""What messages call them."""


def read_rows(rows: Rows, read: ReadOptions) -> Table:
    """Write rows to a private file that is deleted, and read that. Raises FileError where a value is no text or number.

    They are gone through once, so a generator will do, and memory does not grow with them.
    """
    if read != ReadOptions():
        raise InputError("encoding, separator and sheet are of files, and these are rows; leave them out")
    kept = tempfile.TemporaryFile(prefix="audience-")  # noqa: SIM115 -- the source closes it
    try:
        _write(rows, kept)
    except OSError as error:
        kept.close()
        raise not_kept(NAME, error) from error
    except BaseException:
        kept.close()
        raise
    source = spooled_source(NAME, kept)
    try:
        return JsonTable(JsonLines(source, read))
    except BaseException:
        source.close()
        raise


def _write(rows: Rows, kept: BinaryIO) -> None:
    encoder = msgspec.json.Encoder(enc_hook=_plain)
    line = bytearray()
    for number, row in enumerate(rows, 1):
        try:
            encoder.encode_into(row if isinstance(row, dict) else dict(row), line)
        except (TypeError, ValueError) as error:
            raise FileError(NAME, _problem(error), row=number) from None
        kept.write(line)
        kept.write(b"\n")
    kept.flush()


def _plain(value: object) -> object:
    """Return a number or text of NumPy as Python's. Raises TypeError for what is neither."""
    item = getattr(value, "item", None)
    if callable(item):
        plain = item()
        if isinstance(plain, str | int | float | bool):
            return plain
    raise _TypeError(type(value).__name__)


class _TypeError(TypeError):
    """A value's type that can't be written."""


def _problem(error: Exception) -> str:
    """Say what is wrong without the value."""
    kind = f"of the type {error}" if isinstance(error, _TypeError) else "that is no JSON"
    return f"has a value {kind}; rows are mappings of names to texts, numbers, dates, None"
