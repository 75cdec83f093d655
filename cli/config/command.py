"""`audience config`: every setting, its value, where that comes from, and what is wrong; secrets are hidden."""

import sys
from argparse import ArgumentParser, Namespace

from rich.console import Console

from cli.command import Command
from cli.config.listing import check_all, settings
from cli.config.printing import env_lines, print_settings
from cli.printing.tables import print_lines, print_objects
from cli.settings.environment import Environment


def _add_arguments(parser: ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object for each setting, on a line")
    form.add_argument("--env", action="store_true", help="print lines that a .env takes; secrets are comments")


async def show_config(options: Namespace, environment: Environment) -> None:
    """Print every setting. Raises ConfigError, which lists all that is wrong, when that is done."""
    found = list(settings(environment))
    if options.json:
        print_objects(found)
    elif options.env:
        print_lines(line for setting in found for line in env_lines(setting))
    else:
        print_settings(found, Console())
    sys.stdout.flush()
    check_all(environment)


COMMAND = Command(
    name="config",
    text=(
        "Show every setting. Prints its value, secrets hidden, where that comes from and what it means, and says by "
        "variable what is wrong, also with those of the accounts. With --env it prints what a .env takes."
    ),
    run=show_config,
    add_arguments=_add_arguments,
)
