"""`audience demo`: the main job on made-up people, from upload to what the platforms hold."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress

from cli.command import Command
from cli.demo.made_up_people import Member, Person, make_people
from cli.demo.outcome import Outcome
from cli.demo.printing import outcome_table, progress_bars
from cli.errors import CommandError
from cli.local_stack.running import Running, running
from cli.settings.data_folder import only_one, usable_folder
from cli.settings.environment import DATA, ENV_FILE, Environment
from providers.installed import installed
from schemas.avro.codec import decode_batch_completion
from streams.cluster.topics import TopicNames
from streams.read.tail import Tail

USERS = 25_000
BATCHES = 3
AUDIENCE = "Demo customers"
ON_PLATFORMS = "blotout_Demo_customers"
LIMIT = 300.0
"""Seconds that the platforms may take."""


class DemoFailedError(CommandError):
    """What the platforms hold is not what was uploaded."""


def demo_environment(process: Mapping[str, str], folder: str = "demo") -> Environment:
    """Return an environment that no `.env` and no setting of a provider, a cluster or a token reaches.

    Its data has a folder of its own within that of the process.
    """
    foreign = (*(f"{name.upper()}_" for name in installed()), "KAFKA_", "SCHEMA_REGISTRY_")
    ours = ("AUDIENCE_PROVIDERS", "AUDIENCE_API_TOKENS", "AUDIENCE_TOPIC_PREFIX", "AUDIENCE_HEALTH_LISTEN")
    kept = {
        name: value
        for name, value in process.items()
        if value and (name == "KAFKA_HOME" or not name.startswith(foreign)) and name not in ours
    }
    data = Path(kept.get(DATA, ".data")).absolute() / folder
    values = kept | {DATA: str(data), ENV_FILE: ""}
    return Environment(values, dict.fromkeys(values, "environment"))


async def demo(process: Mapping[str, str], console: Console) -> None:
    """Run the demo. Raises DemoFailedError unless every platform holds exactly the users it can use."""
    environment = demo_environment(process)
    with only_one("demo", usable_folder(environment.data.parent)):
        await _demonstrate(environment, console)


async def _demonstrate(environment: Environment, console: Console) -> None:
    shutil.rmtree(environment.data, ignore_errors=True)
    environment.data.mkdir(parents=True)
    logs = environment.data / "demo.log"
    console.print(f"Starting Kafka, ingestion, three consumers and the sandbox; their logs are in {logs}")
    people = list(make_people(USERS))
    async with running(environment, logs) as found, Tail(found.kafka, TopicNames().completions) as tail:
        outcome = Outcome()
        following = asyncio.create_task(_follow(tail, outcome))
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
                with progress_bars(console) as progress:
                    await _upload(session, found, people, progress)
                    await _wait(outcome, len(found.targets), progress)
                console.print(outcome_table(outcome, found.targets))
                await _compare(session, found, people, console)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _follow(tail: Tail, outcome: Outcome) -> None:
    async for records in tail.batches():
        for record in records:
            outcome.take(decode_batch_completion(record.value))


async def _upload(session: aiohttp.ClientSession, found: Running, people: Sequence[Person], progress: Progress) -> None:
    """Upload all people in one session; the last batch waits for the platforms."""
    task = progress.add_task("Users uploaded", total=len(people))
    session_id = int(time.time() * 1000)
    size = -(-len(people) // BATCHES)
    for sequence in range(1, BATCHES + 1):
        some = people[(sequence - 1) * size : sequence * size]
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("name", AUDIENCE)
        place = {
            "sessionId": session_id,
            "sequence": sequence,
            "totalBatches": BATCHES,
            "totalUsers": len(people),
        }
        form.add_field("batch", json.dumps(place))
        form.add_field("users", json.dumps([person.user for person in some]))
        query = {"sync": "true"} if sequence == BATCHES else {}
        async with session.post(f"{found.url}/audience", data=form, params=query) as response:
            if response.status not in (200, 504):  # the wait below goes on where a sync request's is over
                raise DemoFailedError(f"batch {sequence} was answered {response.status}: {await response.text()}")
        progress.advance(task, len(some))


async def _wait(outcome: Outcome, targets: int, progress: Progress) -> None:
    task = progress.add_task("Batches handled", total=BATCHES * targets)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while not outcome.is_complete(BATCHES, targets):
                progress.update(task, completed=min(len(outcome.latest), BATCHES * targets))
                await asyncio.sleep(0.1)
    progress.update(task, completed=BATCHES * targets)


async def _compare(session: aiohttp.ClientSession, found: Running, people: Sequence[Person], console: Console) -> None:
    """Compare what each platform holds with who it can use."""
    differing = []
    for target in found.targets:
        usable = {member for person in people if (member := person.members.get(target.provider))}
        held = await _members(session, found, target.provider)
        console.print(f"{target}: holds {len(held):,} members, {len(usable):,} users are usable")
        if held != usable:
            differing.append(f"{target} lacks {len(usable - held):,} and holds {len(held - usable):,} others")
    if differing:
        raise DemoFailedError("; ".join(differing))
    console.print("Every platform holds exactly the users it can use.")


async def _members(session: aiohttp.ClientSession, found: Running, provider: str) -> set[Member]:
    query = {"provider": provider, "audience": ON_PLATFORMS}
    async with session.get(f"http://{found.sandbox}/_sandbox/members", params=query) as response:
        body = await response.json()
    return {tuple(member) for member in body["members"]}


async def run_demo(options: Namespace, environment: Environment) -> None:
    """Run the demo, whatever is configured, and print what came of it."""
    del options, environment
    await demo(os.environ, Console())


COMMAND = Command(
    name="demo",
    text=(
        "Upload 25,000 made-up users and compare. Runs everything in a folder of its own against the sandbox, "
        "whatever is configured, and exits 0 only if every platform holds exactly the users it can use."
    ),
    run=run_demo,
)
