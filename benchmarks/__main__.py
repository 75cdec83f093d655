"""Print every figure as a ratio within this run; absolute ones are this machine's. Names choose some benchmarks."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from benchmarks.bulkhead import measure_bulkhead
from benchmarks.codec import measure_codec
from benchmarks.concurrency import measure_concurrency
from benchmarks.console import measure_console
from benchmarks.events import measure_events
from benchmarks.files.run import measure_files
from benchmarks.ingest import measure_ingest
from benchmarks.ingest_memory import measure_ingest_memory
from benchmarks.ledger import measure_ledger
from benchmarks.memory import measure_memory
from benchmarks.product import local_kafka
from benchmarks.questions import measure_questions
from benchmarks.removals import measure_removals
from benchmarks.replay import measure_replay
from benchmarks.rows import measure_rows
from benchmarks.sandbox import measure_sandbox
from benchmarks.sessions import measure_sessions
from benchmarks.small import command as small
from benchmarks.states import measure_states
from benchmarks.sync import measure_sync
from benchmarks.transform import measure_transform
from benchmarks.whole import command as whole
from streams.client.settings import KafkaSettings

BY_THEMSELVES: Mapping[str, Callable[[], bool | None]] = {
    "ingest": measure_ingest,
    "ingest_memory": measure_ingest_memory,
    "codec": measure_codec,
    "transform": measure_transform,
    "rows": measure_rows,
    "sandbox": measure_sandbox,
    "files": measure_files,
    "sessions": measure_sessions,
    "states": measure_states,
}
ON_KAFKA: Mapping[str, Callable[[KafkaSettings], Awaitable[None]]] = {
    "sync": measure_sync,
    "concurrency": measure_concurrency,
    "bulkhead": measure_bulkhead,
    "memory": measure_memory,
    "replay": measure_replay,
    "removals": measure_removals,
    "ledger": measure_ledger,
    "questions": measure_questions,
    "events": measure_events,
    "console": measure_console,
}


SMALL, WHOLE = "small", "whole"
"""Each has a Kafka of its own, and runs other checkouts, too."""

NAMES = (*BY_THEMSELVES, *ON_KAFKA, SMALL, WHOLE)


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks that are named, all if none is; those that need a Kafka on the same one."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all if none is named")
    small.add_options(parser)
    whole.add_options(parser)
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {*NAMES}:
        sys.exit(f"benchmarks: there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    chosen, options = set(given.names or NAMES), Options(whole.options_of(given), small.options_of(given))
    if told := options.ignored(chosen):
        parser.error(told)
    try:
        trees = whole.trees_of(options.whole)
    except FileNotFoundError as error:
        parser.error(f"argument --before: {error}")
    if options.whole.are_together and len(trees) == 1:
        parser.error("argument --together: there is nothing to run beside; give --before or --asked, too")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if not run(chosen, options):
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class Options:
    """What was given; `whole` has also what both have."""

    whole: whole.Options
    small: small.Options

    def ignored(self, chosen: Collection[str]) -> str | None:
        """Return that options have no effect on what is chosen, None where all have."""
        if SMALL not in chosen and self.small != small.DEFAULTS:
            return f"these options are of {SMALL}, which is not among the names"
        of_both = replace(whole.DEFAULTS, before=self.whole.before, pairs=self.whole.pairs)
        if WHOLE not in chosen and self.whole != (of_both if SMALL in chosen else whole.DEFAULTS):
            besides = f", nor is {SMALL}" if self.whole == of_both else ""
            return f"these options are of {WHOLE}, which is not among the names{besides}"
        return None


def run(chosen: Collection[str], options: Options) -> bool:
    """Run what is chosen; return whether what is asked of it is met, where anything is."""
    is_met = True
    for name, measure in BY_THEMSELVES.items():
        if name in chosen and measure() is False:
            is_met = False
    if set(chosen) & ON_KAFKA.keys():
        asyncio.run(_on_kafka(chosen))
    if SMALL in chosen:
        trees = whole.trees_of(replace(options.whole, is_asked=False))
        asyncio.run(small.measure_small(options.small, trees, options.whole.pairs))
    if WHOLE in chosen:
        asyncio.run(whole.measure_whole(options.whole))
    return is_met


async def _on_kafka(chosen: Collection[str]) -> None:
    async with local_kafka() as kafka:
        for name, measure in ON_KAFKA.items():
            if name in chosen:
                await measure(kafka)


if __name__ == "__main__":
    main(sys.argv[1:])
