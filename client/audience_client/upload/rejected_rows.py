"""The file's own rows that a platform rejected, with what is wrong, as a file to correct and upload."""

import asyncio
import contextlib
import csv
import os
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TextIO

from audience_client.errors import InputError
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.statuses import Rejection
from audience_client.upload.engine import Uploaded
from audience_client.upload.outcome import account_name
from audience_client.upload.prepare import Prepared, path_fingerprint
from audience_client.upload.rejected_table import ADDED, guarded

_BITS = 20
"""Bits of a number for what is wrong; there are a few dozen such things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRows:
    """Users whose rows were written, and rejections that are listed nowhere, as the log had no room for them."""

    users: int
    unlisted: int


class _Wrong(NamedTuple):
    account: str
    field: str
    reason: str
    remedy: str


@dataclass(slots=True)
class _Rejections:
    """Places of users in the upload, and what is wrong with them, in some sixteen bytes each."""

    batch_size: int
    unlisted: int = 0
    _wrongs: dict[_Wrong, int] = field(default_factory=dict)
    _packed: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, rejection: Rejection, sequence: int) -> None:
        account = account_name(rejection.provider, rejection.account)
        wrong = _Wrong(account, rejection.field or "", rejection.reason, rejection.remedy)
        number = self._wrongs.setdefault(wrong, len(self._wrongs))
        place = (sequence - 1) * self.batch_size + rejection.index
        self._packed.append(place << _BITS | number)

    def by_place(self) -> Iterator[tuple[int, Sequence[_Wrong]]]:
        """Yield places in order, each once; what is wrong with many is one object."""
        wrongs = list(self._wrongs)
        alike: dict[tuple[int, ...], Sequence[_Wrong]] = {}
        self._packed = array("q", sorted(self._packed))
        for place, packed in groupby(self._packed, lambda one: one >> _BITS):
            numbers = tuple(dict.fromkeys(one & ((1 << _BITS) - 1) for one in packed))
            yield place, alike.setdefault(numbers, [wrongs[number] for number in numbers])


async def write_rejected(uploaded: Uploaded, client: AsyncServerClient, path: Path) -> RejectedRows:
    """Write the file's own rows that a platform rejected as CSV (0600), and say how many users these are.

    Before their columns stand row number, platform, field, reason and remedy. The file can be corrected and uploaded
    as it is: these columns and the guards of cells are known when it is read. Nothing is written where nobody was
    rejected. Raises InputError where it would replace the file that was uploaded, or can't be written.
    """
    if path_fingerprint(path) == uploaded.prepared.path != "":
        raise InputError(f"{path}: is the file that was uploaded; name another one for the rejected rows")
    found = await _rejections(uploaded, client)
    try:
        users = await asyncio.to_thread(_write_file, uploaded.prepared, found, path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InputError(f"{path}: can't be written ({why}); name another file for the rejected rows") from None
    return RejectedRows(users=users, unlisted=found.unlisted)


async def _rejections(uploaded: Uploaded, client: AsyncServerClient) -> _Rejections:
    state = uploaded.state
    status = await client.session(state.session_id, name=state.name, type=state.type, mode=state.mode)
    sequences = {batch.batch_id: batch.sequence for batch in status.runs[0].batches}
    found = _Rejections(uploaded.plan.batch_size)
    async for page in client.rejected_pages(state.session_id, name=state.name, type=state.type, mode=state.mode):
        found.unlisted = page.unlisted
        for rejection in page.rejected:
            found.add(rejection, _sequence(rejection, sequences))
    return found


def _sequence(rejection: Rejection, sequences: Mapping[str, int]) -> int:
    return sequences[rejection.batch_id] if rejection.sequence is None else rejection.sequence


def _write_file(prepared: Prepared, found: _Rejections, path: Path) -> int:
    """Write whole or not at all. Raises OSError."""
    numbers = dict(_numbers(prepared, found))
    if not numbers:
        return 0
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as pipe:
            return _write(prepared, numbers, pipe)
    handle, beside = tempfile.mkstemp(prefix=".audience-", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8-sig", newline="") as written:
            users = _write(prepared, numbers, written)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    return users


def _numbers(prepared: Prepared, found: _Rejections) -> Iterator[tuple[int, Sequence[_Wrong]]]:
    """Yield the numbers of rejected rows, in the order of the file."""
    size, first = found.batch_size, 0
    batches = prepared.reader.batches(size)
    rows: Sequence[int] = ()
    for place, wrongs in found.by_place():
        while place >= first + len(rows):
            first += len(rows)
            rows = next(batches).rows
        yield rows[place - first], wrongs


def _write(prepared: Prepared, wrongs: Mapping[int, Sequence[_Wrong]], written: TextIO) -> int:
    writer = csv.writer(written)
    writer.writerow([*ADDED, *map(guarded, prepared.table.columns)])
    for number, row in prepared.reader.original_rows(list(wrongs)):
        added = _added_cells(number, wrongs[number]) if number in wrongs else [""] * len(ADDED)
        writer.writerow([*added, *map(guarded, row)])
    return len(wrongs)


def _added_cells(number: int, wrongs: Sequence[_Wrong]) -> list[str]:
    """Return the added cells: what several platforms say alike stands once."""
    accounts: dict[tuple[str, str, str], list[str]] = {}
    for wrong in wrongs:
        accounts.setdefault(wrong[1:], []).append(wrong.account)
    fields, reasons, remedies = zip(*accounts, strict=True)
    platforms = "; ".join(", ".join(names) for names in accounts.values())
    return [str(number), *map(guarded, (platforms, "; ".join(fields), "; ".join(reasons), "; ".join(remedies)))]
