"""`python -m checks.chaos`: exit 0 only if nothing was lost, nothing invented and nobody is behind."""

import argparse
import asyncio
import os
import random
import sys
import traceback

from rich.console import Console
from rich.table import Table

from checks.chaos.plan import make_plan
from checks.chaos.run import Report, chaos_environment, run
from cli.environment import Environment

DEFAULT_SECONDS = 240.0
MOST_SECONDS = 240.0
LIMIT = 460.0
"""Seconds that all but the ending of what runs may take: with it less than eight minutes."""

MOST_DETAILS = 40


def main() -> None:
    """Run, print the table and what differs, and exit."""
    options = _parser().parse_args()
    seconds = min(options.seconds, MOST_SECONDS)
    console = Console(highlight=False, soft_wrap=True)
    environment, report = chaos_environment(os.environ), Report()
    named = f"chaos: SEED={options.seed} SECONDS={seconds:g}"
    console.print(f"{named}; logs are in {environment.data}")
    try:
        asyncio.run(_bounded(environment, options.seed, seconds, console, report))
    except KeyboardInterrupt:
        console.print(f"{named}: ended by Ctrl-C")
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        report.differences.append(f"the run did not come to its end: {type(error).__name__}")
    console.print(_table(report))
    for difference in report.differences[:MOST_DETAILS]:
        console.print(difference, markup=False)
    if len(report.differences) > MOST_DETAILS:
        console.print(f"... and {len(report.differences) - MOST_DETAILS} more")
    is_bad = bool(report.differences)
    word = f"FAILED; logs are in {environment.data}" if is_bad else "nothing lost, nothing invented, nobody behind"
    console.print(f"{named}: {word}")
    sys.exit(1 if is_bad else 0)


async def _bounded(environment: Environment, seed: int, seconds: float, console: Console, report: Report) -> None:
    chance = random.Random(seed)  # noqa: S311 -- to be repeated by its seed
    plan = make_plan(chance, seconds)
    async with asyncio.timeout(LIMIT):
        await run(environment, plan, chance, seconds, console.print, report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.chaos", description="Let everything go wrong and compare.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="of faults")
    return parser


def _table(report: Report) -> Table:
    table = Table("what", "how much", show_header=False)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(report.injected.items()))
    table.add_row("faults injected", f"{report.injected.total()}: {faults}")
    answers = ", ".join(f"{answer} {count}" for answer, count in sorted(report.answers.items()))
    table.add_row("uploads, and answers to them", f"{report.uploads}: {answers}")
    table.add_row("users uploaded, records of the log", f"{report.users:,}, {report.records:,}")
    for provider, (rows, repeated) in report.sent.items():
        share = 100 * repeated / rows if rows else 0
        table.add_row(f"{provider}: rows taken, of which it had", f"{rows:,}, {repeated:,} ({share:.1f} %)")
    made = ", ".join(f"{name} {n} (+{report.extra_audiences[name]})" for name, n in report.audiences.items())
    table.add_row("audiences (of them made twice)", made)
    table.add_row("longest stall", f"{report.stall:.1f} s")
    table.add_row("at rest after", f"{report.settled:.1f} s")
    peaks = ", ".join(f"{kind} {peak / 1e6:.0f} MB" for kind, peak in sorted(report.peaks.items()))
    table.add_row("peak memory of a process", peaks)
    table.add_row("ended by themselves", ", ".join(f"{k} {n}" for k, n in sorted(report.alone.items())) or "none")
    return table


if __name__ == "__main__":
    main()
