"""A run: everything is started, a file is made and uploaded with interruptions, and what came of it is judged."""

import csv
import random
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

from audience_client.http.async_client import AsyncServerClient
from checks.chaos.sandbox_client import SandboxClient
from checks.files_killed.moments import make_moments
from checks.files_killed.tries import BATCHES, Observed, Tries
from checks.files_killed.verdict import faults_of_log, faults_of_members, faults_of_status, faults_of_tries
from cli.demo.environment import demo_environment
from cli.demo.made_up_people import Person, make_people
from cli.local_stack.running import Running, running
from cli.settings.environment import Environment
from schemas.avro.codec import decode_audience_batch
from streams.cluster.topics import TopicNames
from streams.read.tail import read_to_end

NAME = "Killed"
ON_PLATFORMS = "blotout_Killed"
WINDOW = 4.0
"""Seconds of the server's retry window, so that it can be waited for."""

READ_LIMIT = 120.0

SETTINGS: Mapping[str, str] = {
    "AUDIENCE_RETRY_WINDOW": str(WINDOW),
    "AUDIENCE_SANDBOX_LIMITS": "false",
    "AUDIENCE_SANDBOX_LATENCY": "0.005",
    "FACEBOOK_PACE": "off",
    "TIKTOK_PACE": "off",
    "KLAVIYO_PACE": "off",
}

COLUMNS = ("edgeTagId", "email", "phone", "firstName", "lastName", "country", "postalCode")
PURCHASE = ("currency", "profit")


def killed_environment(process: Mapping[str, str]) -> Environment:
    """Return an environment that nothing of the process reaches but where data may be."""
    values = {**demo_environment(process, "files-killed").values, **SETTINGS}
    return Environment(values, dict.fromkeys(values, "environment"))


async def run(seed: int, rows: int, moments: int, environment: Environment, say: Callable[[str], None]) -> list[str]:
    """Do it all; return what is wrong."""
    data = environment.data
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    write_file(data / "customers.csv", rows)
    chance = random.Random(seed)  # noqa: S311 -- to be repeated by its seed
    async with running(environment, data / "up.log") as found:
        tries = Tries(
            file=data / "customers.csv", rows=rows, url=found.url, name=NAME, folder=data, window=WINDOW, say=say
        )
        observed = await tries.run(make_moments(chance, rows, moments))
        faults = list(faults_of_tries(observed, moments))
        return [*faults, *[fault async for fault in _judged(found, observed, rows, tries)]]


def write_file(path: Path, rows: int) -> None:
    """Write made-up people as an export has them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *(f"purchase.{name}" for name in PURCHASE)])
        writer.writerows(map(_row, make_people(rows)))


def _row(person: Person) -> Sequence[object]:
    purchase = person.user.get("purchase")
    spent = purchase if isinstance(purchase, dict) else {}
    return [person.user.get(column, "") for column in COLUMNS] + [spent.get(name, "") for name in PURCHASE]


async def _judged(found: Running, observed: Observed, rows: int, tries: Tries) -> AsyncIterator[str]:
    """Yield what differs from what must be."""
    if observed.session_id is None:
        yield "the upload did not come to its end"
        return
    batches = -(-rows // -(-rows // BATCHES))
    records = await read_to_end(found.kafka, TopicNames().batches, READ_LIMIT)
    log = [decode_audience_batch(record.value) for record in records]
    async with AsyncServerClient(found.url) as client:
        status = await client.session(observed.session_id)
    for fault in (
        *faults_of_log(log, observed.session_id, batches, rows),
        *faults_of_status(status, batches, rows),
        *[fault async for fault in _of_platforms(found, rows)],
    ):
        yield fault
    if list(tries.states.iterdir()):
        yield "the state is still kept"
    said = (tries.folder / "uploader.log").read_text()
    if "Traceback" in said or "@example" in said:
        yield f"uploads said what they must not on their errors: {said[-500:]}"


async def _of_platforms(found: Running, rows: int) -> AsyncIterator[str]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READ_LIMIT)) as session:
        sandbox = SandboxClient(session, f"http://{found.sandbox}")
        for target in found.targets:
            usable = {member for person in make_people(rows) if (member := person.members.get(target.provider))}
            held = await sandbox.members(target.provider, ON_PLATFORMS)
            for fault in faults_of_members(target.provider, held, usable):
                yield fault
