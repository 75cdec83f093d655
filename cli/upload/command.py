"""`audience upload`: files to a running server; what the package `audience_client` does, with our settings."""

import importlib.util
from argparse import REMAINDER, ArgumentParser, Namespace
from functools import partial
from typing import TYPE_CHECKING

from cli.arguments import add_accounts_argument
from cli.command import Command
from cli.errors import EndedError, UsageError
from cli.settings.config import Config, load
from cli.settings.environment import Environment

if TYPE_CHECKING:
    from audience_client.command.run import DryRun

HAS_CLIENT = importlib.util.find_spec("audience_client") is not None
"""Whether the client's package is installed beside this one; without it all other commands work."""

NO_CLIENT = (
    "audience-client is not installed beside this package: install its wheel, or './client[files]' of a checkout"
)


def _add_arguments(parser: ArgumentParser) -> None:
    if not HAS_CLIENT:
        parser.add_argument("words", nargs=REMAINDER, help=NO_CLIENT.replace("%", "%%"))
        parser.set_defaults(url=None)
        return
    from audience_client.command.arguments import add_upload_arguments  # noqa: PLC0415 -- it may be missing

    add_upload_arguments(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing: print what each account could use, and the first requests; needs no server",
    )
    add_accounts_argument(parser)


async def upload(options: Namespace, environment: Environment) -> None:
    """Upload files. Raises EndedError where not all became as it should, ConfigError, UsageError."""
    if not HAS_CLIENT:
        raise UsageError(NO_CLIENT)
    if options.provider and not options.dry_run:
        raise UsageError("--provider: is of --dry-run; --channels says which accounts get the users")
    from audience_client.command.run import Server, run_upload  # noqa: PLC0415 -- what it loads takes its time

    url, token = _server(options, load(environment))
    dry_run = _dry_run(options, environment) if options.dry_run else None
    code = await run_upload("audience upload", options, Server(url=url, token=token), dry_run)
    if code:
        raise EndedError(code)


def _dry_run(options: Namespace, environment: Environment) -> "DryRun":
    from cli.upload.dry_run import print_dry_run  # noqa: PLC0415 -- it needs the client

    return partial(print_dry_run, options=options, environment=environment)


def _server(options: Namespace, config: Config) -> tuple[str, str | None]:
    """Return where the server is, and the token for it: our own server's tokens are for nobody else."""
    token = config.upload.token.get_secret_value() if config.upload.token else None
    if url := options.url or config.upload.url:
        return url, token
    own = next(iter(config.server.tokens), None)
    return f"http://{config.server.listen}", token or (own.get_secret_value() if own else None)


COMMAND = Command(
    name="upload",
    text=(
        "Upload customer files of any kind to a running server. Reads all of a file, finds out which columns are "
        "meant, shows that with masked values, and sends it: to --url, AUDIENCE_URL, or a running `audience up`. Exits "
        "0 if all is in the log (with --wait: if every platform took what was usable), 1 if something failed, 2 if a "
        "file or an option is wrong, 130 if it was interrupted, which --resume goes on with."
    ),
    run=upload,
    add_arguments=_add_arguments,
)
