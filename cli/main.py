"""The command line: `audience COMMAND`."""

import argparse
import asyncio
import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cli.check.command import CHECK, CheckFailedError
from cli.command import EndedError
from cli.config.command import CONFIG
from cli.consume.command import CONSUME
from cli.dead_letters.command import DEAD_LETTERS, NoSuchDeadLetterError
from cli.demo.command import DEMO, DemoFailedError
from cli.errors import UsageError
from cli.local_stack.supervisor import LISTENS, PartFailedError
from cli.pages.errors_page import ERRORS
from cli.pages.platforms_page import PLATFORMS
from cli.pages.schemas import SCHEMA
from cli.preview.command import PREVIEW
from cli.printing.logs import PARTS, configure_logs
from cli.process import ThreadFailedError, end_with_parent, run
from cli.publish.command import PUBLISH
from cli.rejected.command import REJECTED
from cli.replay.command import REPLAY
from cli.replay.saved_replays import ReplayError
from cli.sandbox.command import SANDBOX
from cli.serve.command import SERVE
from cli.server_client import StatusError
from cli.settings.config import ConfigError, load
from cli.settings.data_folder import InUseError
from cli.settings.env_file import EnvFileError
from cli.settings.environment import SeveralUpsError
from cli.settings.startup_check import checked_environment
from cli.settings.unknown_settings import MisnamedSettingError
from cli.status.command import STATUS
from cli.undecodable import NotAllReadError
from cli.up.command import UP
from cli.upload.command import UPLOAD
from consumer.removals.account_removals import HashKeysMissingError
from producer.publisher import PublishError
from producer.request.users_json import PayloadError
from providers.installed import ProviderLoadError
from schemas.avro.framing import RegistryUnavailableError
from schemas.did_you_mean import did_you_mean
from streams.client.errors import StreamError
from streams.processes import lifeline

EXPECTED = (
    ConfigError,
    HashKeysMissingError,
    SeveralUpsError,
    EnvFileError,
    MisnamedSettingError,
    PayloadError,
    PublishError,
    StreamError,
    PartFailedError,
    InUseError,
    DemoFailedError,
    CheckFailedError,
    NoSuchDeadLetterError,
    NotAllReadError,
    ReplayError,
    StatusError,
    UsageError,
    RegistryUnavailableError,
    ProviderLoadError,
    ThreadFailedError,
    OSError,
)
"""What a person can act on by the message alone."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit 1 with one sentence on standard error where it can't be."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _check_command(given)
    try:
        options = _parser().parse_args(given)
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


def _check_command(given: Sequence[str]) -> None:
    """Exit 2 where the first word is no command, with the nearest one."""
    names = [command.name for command in COMMANDS]
    if given and not given[0].startswith("-") and given[0] not in names:
        near = did_you_mean(given[:1], names)
        sys.stderr.write(f"audience: there is no such command{near}; there are {', '.join(names)}\n")
        sys.exit(2)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audience",
        description="Push one customer list to every marketing platform, and say what happened to each user.",
        epilog="Settings are environment variables, also read from .env; `audience config` shows them all.",
    )
    parser.add_argument("--version", action="version", version=f"audience {version('audience-api')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.text.partition(".")[0], description=command.text)
        added.set_defaults(run=command.run, is_service=command.is_service)
        command.add_arguments(added)
    return parser


COMMANDS = (
    SERVE,
    CONSUME,
    SANDBOX,
    UP,
    DEMO,
    UPLOAD,
    PREVIEW,
    PUBLISH,
    CHECK,
    STATUS,
    REJECTED,
    DEAD_LETTERS,
    REPLAY,
    ERRORS,
    SCHEMA,
    PLATFORMS,
    CONFIG,
)
