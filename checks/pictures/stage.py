"""What runs, and what is done to it by others than the reader of the pages: uploads, commands, faults of platforms."""

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp


class NotAsItShouldBeError(Exception):
    """What a page or a command says is not what it should."""


def ensure(is_so: bool, wrong: str) -> None:
    """Raise NotAsItShouldBeError, unless something is so."""
    if not is_so:
        raise NotAsItShouldBeError(wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where an upload has its place: in which session of how many batches and users."""

    session_id: int
    sequence: int
    total_batches: int
    total_users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The product, and who uploads to it."""

    url: str
    sandbox_url: str
    folder: Path
    environment: Mapping[str, str]
    session: aiohttp.ClientSession

    async def upload(self, name: str, users: Sequence[Mapping[str, object]], batch: Batch, mode: str = "add") -> None:
        """Send a batch over HTTP."""
        place = {
            "sessionId": batch.session_id,
            "sequence": batch.sequence,
            "totalBatches": batch.total_batches,
            "totalUsers": batch.total_users,
        }
        form = aiohttp.FormData(default_to_multipart=True)
        for part, text in {"name": name, "batch": json.dumps(place), "users": json.dumps(users)}.items():
            form.add_field(part, text)
        async with self.session.post(f"{self.url}/audience", data=form, params={"mode": mode}) as response:
            ensure(response.status < 300, await response.text())

    async def command(self, *arguments: str) -> None:
        """Run a command of ours to its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.entry", *arguments, env=dict(self.environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        ensure(not process.returncode, f"audience {arguments[0]} ended with {process.returncode}: {said.decode()}")

    async def fail(self, **fault: object) -> None:
        """Make a platform fail."""
        async with self.session.post(f"{self.sandbox_url}/_sandbox/faults", json=fault) as response:
            response.raise_for_status()

    async def mend(self) -> None:
        """Let every platform work again."""
        async with self.session.delete(f"{self.sandbox_url}/_sandbox/faults") as response:
            response.raise_for_status()

    async def get(self, path: str) -> Any:
        """Ask the API."""
        async with self.session.get(f"{self.url}{path}") as response:
            response.raise_for_status()
            return await response.json()


def people(count: int, start: int = 0) -> list[dict[str, object]]:
    """Return made-up people whom every platform can use."""
    return [
        {
            "email": f"person{number}@example.com",
            "phone": f"+1415555{number % 10_000:04}",
            "edgeTagId": f"edge-{number}",
        }
        for number in range(start, start + count)
    ]


def with_mistakes(users: list[dict[str, object]], wrong: Sequence[int]) -> list[dict[str, object]]:
    """Return users of whom some have no more than an address that is none."""
    return [{"email": "ada at example.com"} if at in wrong else user for at, user in enumerate(users)]


def write_file(path: Path, users: Sequence[Mapping[str, object]]) -> None:
    """Write users as a shop exports them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["E-Mail", "Phone"])
        writer.writerows([user.get("email", ""), user.get("phone", "")] for user in users)
