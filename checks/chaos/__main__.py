"""`python -m checks.chaos`: exit 0 only if nothing was lost, nothing invented and nobody is behind."""

import argparse
import asyncio
import os
import random
import sys
import traceback

from rich.console import Console

from checks.chaos.plan import make_plan
from checks.chaos.report import Report, as_table
from checks.chaos.run import chaos_environment, run
from cli.settings.environment import Environment

DEFAULT_SECONDS = 240.0
MOST_SECONDS = 600.0
REST = 220.0
"""Seconds that starting, coming to rest and judging may take beside the faults; with strays as long again as those."""

MOST_DETAILS = 40


def main() -> None:
    """Run, print the table and what differs, and exit."""
    options = _parser().parse_args()
    seconds = min(options.seconds, MOST_SECONDS)
    console = Console(highlight=False, soft_wrap=True)
    environment, report = chaos_environment(os.environ), Report()
    named = f"chaos: SEED={options.seed} SECONDS={seconds:g}{' STRAYS=1' if options.strays else ''}"
    console.print(f"{named}; logs are in {environment.data}")
    try:
        asyncio.run(_bounded(environment, options, seconds, console, report))
    except KeyboardInterrupt:
        console.print(f"{named}: ended by Ctrl-C")
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        report.differences.append(f"the run did not come to its end: {type(error).__name__}")
    console.print(as_table(report))
    for difference in report.differences[:MOST_DETAILS]:
        console.print(difference, markup=False)
    if len(report.differences) > MOST_DETAILS:
        console.print(f"... and {len(report.differences) - MOST_DETAILS} more")
    is_bad = bool(report.differences)
    word = f"FAILED; logs are in {environment.data}" if is_bad else "nothing lost, nothing invented, nobody behind"
    console.print(f"{named}: {word}")
    sys.exit(1 if is_bad else 0)


async def _bounded(
    environment: Environment, options: argparse.Namespace, seconds: float, console: Console, report: Report
) -> None:
    chance = random.Random(options.seed)  # noqa: S311 -- to be repeated by its seed
    plan = make_plan(chance, seconds)
    strays = options.seed if options.strays else None
    async with asyncio.timeout(seconds + REST + (seconds if options.strays else 0)):
        await run(environment, plan, chance, seconds, console.print, report, strays)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.chaos", description="Let everything go wrong and compare.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="of faults")
    parser.add_argument("--strays", action="store_true", help="also write records that nobody should write")
    return parser


if __name__ == "__main__":
    main()
