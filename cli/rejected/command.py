"""`audience rejected`: who of a batch or a session is rejected, as people mend it, also with their ids from the log."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from urllib.parse import quote

from rich.console import Console

from cli.arguments import session
from cli.command import Command
from cli.printing.tables import print_lines, print_rows
from cli.rejected.edge_tag_ids import edge_tag_ids
from cli.server_client import Server, asked_server
from cli.settings.config import load
from cli.settings.environment import Environment
from ledger.rejected_csv import COLUMNS, Ids, cells, rejected_csv
from ledger.resources import RejectedPage, RejectedTold, SessionRejectedPage
from schemas.validity import is_uuid

PAGE = 10_000

Page = RejectedPage | SessionRejectedPage


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "place", type=session, metavar="SESSION|BATCH", help="a session's id, for its newest run, or a batch's"
    )
    parser.add_argument("--csv", action="store_true", help="print CSV, for a spreadsheet")
    parser.add_argument("--with-ids", action="store_true", help="add the edgeTagId of each user, from the log in Kafka")


async def print_rejected(options: Namespace, environment: Environment) -> None:
    """Print all rejected users of a session or a batch, page by page, and how many are listed nowhere.

    Raises StatusError, KafkaUnreachableError, NotAllReadError.
    """
    config = load(environment)
    count, unlisted, page_number, of_removals = 0, 0, 0, 0
    async with asked_server(config) as server:
        async for page in _pages(server, options.place):
            ids = await edge_tag_ids(page.rejected, config) if options.with_ids else None
            _print(page, ids, options, is_first=page_number == 0)
            count, unlisted, page_number = count + len(page.rejected), page.unlisted, page_number + 1
            of_removals += sum(rejection.mode == "remove" for rejection in page.rejected)
    print_lines(_summary(count, unlisted, of_removals), sys.stderr)


async def _pages(server: Server, place: str) -> AsyncIterator[Page]:
    """Yield the pages of what a batch id, or else a session's id, names."""
    shape: type[Page] = RejectedPage if is_uuid(place) else SessionRejectedPage
    kind = "batches" if shape is RejectedPage else "sessions"
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
        body = await server.get(f"/audience/{kind}/{quote(place, safe='')}/rejected", query)
        page = server.decode(body, shape)
        yield page
        cursor = page.next


def _print(page: Page, ids: Ids | None, options: Namespace, *, is_first: bool) -> None:
    if options.csv:
        sys.stdout.write(rejected_csv(page.rejected, ids, header=is_first))
    elif page.rejected:
        shown = [
            [*cells(rejection), *([_id(rejection, ids)] if ids is not None else [])] for rejection in page.rejected
        ]
        print_rows([*COLUMNS, *(["edgeTagId"] if ids is not None else [])], shown, Console())
    sys.stdout.flush()


def _id(rejection: RejectedTold, ids: Ids) -> str:
    return ids.get((rejection.batch_id, rejection.index), "")


def _summary(count: int, unlisted: int, of_removals: int) -> list[str]:
    lines = [f"{count} rejections are listed." if count else "Nobody is rejected."]
    if of_removals:
        lines.append(f"{of_removals} of them are of removals: these users were not taken out there.")
    if unlisted:
        lines.append(f"{unlisted} more are listed nowhere, as a completion has room for a thousand of each record.")
    return lines


COMMAND = Command(
    name="rejected",
    text=(
        "List who was rejected, and what to correct. Asks the server as `status` does, for the newest run of a session "
        "or for one batch; of a user it shows the index in the request, the field and the reason, never a value. With "
        "--csv a spreadsheet can open it; --with-ids adds the edgeTagId of each, which it reads from the log in Kafka."
    ),
    run=print_rejected,
    add_arguments=_add_arguments,
)
