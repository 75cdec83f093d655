"""`audience demo`: the main job on made-up people, from upload to what the platforms hold."""

import os
from argparse import Namespace

from rich.console import Console

from cli.command import Command
from cli.demo.environment import demo_environment
from cli.demo.run import demonstrate
from cli.settings.data_folder import only_one, usable_folder
from cli.settings.environment import Environment


async def run_demo(options: Namespace, environment: Environment) -> None:
    """Run the demo, whatever is configured, and print what came of it. Raises DemoFailedError, InUseError."""
    del options, environment
    chosen = demo_environment(os.environ)
    with only_one("demo", usable_folder(chosen.data.parent)):
        await demonstrate(chosen, Console())


COMMAND = Command(
    name="demo",
    text=(
        "Upload 25,000 made-up users and compare. Runs everything in a folder of its own against the sandbox, "
        "whatever is configured, and exits 0 only if every platform holds exactly the users it can use."
    ),
    run=run_demo,
)
