"""`audience status`: what became of sessions and batches, and how the accounts stand, asked of the running server."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args
from urllib.parse import quote

import msgspec
from rich.console import Console

from cli.arguments import count, session
from cli.command import Command
from cli.errors import UsageError
from cli.printing.tables import print_lines, print_rows
from cli.server_client import Server, asked_server
from cli.settings.config import load
from cli.settings.environment import Environment
from cli.status.printing import (
    Block,
    Rows,
    account_list_blocks,
    batch_blocks,
    batch_list_blocks,
    session_blocks,
    session_list_blocks,
)
from ledger.resources import AccountPage, BatchPage, BatchStatus, SessionPage, SessionStatus, State
from schemas.records import AudienceType


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise ArgumentTypeError("write a number of seconds, such as 60")
    return float(text)


def _add_arguments(parser: ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("session", nargs="?", type=session, metavar="SESSION", help="a session's id, for all its runs")
    one.add_argument("--batch", metavar="ID", help="a batch's id, for that batch")
    parser.add_argument("--name", help="only sessions and batches of the audience with this name")
    parser.add_argument("--type", choices=get_args(AudienceType), help="only sessions and batches of this type")
    parser.add_argument("--state", choices=get_args(State), help="only sessions and batches in this state")
    parser.add_argument(
        "--since", metavar="TIME", help="only sessions and batches since then: 2h or 30d ago, or a time in ISO"
    )
    parser.add_argument(
        "--limit", type=count, metavar="N", help="how many sessions, and batches, to list, up to 100; default: 20"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="wait so long, at most 300, until all accounts are through with the session's newest run, or the batch",
    )
    parser.add_argument("--json", action="store_true", help="print what the server answers, as JSON on a line")


async def print_status(options: Namespace, environment: Environment) -> None:
    """Print how a session, a batch, or all stand. Raises StatusError, UsageError."""
    config = load(environment)
    filters = _filters(options)
    is_one = options.batch is not None or options.session is not None
    if is_one and filters:
        raise UsageError("filters choose among the newest sessions: leave them out, or the session and --batch")
    if options.wait and not is_one:
        raise UsageError("--wait is for one session or one batch: name it")
    async with asked_server(config) as server:
        if is_one:
            await _one(server, options)
        else:
            await _newest(server, filters, as_json=options.json)


def _filters(options: Namespace) -> dict[str, str]:
    names = ("name", "type", "state", "since", "limit")
    return {name: str(value) for name in names if (value := getattr(options, name)) is not None}


async def _one(server: Server, options: Namespace) -> None:
    kind, place = ("batches", options.batch) if options.batch is not None else ("sessions", options.session)
    body = await server.get(f"/audience/{kind}/{quote(place, safe='')}", wait=options.wait)
    if kind == "batches":
        blocks = batch_blocks(server.decode(body, BatchStatus))
    else:
        blocks = session_blocks(server.decode(body, SessionStatus))
    _print(body, blocks, as_json=options.json)


async def _newest(server: Server, filters: Mapping[str, str], *, as_json: bool) -> None:
    sessions = await server.get("/audience/sessions", filters)
    batches = await server.get_if_served("/audience/batches", filters)
    accounts = await server.get_if_served("/audience/accounts")
    page = server.decode(sessions, SessionPage)
    others = server.decode(batches, BatchPage) if batches else BatchPage(batches=[], next=None)
    known = server.decode(accounts, AccountPage) if accounts else AccountPage(accounts=[])
    if as_json:
        _print(_merged(sessions, batches, accounts), (), as_json=True)
        return
    lists = (session_list_blocks(page), batch_list_blocks(others), account_list_blocks(known))
    _print_apart([found for blocks in lists if (found := list(blocks))])
    sys.stdout.flush()
    _print_ends(page, others, is_filtered=bool(filters))


def _merged(sessions: bytes, batches: bytes | None, accounts: bytes | None) -> bytes:
    """Return all answers as one; where the batches go on is `nextBatches`, as `next` is where the sessions do."""
    merged = msgspec.json.decode(sessions)
    if batches is not None:
        page = msgspec.json.decode(batches)
        merged |= {"batches": page["batches"], "nextBatches": page["next"]}
    return msgspec.json.encode(merged | msgspec.json.decode(accounts or b"{}"))


def _print_apart(lists: Sequence[Sequence[Block]]) -> None:
    for number, blocks in enumerate(lists):
        if number:
            print_lines([""])
        _print_blocks(blocks)


def _print_ends(sessions: SessionPage, batches: BatchPage, *, is_filtered: bool) -> None:
    """Say what there are none of, or more of than are shown."""
    if not sessions.sessions and not batches.batches:
        print_lines(["No session is meant by these filters." if is_filtered else "There are no sessions."], sys.stderr)
    for what, following in (("sessions", sessions.next), ("batches without a session", batches.next)):
        if following:
            print_lines([f"There are more {what}: --limit shows up to 100 of them, filters choose."], sys.stderr)


def _print(body: bytes, blocks: Iterable[Block], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(body.decode() + "\n")
    else:
        _print_blocks(blocks)


def _print_blocks(blocks: Iterable[Block]) -> None:
    console = Console()
    for block in blocks:
        if isinstance(block, Rows):
            print_rows(block.columns, block.rows, console)
        else:
            print_lines([block])


COMMAND = Command(
    name="status",
    text=(
        "Show how sessions, batches and accounts stand. Asks the server at AUDIENCE_LISTEN, or that of a running "
        "`audience up`, with the first token in AUDIENCE_API_TOKENS. Without a session it lists the newest ones, "
        "the newest batches without one, and the accounts; of a session it shows every run, what is missing or odd, "
        "and how far each account is."
    ),
    run=print_status,
    add_arguments=_add_arguments,
)
