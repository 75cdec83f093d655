"""`python -m checks.hostile`: exit 0 only if every answer was ours, nothing was repeated and the server still works."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from checks.clients import captures
from checks.hostile.mutations import make_request
from checks.hostile.run import Place, Report, run
from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port

REQUESTS = 100_000
SECONDS = 1_500.0
"""Within which all must be sent."""


def main() -> None:
    """Run, print what was answered and what is wrong, and exit."""
    options = _parser().parse_args()
    if options.show is not None:
        sys.stdout.buffer.write(make_request(options.seed, options.show, captures()).written())
        return
    console = Console(highlight=False, soft_wrap=True)
    named = f"hostile: SEED={options.seed} REQUESTS={options.requests}"
    console.print(named)
    report = asyncio.run(_run(options.seed, options.requests, options.seconds, console))
    console.print(", ".join(f"{answer} {count}" for answer, count in sorted(report.answers.items())))
    console.print(f"memory {report.growth:.2f} times what it was early on")
    for fault, count in report.faults.most_common():
        console.print(f"{count} x {fault}; first: {report.first[fault]}", markup=False)
    console.print(f"{named}: {'FAILED' if report.faults else 'all was refused in order'}")
    sys.exit(1 if report.faults else 0)


async def _run(seed: int, requests: int, seconds: float, console: Console) -> Report:
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        data = Path(folder)
        async with LocalBroker(data=data / "kafka", port=free_port(), report=console.print) as broker:
            place = Place(
                kafka=KafkaSettings(bootstrap_servers=broker.bootstrap_servers), prefix="hostile", folder=data
            )
            return await run(place, seed, requests, seconds, console.print)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.hostile", description="Send what no client should send.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--requests", type=int, default=REQUESTS, help="how many")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="within which all must be sent")
    parser.add_argument("--show", type=int, metavar="N", help="print request N of the seed instead")
    return parser


if __name__ == "__main__":
    main()
