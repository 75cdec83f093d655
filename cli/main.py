"""The command line: `audience COMMAND`."""

import argparse
import asyncio
import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cli.commands import MODULES, load_command
from cli.errors import CommandError, EndedError
from cli.printing.logs import PARTS, configure_logs
from cli.process import end_with_parent, run
from cli.settings.config import load
from cli.settings.environment import LISTENS
from cli.settings.startup_check import checked_environment
from producer.publish_errors import PublishError
from producer.request.users_json import PayloadError
from providers.installed import ProviderLoadError
from schemas.avro.framing import RegistryUnavailableError
from schemas.did_you_mean import did_you_mean
from schemas.hash_keys import HashKeysMissingError
from streams.client.errors import StreamError
from streams.processes import lifeline

EXPECTED = (
    CommandError,
    HashKeysMissingError,
    PayloadError,
    PublishError,
    StreamError,
    RegistryUnavailableError,
    ProviderLoadError,
    OSError,
)
"""What a person can act on by the message alone."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit 1 with one sentence on standard error where it can't be."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser(_chosen(given)).parse_args(given)
    except ProviderLoadError as error:
        sys.exit(f"audience: {error}")
    configure_logs(_part(options), is_service=options.is_service)
    lifeline.watch(end_with_parent)
    try:
        environment = checked_environment(options, os.environ)
        limit = load(environment).consumer.shutdown_timeout if options.is_service else None
        gc.freeze()  # what was imported stays: to look through all of it for cycles takes 50 ms each time
        asyncio.run(run(options.run(options, environment), limit))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except EndedError as ended:
        sys.exit(ended.code)
    except EXPECTED as error:
        sys.exit(f"audience {options.command}: {_message_of(error, options.command)}")
    except ExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, EXPECTED):
            raise
        sys.exit(f"audience {options.command}: {_message_of(first, options.command)}")
    except asyncio.CancelledError:
        sys.exit(0 if options.is_service else 130)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return the error that ended work of which several parts ran side by side."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _chosen(given: Sequence[str]) -> Sequence[str]:
    """Return the command that comes first, all where an option does. Exits 2 where there is none, with the nearest."""
    if not given or given[0].startswith("-"):
        return list(MODULES)
    if given[0] not in MODULES:
        near = did_you_mean(given[:1], MODULES)
        sys.stderr.write(f"audience: there is no such command{near}; there are {', '.join(MODULES)}\n")
        sys.exit(2)
    return given[:1]


def _part(options: argparse.Namespace) -> str | None:
    """Return what the lines of a service are of."""
    if options.command == "consume":
        return "ledger" if options.ledger else f"consumer {options.provider}"
    return PARTS.get(options.command)


def _message_of(error: Exception, command: str) -> str:
    """Return an error as a person reads it, with what to do about one of the system."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror}; end what listens there, or set {LISTENS.get(command, 'another port')}"
    about = f"{error.filename}: " if error.filename else ""
    return f"{about}{error.strerror or error}"


def _parser(chosen: Sequence[str]) -> argparse.ArgumentParser:
    """Return what takes these commands."""
    parser = argparse.ArgumentParser(
        prog="audience",
        description="Push one customer list to every marketing platform, and say what happened to each user.",
        epilog="Settings are environment variables, also read from .env; `audience config` shows them all.",
    )
    parser.add_argument("--version", action="version", version=f"audience {version('audience-api')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in map(load_command, chosen):
        added = commands.add_parser(command.name, help=command.text.partition(".")[0], description=command.text)
        added.set_defaults(run=command.run, is_service=command.is_service)
        command.add_arguments(added)
    return parser
