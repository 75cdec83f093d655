"""Rejected users as a table or as CSV, and how many they are."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from cli.printing.tables import print_rows
from cli.rejected.pages import Page
from ledger.rejected_csv import COLUMNS, Ids, cells, rejected_csv
from ledger.resources import UserRejection


@dataclass(slots=True)
class Counts:
    """How many users the pages so far list, and how many they do not."""

    listed: int = 0
    unlisted: int = 0
    of_removals: int = 0

    def add(self, page: Page) -> None:
        """Count one more page."""
        self.listed += len(page.rejected)
        self.unlisted = page.unlisted
        self.of_removals += sum(rejection.mode == "remove" for rejection in page.rejected)


def print_csv(page: Page, ids: Ids | None, *, is_first: bool) -> None:
    """Print a page as CSV, the first one with its header; with the ids where they are asked for."""
    sys.stdout.write(rejected_csv(page.rejected, ids, header=is_first))
    sys.stdout.flush()


def print_table(page: Page, ids: Ids | None) -> None:
    """Print a page as a table, with the ids where they are asked for."""
    if page.rejected:
        rows = [[*cells(rejection), *([] if ids is None else [_id(rejection, ids)])] for rejection in page.rejected]
        print_rows([*COLUMNS, *([] if ids is None else ["edgeTagId"])], rows, Console())
        sys.stdout.flush()


def _id(rejection: UserRejection, ids: Ids) -> str:
    return ids.get((rejection.batch_id, rejection.index), "")


def counts_lines(counts: Counts) -> Iterator[str]:
    """Say how many rejections there are, and how many of them are listed nowhere."""
    yield f"{counts.listed} rejections are listed." if counts.listed else "Nobody is rejected."
    if counts.of_removals:
        yield f"{counts.of_removals} of them are of removals: these users were not taken out there."
    if counts.unlisted:
        yield f"{counts.unlisted} more are listed nowhere, as a completion has room for a thousand of each record."
