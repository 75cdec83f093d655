"""The users that a command is given, and the audience that they are for."""

import argparse
import sys
from pathlib import Path

from producer.request.users_json import PayloadError


def add_audience_arguments(parser: argparse.ArgumentParser) -> None:
    """Take users and what their audience is called."""
    parser.add_argument("users", metavar="USERS.json", help="a JSON array of users as in the API; - is standard input")
    parser.add_argument("--name", required=True, help="the audience's name")
    parser.add_argument("--type", choices=["custom", "primary"], default="custom", help="the audience's type")
    parser.add_argument("--disable-prefix", action="store_true", help="use the name as it is")


def read_users(path: str) -> bytes:
    """Return what stands in a file, or on standard input. Raises PayloadError."""
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise PayloadError(f"{path}: {error.strerror}; name a file that holds a JSON array of users") from None
