"""Rows of a program, such as of a data frame or a cursor, as a file that only we can read."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import BinaryIO

import msgspec

from audience_client.errors import FileError, InputError
from audience_client.files.options import ReadOptions
from audience_client.files.private_file import not_kept, private_file
from audience_client.files.source import spooled_source
from audience_client.files.table import Table
from audience_client.files.text.json_objects import JsonLines, JsonTable
from audience_client.files.values import LostDigitsError, float_text

Rows = Iterable[Mapping[str, object]]

NAME = "the rows"
"""What messages call them."""

NOTHING = frozenset({"NAType", "NaTType"})
"""What pandas has where there is nothing; its nan is a float."""


def read_rows(rows: Rows, read: ReadOptions) -> Table:
    """Write rows to a private file that is deleted, and read that. Raises FileError where a value is no text or number.

    They are gone through once, so a generator will do, and memory does not grow with them.
    """
    if read != ReadOptions():
        raise InputError("encoding, separator and sheet are of files, and these are rows; leave them out")
    kept = private_file()
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
            encoder.encode_into({name: _value(value) for name, value in row.items()}, line)
        except (AttributeError, LostDigitsError, TypeError, ValueError) as error:
            raise FileError(NAME, _problem(error), row=number) from None
        kept.write(line)
        kept.write(b"\n")
    kept.flush()


def _value(value: object) -> object:
    """Return a value as a typed file would have it: whole numbers of a column with gaps are no decimals."""
    if isinstance(value, float):
        return float_text(value)
    return None if type(value).__name__ in NOTHING else value


def _plain(value: object) -> object:
    """Return a number or text of NumPy as Python's, and a date of pandas as text. Raises TypeError."""
    if isinstance(value, date):
        return value.isoformat()
    item = getattr(value, "item", None)
    plain = item() if callable(item) else None
    if isinstance(plain, str | int | float | bool):
        return plain
    raise _TypeError(type(value).__name__)


class _TypeError(TypeError):
    """A value's type that can't be written."""


def _problem(error: Exception) -> str:
    """Say what is wrong without the value."""
    if isinstance(error, LostDigitsError):
        return "has a number that has lost digits, as it was too long for its type; write such ones as text"
    what = f"has a value of the type {error}" if isinstance(error, _TypeError) else "is not such a mapping"
    return f"{what}; rows are mappings of names to texts, numbers, dates and None"
