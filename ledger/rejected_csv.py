"""Rejected users as CSV, for people who mend lists in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Mapping

from ledger.resources import UserRejection
from schemas.target import Target

COLUMNS = ("batchId", "part", "account", "index", "field", "reason", "remedy")

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection."""

Ids = Mapping[tuple[str, int], str]
"""`edgeTagId` of users by batch id and index in the request."""


def rejected_csv(rejected: Iterable[UserRejection], ids: Ids | None = None, *, header: bool = True) -> str:
    """Return a row for each rejected user, with `ids` a column `edgeTagId` behind the others."""
    output = io.StringIO()
    writer = csv.writer(output)
    if header:
        writer.writerow([*COLUMNS, *(["edgeTagId"] if ids is not None else [])])
    for rejection in rejected:
        id_cell = [] if ids is None else [ids.get((rejection.batch_id, rejection.index), "")]
        writer.writerow(map(guarded, [*cells(rejection), *id_cell]))
    return output.getvalue()


def cells(rejection: UserRejection) -> list[str]:
    """Return what stands in the columns of a rejected user."""
    account = str(Target(rejection.provider, rejection.account or ""))
    return [
        rejection.batch_id,
        str(rejection.part),
        account,
        str(rejection.index),
        rejection.field or "",
        rejection.reason,
        rejection.remedy,
    ]


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: behind an apostrophe where it would."""
    return f"'{cell}" if cell.startswith(DANGEROUS) else cell
