"""`python -m checks.records`: exit 0 only if each record ended, for one reason, and nobody else was held up."""

import argparse
import asyncio
import faulthandler
import logging
import random
import sys
import tempfile
from pathlib import Path

import structlog
from rich.console import Console

from checks.records.run import Report, run
from checks.records.values import make_value
from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port

RECORDS = 100_000


def main() -> None:
    """Run, print what was reported and what is wrong, and exit."""
    options = _parser().parse_args()
    if options.show is not None:
        sys.stdout.buffer.write(make_value(options.seed, options.show).value)
        return
    faulthandler.enable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console(highlight=False, soft_wrap=True)
    named = f"records: SEED={options.seed} RECORDS={options.records}"
    console.print(named)
    report = asyncio.run(_run(options.seed, options.records, console))
    for verdict, count in report.verdicts.most_common():
        console.print(f"{count} x {verdict}", markup=False)
    for fault, count in report.faults.most_common():
        console.print(f"{count} x {fault}; first: {report.first[fault]}", markup=False)
    console.print(f"{named}: {'FAILED' if report.faults else 'one record ended one record'}")
    sys.exit(1 if report.faults else 0)


async def _run(seed: int, records: int, console: Console) -> Report:
    with tempfile.TemporaryDirectory(prefix="records-") as folder:
        data = Path(folder) / "kafka"
        async with LocalBroker(data=data, port=free_port(), report=console.print) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            return await run(kafka, "records", seed, records, console.print)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.records", description="Write what nobody should write.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--records", type=int, default=RECORDS, help="how many")
    parser.add_argument("--show", type=int, metavar="N", help="print the value of record N of the seed instead")
    return parser


if __name__ == "__main__":
    main()
