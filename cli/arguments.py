"""What each command takes on the command line."""

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from producer.numbers import number_text
from providers.errors import VOCABULARY
from providers.table import installed
from schemas.target import Target, parse_target

_UNITS: Mapping[str, timedelta] = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}

_LIST = (
    "List the deliveries that failed and did not get through since. The newest comes first; the last line, on standard "
    "error, says how many there are of each account and reason. Filters can be combined."
)
_SHOW = (
    "Show why a delivery failed, and the users that it was about. Takes an origin, such as audience.batches-3@17, or a "
    "batch id for all that failed of it. Of each value of a user only the first character is shown."
)


def _provider(text: str) -> Target:
    try:
        target = parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if target.provider not in installed():
        raise argparse.ArgumentTypeError(f"there are {', '.join(installed())}")
    return target


def _consume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        required=True,
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help=f"the account to serve, such as facebook or facebook/eu; there are {', '.join(installed())}",
    )


def _accounts_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="an account, such as facebook or facebook/eu; may be repeated; default: those in AUDIENCE_PROVIDERS",
    )


def _preview_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("users", metavar="USERS.json", help="a JSON array of users as in the API; - is standard input")
    parser.add_argument("--name", required=True, help="the audience's name")
    parser.add_argument("--type", choices=["custom", "primary"], default="custom", help="the audience's type")
    parser.add_argument("--disable-prefix", action="store_true", help="use the name as it is")
    _accounts_argument(parser)


def _reason(text: str) -> str:
    if text not in VOCABULARY:
        raise argparse.ArgumentTypeError("there is no such reason; `audience errors` prints them all")
    return text


def _session(text: str) -> str:
    """Return a session id as the endpoint keeps it, which is a number's shortest text; others may write any text."""
    try:
        return number_text(msgspec.json.decode(text, type=float | int))
    except (msgspec.DecodeError, ValueError):
        return text


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("write a number and s, m, h or d, such as 15m, 2h or 30d")
    return int(match[1]) * _UNITS[match[2]]


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError("write a whole number, such as 100")
    return int(text)


def _dead_letters_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show")
    _list_arguments(actions.add_parser("list", help=_LIST.partition(".")[0], description=_LIST))
    _show_arguments(actions.add_parser("show", help=_SHOW.partition(".")[0], description=_SHOW))


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="only those of this account; facebook means all accounts of Facebook; may be repeated",
    )
    parser.add_argument(
        "--reason",
        action="append",
        type=_reason,
        metavar="REASON",
        help="only those with this reason, such as request_refused; may be repeated; `audience errors` prints all",
    )
    parser.add_argument("--session", type=_session, metavar="ID", help="only those of this upload session")
    parser.add_argument("--age", type=_age, help="only those that failed within this time, such as 15m, 2h or 30d")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar="ORIGIN", help="where the record stands, as the list says, or a batch id")
    parser.add_argument("--users", type=_count, default=10, help="how many users to show; default: 10")
    parser.add_argument("--unmasked", action="store_true", help="show personal data as it is in the log")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each record, on a line")


ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "consume": _consume_arguments,
    "preview": _preview_arguments,
    "check": _accounts_argument,
    "dead-letters": _dead_letters_arguments,
}
