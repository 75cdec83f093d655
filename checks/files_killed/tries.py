"""The tries of one upload: each is a process that is ended at its moment, and the last one comes to its end."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audience_client.upload.outcome import DONE
from checks.files_killed.moments import FIRST_PASS, Moment
from checks.files_killed.uploader import INTERRUPTED

BATCHES = 200
"""Batches of an upload, so that moments fall between and within many."""

WAIT = 300.0
"""Seconds that platforms may take at the end."""


@dataclass(slots=True)
class Observed:
    """What the tries said."""

    sends: list[Counter[int]] = field(default_factory=list)
    """Sequences that each try sent."""
    acknowledged: list[Counter[int]] = field(default_factory=list)
    session_id: int | None = None
    is_success: bool = False
    used: int = 0
    """Moments that came before the upload was through."""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """An upload of a file to a server, which takes a sequence again for so many seconds."""

    file: Path
    rows: int
    url: str
    name: str
    folder: Path
    window: float
    say: Callable[[str], None]

    async def run(self, moments: Sequence[Moment]) -> Observed:
        """End the upload at each moment and resume it, and let the last try come to its end."""
        observed = Observed()
        for moment in moments:
            await self._try(observed, moment)
            if moment.is_late:
                self.say(f"  waits {self.window + 1:.0f} s until the retry window is over")
                await asyncio.sleep(self.window + 1)
        if observed.session_id is None:
            await self._try(observed, None)
        return observed

    async def _try(self, observed: Observed, moment: Moment | None) -> None:
        if observed.session_id is not None:
            return
        observed.sends.append(Counter())
        observed.acknowledged.append(Counter())
        process = await self._start()
        try:
            await _follow(process, observed, moment)
        finally:
            if process.returncode is None and process.stdout is not None and not process.stdout.at_eof():
                process.kill()
        self._judge(observed, moment, await process.wait())

    async def _start(self) -> Process:
        resume = ["--resume"] if any(self.states.glob("*.json")) else []
        size = str(-(-self.rows // BATCHES))
        with (self.folder / "uploader.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "checks.files_killed.uploader", "upload", str(self.file)),
                *("--url", self.url, "--name", self.name, "--batch-size", size),
                *("--wait", "--timeout", str(WAIT), "--json", *resume),
                env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state"), "AUDIENCE_ENV_FILE": ""},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
            )

    def _judge(self, observed: Observed, moment: Moment | None, code: int) -> None:
        how = "to its end" if moment is None else "kill -9" if moment.is_kill else "Ctrl-C"
        sent, acknowledged = observed.sends[-1].total(), observed.acknowledged[-1].total()
        self.say(f"try {len(observed.sends)}, {how}: sent {sent}, acknowledged {acknowledged}, exit {code}")
        if moment is not None and observed.session_id is None:
            observed.used += 1
            wanted = {-moment.signal} if moment.is_kill else {INTERRUPTED, -moment.signal}
            if code not in wanted:
                observed.faults.append(f"try {len(observed.sends)} ({how}) ended with {code}")
        elif code:
            observed.faults.append(f"try {len(observed.sends)} ended with {code}")

    @property
    def states(self) -> Path:
        """Where the command keeps what it needs to go on."""
        return self.folder / "state" / "audience-client" / "uploads"


async def _follow(process: Process, observed: Observed, moment: Moment | None) -> None:
    """Take what a try says, and end it at its moment."""
    assert process.stdout is not None  # noqa: S101 -- it is a pipe
    async with asyncio.TaskGroup() as tasks:
        is_reached = moment is None
        async for line in process.stdout:
            reached = _take(observed, line)
            if moment is not None and not is_reached and reached is not None and reached >= moment.users:
                is_reached = True
                tasks.create_task(_end(process, moment))


async def _end(process: Process, moment: Moment) -> None:
    await asyncio.sleep(moment.delay)
    if process.returncode is None:
        process.send_signal(moment.signal)


def _take(observed: Observed, line: bytes) -> int | None:
    """Take a line; return how many users stand in the log where it says that."""
    if line.startswith(b"{"):
        report = json.loads(line)
        observed.session_id, observed.is_success = report["sessionId"], report["state"] in DONE and report["isOver"]
        return None
    word, _, number = line.decode().strip().partition(" ")
    if word == "reads":
        return FIRST_PASS
    if word == "users":
        return int(number)
    if word == "sends":
        observed.sends[-1][int(number)] += 1
    elif word == "acknowledged":
        observed.acknowledged[-1][int(number)] += 1
    return None
