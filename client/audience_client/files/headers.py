"""Whether the first row is a header, and the only one."""

import re
from collections.abc import Sequence

from audience_client.columns.header_names import field_of, is_known
from audience_client.errors import FileError
from audience_client.files.table import MAX_COLUMNS, Row

LOOKED_AT = 20
"""Rows within which a header may stand below a title."""

_CUSTOMER = re.compile(r"[^@\s]+@[\w.-]+\.\w+|(?!\d{4}[-/.]\d)[(+]?\d[\d ()./-]{6,}|[0-9A-Fa-f]{64}")

_QUOTED_LATE = re.compile(r'\s+".+"\s*')


def check_header(name: str, rows: Sequence[Row], numbers: Sequence[int]) -> None:
    """Raise FileError where the first of these rows is no header, or not the only one; all have numbers in the file."""
    header, first = rows[0], numbers[0]
    if len(header) > MAX_COLUMNS:
        problem = f"has {len(header):,} columns, and at most {MAX_COLUMNS} are read; export only those about customers"
        raise FileError(name, problem, row=first)
    if any(map(_QUOTED_LATE.fullmatch, header)):
        problem = "has blanks before quotes, which then are part of the cell; write no blanks behind separators"
        raise FileError(name, problem, row=first)
    if _is_customer(header):
        problem = "is a customer, not a header; put a row of names above it, such as email or phone"
        raise FileError(name, problem, row=first)
    known = [len(_fields(row)) for row in rows[:LOOKED_AT]]
    if known[0] == 0 and any(known):
        at = next(place for place, count in enumerate(known) if count)
        if not _is_customer(rows[at]):
            above = f"{first:,} to {numbers[at] - 1:,}" if first < numbers[at] - 1 else f"{first:,}"
            raise FileError(name, f"seems to be the header; delete what stands above it (row {above})", row=numbers[at])
    if len(rows) > 1 and known[1] > 1 and not _is_customer(rows[1]):
        raise FileError(name, f"is a second header below that of row {first:,}; delete one of them", row=numbers[1])


def _is_customer(row: Row) -> bool:
    """Tell whether a row holds an address, a number or a hash of somebody."""
    return any(_CUSTOMER.fullmatch(cell.strip()) for cell in row)


def _fields(row: Row) -> set[str | None]:
    return {field_of(cell) for cell in row if is_known(cell)}
