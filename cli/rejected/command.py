"""`audience rejected`: who of a batch or a session is rejected, as people mend it, also with their ids from the log."""

import sys
from argparse import ArgumentParser, Namespace

from cli.arguments import session
from cli.command import Command
from cli.printing.tables import print_lines
from cli.rejected.edge_tag_ids import edge_tag_ids
from cli.rejected.pages import rejected_pages
from cli.rejected.printing import Counts, counts_lines, print_csv, print_table
from cli.server_client import asked_server
from cli.settings.config import load
from cli.settings.environment import Environment


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
    counts, is_first = Counts(), True
    async with asked_server(config) as server:
        async for page in rejected_pages(server, options.place):
            ids = await edge_tag_ids(page.rejected, config, _warn) if options.with_ids else None
            if options.csv:
                print_csv(page, ids, is_first=is_first)
            else:
                print_table(page, ids)
            counts.add(page)
            is_first = False
    print_lines(counts_lines(counts), sys.stderr)


def _warn(line: str) -> None:
    print_lines([line], sys.stderr)


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
