"""`python -m benchmarks small`: runs of this checkout, and of another one beside it."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.small.drained import Drained, drain
from benchmarks.small.idle import wait_idle
from benchmarks.small.load import Load
from benchmarks.small.report import report, report_idle
from benchmarks.whole.command import number_from_one, surroundings
from benchmarks.whole.run import Surroundings
from benchmarks.whole.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to run: so many records, without a pace, and where that is wanted with the documented one."""

    records: int = 30_000
    is_paced: bool = False


DEFAULTS = Options()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let these options be given."""
    group = parser.add_argument_group("small")
    group.add_argument("--records", type=number_from_one, default=DEFAULTS.records, help="records of one user each")
    group.add_argument("--pace", action="store_true", help="run with the documented pace, too; takes some minutes")


def options_of(given: argparse.Namespace) -> Options:
    """Return what was given."""
    return Options(records=given.records, is_paced=given.pace)


async def measure_small(options: Options, trees: Sequence[Tree], pairs: int) -> None:
    """Run all loads against one Kafka and one sink, and print what came of each; exit 1 where a row is missing."""
    loads = [Load(records=options.records)]
    if options.is_paced:
        loads.append(Load(records=options.records, is_paced=True))
    async with surroundings() as around:
        are_right = [await _compared(load, trees, pairs, around) for load in loads]
        print("\n".join(report_idle(await wait_idle(trees, around))))  # noqa: T201 -- the output
    if not all(are_right):
        sys.exit("small: not all went as it should")


async def _compared(load: Load, trees: Sequence[Tree], pairs: int, around: Surroundings) -> bool:
    """Run the trees in turn, another one first each time; tell whether all went well."""
    runs: dict[str, list[Drained]] = {tree.label: [] for tree in trees}
    for number in range(pairs):
        for tree in trees if number % 2 == 0 else reversed(trees):
            runs[tree.label].append(await drain(tree, load, around))
    print("\n".join(report(load, runs)), flush=True)  # noqa: T201 -- the output
    return all(one.is_right for of_tree in runs.values() for one in of_tree)
