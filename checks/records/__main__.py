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
    """Run twice on one Kafka, each with half of the records: without a registry of schemas, and with one."""
    reports = []
    with tempfile.TemporaryDirectory(prefix="records-") as folder:
        data = Path(folder) / "kafka"
        async with LocalBroker(data=data, port=free_port(), report=console.print) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            for prefix, framing in (("records", Framing()), ("registered", Framing(Registry()))):
                console.print(f"{prefix}: {records // 2} records")
                reports.append(await run(kafka, prefix, seed, records // 2, framing, console.print))
                for line in reports[-1].lines():
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
