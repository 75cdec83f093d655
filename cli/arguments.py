"""What several commands take on the command line: texts as what they mean."""

import argparse
import re

import msgspec

from producer.request.numbers import Number, number, number_text
from providers.installed import installed
from schemas.did_you_mean import did_you_mean
from schemas.error_words import VOCABULARY
from schemas.target import Target, parse_target

_numbers = msgspec.json.Decoder(float_hook=number)


def provider(text: str) -> Target:
    """Return an account of an installed platform."""
    try:
        target = parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if target.provider not in installed():
        near = did_you_mean([target.provider], installed())
        raise argparse.ArgumentTypeError(f"there are {', '.join(installed())}{near}")
    return target


def add_accounts_argument(parser: argparse._ActionsContainer) -> None:
    """Take accounts."""
    parser.add_argument(
        "--provider",
        action="append",
        type=provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="an account, such as facebook or facebook/eu; may be repeated; default: those in AUDIENCE_PROVIDERS",
    )


def reason(text: str) -> str:
    """Return a word of the vocabulary."""
    if text not in VOCABULARY:
        raise argparse.ArgumentTypeError("there is no such reason; `audience errors` prints them all")
    return text


def session(text: str) -> str:
    """Return a session id as the endpoint keeps it, which is a number's shortest text; others may write any text."""
    try:
        decoded = _numbers.decode(text)
        return number_text(decoded) if isinstance(decoded, Number) and not isinstance(decoded, bool) else text
    except (msgspec.DecodeError, ValueError):
        return text


def count(text: str) -> int:
    """Return a number of up to six digits."""
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError("write a whole number, such as 100")
    return int(text)
