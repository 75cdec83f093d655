"""The demo from its start to the comparison."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from rich.console import Console

from cli.demo.comparison import Comparison, compare
from cli.demo.made_up_people import Person, make_people
from cli.demo.outcome import DemoFailedError, Outcome
from cli.demo.printing import (
    BATCHES_BAR,
    EXACT,
    USERS_BAR,
    comparison_line,
    difference,
    outcome_table,
    progress_bars,
    start_line,
)
from cli.demo.upload import BATCHES, upload
from cli.local_stack.running import Running, running
from cli.settings.environment import Environment
from schemas.avro.codec import decode_batch_completion
from streams.cluster.topics import TopicNames
from streams.read.tail import Tail

USERS = 25_000
LIMIT = 300.0
"""Seconds that the platforms may take."""


async def demonstrate(environment: Environment, console: Console) -> None:
    """1. Start everything. 2. Upload made-up people. 3. Wait for the platforms. 4. Compare what they hold.

    Raises DemoFailedError unless every platform holds exactly the users it can use.
    """
    logs = _new_folder(environment.data) / "demo.log"
    console.print(start_line(logs))
    people = list(make_people(USERS))
    async with (
        running(environment, logs) as found,
        _followed(found) as outcome,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
    ):
        await _deliver(session, found, people, outcome, console)
        console.print(outcome_table(outcome, found.targets))
        compared = await compare(session, found, people)
        for comparison in compared:
            console.print(comparison_line(comparison))
        _judge(compared)
        console.print(EXACT)


def _new_folder(data: Path) -> Path:
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    return data


@asynccontextmanager
async def _followed(found: Running) -> AsyncIterator[Outcome]:
    """Yield what came of the uploads, which is kept up to date while the block is entered."""
    outcome = Outcome()
    async with Tail(found.kafka, TopicNames().completions) as tail:
        following = asyncio.create_task(_follow(tail, outcome))
        try:
            yield outcome
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _follow(tail: Tail, outcome: Outcome) -> None:
    async for records in tail.batches():
        for record in records:
            outcome.take(decode_batch_completion(record.value))


async def _deliver(
    session: aiohttp.ClientSession, found: Running, people: Sequence[Person], outcome: Outcome, console: Console
) -> None:
    """Upload all people, and wait until every account is through with them; bars show how far that is."""
    handled = BATCHES * len(found.targets)
    with progress_bars(console) as progress:
        users = progress.add_task(USERS_BAR, total=len(people))
        await upload(session, found.url, people, lambda count: progress.advance(users, count))
        batches = progress.add_task(BATCHES_BAR, total=handled)
        await _wait(outcome, len(found.targets), lambda count: progress.update(batches, completed=min(count, handled)))
        progress.update(batches, completed=handled)


async def _wait(outcome: Outcome, targets: int, show: Callable[[int], object]) -> None:
    """Return when all batches are handled, or the time is over: the comparison says what is missing then."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while not outcome.is_complete(BATCHES, targets):
                show(len(outcome.latest))
                await asyncio.sleep(0.1)


def _judge(compared: Sequence[Comparison]) -> None:
    """Raises DemoFailedError where a platform does not hold what it must."""
    if differing := [difference(comparison) for comparison in compared if not comparison.is_exact]:
        raise DemoFailedError("; ".join(differing))
