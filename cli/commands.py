"""Which commands there are. Each is imported when it is used: who serves an account loads no Kafka to start."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from cli.command import Command

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "serve": "cli.serve.command",
        "consume": "cli.consume.command",
        "sandbox": "cli.sandbox.command",
        "up": "cli.up.command",
        "demo": "cli.demo.command",
        "upload": "cli.upload.command",
        "preview": "cli.preview.command",
        "publish": "cli.publish.command",
        "check": "cli.check.command",
        "status": "cli.status.command",
        "watch": "cli.watch.command",
        "rejected": "cli.rejected.command",
        "dead-letters": "cli.dead_letters.command",
        "replay": "cli.replay.command",
        "errors": "cli.pages.errors_page",
        "schema": "cli.pages.schemas",
        "platforms": "cli.pages.platforms_page",
        "config": "cli.config.command",
    }
)
"""Commands by name, in the order of the list of all; each module has its own as `COMMAND`."""


def load_command(name: str) -> Command:
    """Import a command with all that it needs."""
    command: Command = import_module(MODULES[name]).COMMAND
    return command
