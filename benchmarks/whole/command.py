"""`python -m benchmarks whole`: runs of this checkout, and of another one beside it."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from benchmarks.whole.asking import EVERY
from benchmarks.whole.people import MOST
from benchmarks.whole.report import flatness, report
from benchmarks.whole.run import WARM_UP, Load, Measured, Surroundings, measure
from benchmarks.whole.trees import Tree, sink
from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to run: numbers of users one after the other, each in pairs of runs."""

    users: Sequence[int] = (1_000_000,)
    is_untidy: bool = False
    before: Path | None = None
    pairs: int = 1
    watch: bool = False
    is_asked: bool = False
    are_together: bool = False


DEFAULTS = Options()

ASKED = f"  now is asked meanwhile: metrics of each process every {EVERY:g} s, and all events by a listener"

TOGETHER = "  both of each pair ran at the same time, on half of the machine each; the uploader is one for both"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let these options be given."""
    group = parser.add_argument_group("whole")
    group.add_argument("--users", type=_numbers, default=DEFAULTS.users, help="users of a run; several by commas")
    group.add_argument("--untidy", action="store_true", help="as people write them, with national phone numbers")
    group.add_argument("--held", action="store_true", help="note how long event loops are held, which costs some CPU")
    group.add_argument(
        "--asked",
        action="store_true",
        help="scrape this checkout's metrics and follow its events meanwhile; without --before beside itself unasked",
    )
    both = parser.add_argument_group("whole and small")
    both.add_argument("--before", type=Path, help="another checkout, with a .venv, to run beside this one")
    both.add_argument("--pairs", type=number_from_one, default=DEFAULTS.pairs, help="runs of each, in turn")
    group.add_argument(
        "--together",
        action="store_true",
        help="run both of a pair at the same time, so that a machine whose speed changes slows both: compares CPU only",
    )


def options_of(given: argparse.Namespace) -> Options:
    """Return what was given."""
    return Options(
        users=given.users,
        is_untidy=given.untidy,
        before=given.before,
        pairs=given.pairs,
        watch=given.held,
        is_asked=given.asked,
        are_together=given.together,
    )


def number_from_one(text: str) -> int:
    """Return the number that an option was given. Raises ArgumentTypeError."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError("expected a number from 1")
    return value


def _numbers(text: str) -> tuple[int, ...]:
    values = tuple(map(number_from_one, text.replace("_", "").split(",")))
    if max(values) > MOST - WARM_UP:
        raise argparse.ArgumentTypeError(f"expected at most {MOST - WARM_UP:,}")
    return values


def trees_of(options: Options) -> Sequence[Tree]:
    """Return this checkout and the other one, if any. Raises FileNotFoundError where that can't run."""
    here = replace(Tree.here(), is_asked=options.is_asked)
    if options.before:
        return [here, Tree.before(options.before)]
    return [here, replace(here, label="before", is_asked=False)] if options.is_asked else [here]


async def measure_whole(options: Options) -> None:
    """Run all loads and print what came of each; exit 1 where a row is missing.

    All run against one Kafka and one sink, or at once, each against its own.
    """
    trees = trees_of(options)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(surroundings())
        others = [await stack.enter_async_context(surroundings()) for _ in trees[1:] if options.are_together]
        await _loads(options, trees, [first, *others])


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    """Run a Kafka and a sink while the block is entered."""
    with tempfile.TemporaryDirectory() as data:
        broker = LocalBroker(data=Path(data), port=0)
        async with broker, sink() as (url, process), aiohttp.ClientSession() as session:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            yield Surroundings(kafka, broker.guard or 0, url, process, session)


async def _loads(options: Options, trees: Sequence[Tree], around: Sequence[Surroundings]) -> None:
    by_users: dict[int, Sequence[Measured]] = {}
    is_right = True
    for users in options.users:
        load = Load(users=users, is_untidy=options.is_untidy, watch=options.watch)
        runs = await _pairs(load, trees, options.pairs, around)
        print("\n".join(report(load, runs)), flush=True)  # noqa: T201 -- the output
        if len(around) > 1:
            print(TOGETHER)  # noqa: T201 -- the output
        if options.is_asked:
            print(ASKED if options.before else f"{ASKED}, before is not")  # noqa: T201 -- the output
        by_users[users] = runs["now"]
        is_right &= all(measured.is_right for several in runs.values() for measured in several)
    if len(by_users) > 1:
        print(flatness(by_users))  # noqa: T201 -- the output
    if not is_right:
        sys.exit("whole: what the sink counted is not what was uploaded")


async def _pairs(
    load: Load, trees: Sequence[Tree], pairs: int, around: Sequence[Surroundings]
) -> dict[str, list[Measured]]:
    """Run the trees in turn, another one first each time, so that a change of the machine's speed meets each.

    Where each has surroundings of its own they run at once.
    """
    runs: dict[str, list[Measured]] = {tree.label: [] for tree in trees}
    placed = list(zip(trees, around, strict=True)) if len(around) > 1 else [(tree, around[0]) for tree in trees]
    for number in range(pairs):
        order = placed if number % 2 == 0 else placed[::-1]
        for some in [order] if len(around) > 1 else [[one] for one in order]:
            for (tree, _), measured in zip(some, await _at_once(load, some), strict=True):
                runs[tree.label].append(measured)
    return runs


async def _at_once(load: Load, placed: Sequence[tuple[Tree, Surroundings]]) -> list[Measured]:
    """Run some trees at the same time."""
    begin = asyncio.Barrier(len(placed))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(measure(tree, load, around, begin)) for tree, around in placed]
    return [task.result() for task in tasks]
