"""`python -m checks.files_killed`: exit 0 only if the upload ended whole, each batch once, nobody lost."""

import argparse
import asyncio
import os
import random
import sys
import traceback

from rich.console import Console

from checks.files_killed.run import killed_environment, run
from cli.settings.environment import Environment

ROWS = 200_000
MOMENTS = 10
SECONDS = 900.0
"""Within which all must be over."""


def main() -> None:
    """Run, print what is wrong, and exit."""
    options = _parser().parse_args()
    console = Console(highlight=False, soft_wrap=True)
    named = f"files_killed: SEED={options.seed} ROWS={options.rows}"
    environment = killed_environment(os.environ)
    console.print(f"{named}; logs are in {environment.data}")
    try:
        faults = asyncio.run(_bounded(options, environment, console))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        faults = [f"the run did not come to its end: {type(error).__name__}"]
    for fault in faults:
        console.print(fault, markup=False)
    bad = f"FAILED; logs are in {environment.data}"
    console.print(f"{named}: {bad if faults else 'whole, each batch once, nobody lost'}")
    sys.exit(1 if faults else 0)


async def _bounded(options: argparse.Namespace, environment: Environment, console: Console) -> list[str]:
    async with asyncio.timeout(options.seconds):
        return await run(options.seed, options.rows, options.moments, environment, console.print)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.files_killed", description="End an upload again and again.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--rows", type=int, default=ROWS, help="of the file")
    parser.add_argument("--moments", type=int, default=MOMENTS, help="at which the upload is ended")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="within which all must be over")
    return parser


if __name__ == "__main__":
    main()
