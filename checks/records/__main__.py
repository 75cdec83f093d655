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

from checks.records.generator import make_record
from checks.records.registered import Registry
from checks.records.report import Report
from checks.records.run import run
from schemas.avro.framing import Framing
from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port

RECORDS = 100_000
ROUND = 5_000
"""Records that have topics of their own: removals of the same people are sent ever slower among more of them."""


def main() -> None:
    """Run, print what was reported and what is wrong, and exit."""
    options = _parser().parse_args()
    if options.show is not None:
        sys.stdout.buffer.write(make_record(options.seed, options.show).value or b"")
        return
    faulthandler.enable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console(highlight=False, soft_wrap=True)
    named = f"records: SEED={options.seed} RECORDS={options.records}"
    console.print(named)
    reports = asyncio.run(_run(options.seed, options.records, console))
    is_bad = any(report.faults for report in reports)
    console.print(f"{named}: {'FAILED' if is_bad else 'one record ended one record'}")
    sys.exit(1 if is_bad else 0)


async def _run(seed: int, records: int, console: Console) -> list[Report]:
    """Run on one Kafka, half of the records without a registry of schemas and half with one, each until a fault."""
    reports = []
    with tempfile.TemporaryDirectory(prefix="records-") as folder:
        data = Path(folder) / "kafka"
        async with LocalBroker(data=data, port=free_port(), report=console.print) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            for prefix, framing in (("records", Framing()), ("registered", Framing(Registry()))):
                report = Report()
                for first in range(0, records // 2, ROUND):
                    numbers = range(first, min(first + ROUND, records // 2))
                    console.print(f"{prefix}: records {numbers.start} to {numbers.stop}")
                    await run(kafka, f"{prefix}-{first}", seed, numbers, framing, report)
                    if report.faults:
                        break
                reports.append(report)
                for line in report.lines():
                    console.print(line, markup=False)
    return reports


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.records", description="Write what nobody should write.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="random by default")  # noqa: S311 -- no secret
    parser.add_argument("--records", type=int, default=RECORDS, help="how many")
    parser.add_argument("--show", type=int, metavar="N", help="print the value of record N of the seed instead")
    return parser


if __name__ == "__main__":
    main()
