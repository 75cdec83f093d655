"""`audience watch`: what changes, as the running server tells it."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import aclosing
from datetime import UTC, datetime
from typing import get_args

import msgspec

from cli.arguments import session
from cli.command import Command
from cli.printing.tables import print_lines
from cli.server_client import StatusError, asked_server
from cli.settings.config import load
from cli.settings.environment import Environment
from cli.watch.printing import RESET, event_line
from cli.watch.stream import Event, watched_events
from producer.events.event_filter import KINDS
from schemas.records import AudienceType, Mode


def _kinds(text: str) -> str:
    named = text.split(",")
    if not set(named) <= set(KINDS) or len(set(named)) < len(named):
        raise ArgumentTypeError(f"name one or more of {', '.join(KINDS)}, each once and with commas between")
    return text


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("session", nargs="?", type=session, metavar="SESSION", help="only this session and its batches")
    parser.add_argument("--batch", metavar="ID", help="only this batch")
    parser.add_argument("--kind", type=_kinds, metavar="KIND,…", help=f"only events of these: {', '.join(KINDS)}")
    parser.add_argument("--name", help="only the audience with this name")
    parser.add_argument("--type", choices=get_args(AudienceType), help="only audiences of this type")
    parser.add_argument("--mode", choices=get_args(Mode), help="only additions, or only removals")
    parser.add_argument("--account", metavar="PROVIDER[/ACCOUNT]", help="only what is for this account")
    parser.add_argument("--json", action="store_true", help="print each event as a JSON object on a line")


async def watch(options: Namespace, environment: Environment) -> None:
    """Print events until somebody ends it. Raises StatusError."""
    names = ("session", "batch", "kind", "name", "type", "mode", "account")
    query = {name: str(value) for name in names if (value := getattr(options, name)) is not None}
    async with (
        asked_server(load(environment)) as server,
        aclosing(watched_events(server, query, _say)) as events,
    ):
        async for event in events:
            _print(event, as_json=options.json)


def _say(line: str) -> None:
    print_lines([line], sys.stderr)


def _print(event: Event, *, as_json: bool) -> None:
    try:
        if as_json:
            whole = {"event": event.kind, "data": msgspec.Raw(event.data.encode())}
            sys.stdout.write(msgspec.json.encode(whole).decode() + "\n")
            sys.stdout.flush()
        else:
            print_lines([event_line(event, datetime.now(UTC))])
    except msgspec.DecodeError:
        raise StatusError("the server's events are none of this version: update this command") from None
    if as_json and event.kind == "reset":
        _say(RESET)


COMMAND = Command(
    name="watch",
    text=(
        "Show what changes, as it does. Listens to the server at AUDIENCE_LISTEN, or that of a running `audience up`, "
        "with the first token in AUDIENCE_API_TOKENS, and prints a line for each change of a session, a batch or an "
        "account. Where the connection breaks off it goes on from there. Ends by Ctrl-C."
    ),
    run=watch,
    add_arguments=_add_arguments,
)
