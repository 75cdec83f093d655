"""Replays among the uploads of a run, each of which goes on until it is through."""

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checks.chaos import churn, small
from streams.processes.lifeline import Lifeline

REPLAYED = [
    f"{kind} {number}" for number in range(min(churn.AUDIENCES, small.AUDIENCES)) for kind in (churn.CHURN, small.SMALL)
]
"""Audiences where people come and go, and those of small records, in turn."""

BETWEEN = 4.0
"""Seconds between the end of a replay and the next one."""

MOST_TRIES = 60

LONGEST = 200.0
"""Seconds after which a replay's process counts as one that hangs: it says in its log where, and is gone on with.

Beside strays it may wait for the ledger as long again as there are faults: its receipts tell what there is to replay.
"""

SETTINGS: Mapping[str, str] = {"AUDIENCE_RETRY_ATTEMPTS": "8"}
"""Attempts as usual: a consumer has others made later, but what a replay has tried so often ends as failed."""

CODES = frozenset({0, 1})
"""Codes with which a replay may end by itself: it is through, or says in one sentence what it lacks."""

_ID = re.compile(r"--resume ([A-Za-z0-9-]+)")


@dataclass(slots=True, kw_only=True)
class Replays:
    """An operator who sends again what stands in the log, one audience after the other."""

    settings: Mapping[str, str]
    lifeline: Lifeline
    log: Path
    longest: float = LONGEST
    ends: Counter[str] = field(default_factory=Counter)
    """How often a process of a replay ended with which code."""
    faults: list[str] = field(default_factory=list)

    async def run(self, is_over: asyncio.Event) -> None:
        """Replay until told to end; the last one is gone on with until it is through."""
        number = 0
        while not is_over.is_set():
            await asyncio.sleep(BETWEEN)
            await self._replay(REPLAYED[number % len(REPLAYED)])
            number += 1

    async def _replay(self, audience: str) -> None:
        """Begin a replay, and go on with it where it ended early: what it has sent may come last otherwise."""
        more = ["--audience", audience, "--rate", "1", "--yes"]
        for _ in range(MOST_TRIES):
            code, text = await self._run(more)
            self.ends[f"exit {code}"] += 1
            if code not in CODES:
                self.faults.append(f"a replay of {audience} ended with {code}")
            found = _ID.search(text)
            if code == 0 or "is complete" in text or "nothing to send" in text:
                return
            if found is not None:
                more = ["--resume", found[1], "--yes"]
            await asyncio.sleep(1)
        self.faults.append(f"a replay of {audience} did not come to its end in {MOST_TRIES} tries")

    async def _run(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Run one process, which ends with ours."""
        begun_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "cli.entry", "replay", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.settings, **SETTINGS, **self.lifeline.environ(), "PYTHONFAULTHANDLER": "1"},
                pass_fds=[self.lifeline.fd],
            )
            try:
                async with asyncio.timeout(self.longest):
                    code = await process.wait()
            except TimeoutError:
                self.faults.append(f"a replay hung: {' '.join(arguments)}")
                process.send_signal(signal.SIGABRT)
                code = await process.wait()
        return code, self.log.read_bytes()[begun_at:].decode(errors="replace")
