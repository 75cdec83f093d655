"""`python -m checks.described`: exit 0 only if every answer is as `/openapi.json` describes it."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from checks.described.run import run
from checks.hostile.run import Place, Report
from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port

CASES = 100_000
SECONDS = 7_200.0
"""Within which all must be sent."""


def main() -> None:
    """Run, print what was answered and what is wrong, and exit."""
    options = _parser().parse_args()
    console = Console(highlight=False, soft_wrap=True)
    named = f"described: SEED={options.seed} CASES={options.cases}"
    console.print(named)
    report = asyncio.run(_run(options.seed, options.cases, options.seconds, console))
    for answer, count in sorted(report.answers.items()):
        console.print(f"{count:>7} {answer}", markup=False)
    console.print(f"memory {report.growth:.2f} times what it was early on")
    for fault, count in report.faults.most_common():
        console.print(f"{count} x {fault}; first: {report.first[fault]}", markup=False)
    console.print(f"{named}: {'FAILED' if report.faults else 'all is answered as described'}")
    sys.exit(1 if report.faults else 0)


async def _run(seed: int, cases: int, seconds: float, console: Console) -> Report:
    with tempfile.TemporaryDirectory(prefix="described-") as folder:
        data = Path(folder)
        async with LocalBroker(data=data / "kafka", port=free_port(), report=console.print) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            place = Place(kafka=kafka, prefix="described", folder=data)
            return await run(place, seed, cases, seconds, console.print)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.described", description="Send what is described.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--cases", type=int, default=CASES, help="how many requests")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="within which all must be sent")
    return parser


if __name__ == "__main__":
    main()
