"""`audience-upload`, the command of the client alone."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from audience_client.command.arguments import add_upload_arguments

NAME = "audience-upload"
TEXT = (
    "Upload customer files of any kind to an Audience API: reads all of a file, maps its columns, shows that, and "
    "sends it. The server is at AUDIENCE_URL, its token in AUDIENCE_TOKEN. Exits 0 if all is in the log (with --wait: "
    "if every platform took what was usable), 1 if something failed, 2 if a file or an option is wrong, 130 if it was "
    "interrupted."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Upload files, and exit."""
    parser = argparse.ArgumentParser(prog=NAME, description=TEXT)
    parser.add_argument("--version", action="version", version=f"{NAME} {version('audience-client')}")
    add_upload_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="only where the server is installed: audience upload")
    options = parser.parse_args(arguments)
    if options.dry_run:
        parser.error("--dry-run: needs the providers; run `audience upload --dry-run` where the server is installed")
    sys.exit(_run(options))


def _run(options: argparse.Namespace) -> int:
    from audience_client.command.run import INTERRUPTED, Server, run_upload  # noqa: PLC0415 -- --help needs none of it

    async def run() -> int:
        task = asyncio.current_task()
        with suppress(NotImplementedError):  # Windows has no such signal
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: task and task.cancel())
        return await run_upload(NAME, options, Server(url=options.url))

    try:
        return asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
