"""What each command takes on the command line."""

import argparse
from collections.abc import Callable, Mapping

from providers.table import installed
from schemas.target import Target, parse_target


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


ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "consume": _consume_arguments,
    "preview": _preview_arguments,
    "check": _accounts_argument,
}
