"""`audience replay list | stop`: which replays are known here and in the cluster, and ending one that runs."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from cli.printing.tables import moment_text, print_lines, print_rows
from cli.replay.saved_replays import Replay, ReplayError, Runner, known, runner_of
from cli.replay.selection import Choice
from consumer.replay.replayer import replay_of
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.groups import group_ids

COLUMNS = ("replay", "state", "begun", "accounts", "what")

POLL = 0.2


class ListedReplay(Struct, frozen=True, kw_only=True, rename="camel"):
    """A replay as it is listed; what was asked for is known where it was begun only."""

    id: str
    state: str
    """`running`, `interrupted` or `complete`; `elsewhere`: begun on another machine or with another data folder."""
    created_at: str | None
    targets: list[str]
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Where replays are known: this machine's data folder, and the groups of the cluster."""

    data: Path
    kafka: KafkaSettings | None
    prefix: str

    async def listed(self) -> list[ListedReplay]:
        """Return all replays, the newest first, then those of elsewhere. Raises KafkaUnreachableError."""
        saved = sorted(known(self.data), key=lambda one: one.created_at, reverse=True)
        mine = [_listed(one, runner_of(self.data, one.id)) for one in saved]
        ids = {one.id for one in mine}
        return mine + [_foreign(*one) for one in (await self.in_cluster()).items() if one[0] not in ids]

    async def in_cluster(self) -> Mapping[str, list[str]]:
        """Return the accounts of each replay that has a group, which goes when all is sent. It never has a member."""
        found: dict[str, list[str]] = {}
        for group in sorted(await group_ids(self.kafka)) if self.kafka else ():
            if part := replay_of(group, self.prefix):
                found.setdefault(part[1], []).append(str(part[0]))
        return found


def _listed(found: Replay, runner: Runner | None) -> ListedReplay:
    return ListedReplay(
        id=found.id,
        state="running" if runner else "complete" if found.is_done else "interrupted",
        created_at=moment_text(found.created_at),
        targets=found.targets,
        what=" ".join(words_of(found.choice)),
    )


def _foreign(replay_id: str, targets: list[str]) -> ListedReplay:
    return ListedReplay(id=replay_id, state="elsewhere", created_at=None, targets=targets, what="")


def words_of(choice: Choice) -> Iterator[str]:
    """Yield the options by which somebody asked for this."""
    texts = (
        ("session", choice.session_id),
        ("audience", choice.name),
        ("type", choice.type),
        ("mode", choice.mode),
        ("batch", choice.batch_id),
    )
    times = (("since", moment_text(choice.since)), ("until", moment_text(choice.until)))
    only = (("only", None if choice.only == "all" else choice.only), *(("reason", word) for word in choice.reasons))
    yield from (f"--{name} {value}" for name, value in (*texts, *times, *only) if value is not None)


async def list_replays(replays: Replays) -> None:
    """Print the replays that are known. Raises KafkaUnreachableError."""
    found = await replays.listed()
    rows = [(one.id, one.state, one.created_at or "-", ", ".join(one.targets), one.what or "-") for one in found]
    if rows:
        print_rows(COLUMNS, rows, Console())
    else:
        print_lines(["No replay is known."], sys.stderr)
    if any(one.state == "interrupted" for one in found):
        print_lines(["What is interrupted goes on by: audience replay --resume REPLAY"], sys.stderr)


async def stop_replay(replays: Replays, replay_id: str, limit: float) -> None:
    """End a replay of this machine in order, and return when it has ended. Raises ReplayError, which says how else."""
    runner = runner_of(replays.data, replay_id)
    if runner is None:
        raise ReplayError(await _not_here(replays, replay_id))
    if runner.host != socket.gethostname():
        raise ReplayError(f"{replay_id} runs on {runner.host}: there, `audience replay stop {replay_id}` ends it")
    try:
        os.kill(runner.pid, signal.SIGTERM)
    except OSError as error:
        raise ReplayError(f"process {runner.pid}, which runs {replay_id}, can't be told: {error.strerror}") from None
    try:
        async with asyncio.timeout(limit):
            while runner_of(replays.data, replay_id) is not None:
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise ReplayError(
            f"{replay_id} has been told to end and still finishes what it began; see `replay list`"
        ) from None
    print_lines([f"{replay_id} has ended. It goes on by: audience replay --resume {replay_id}"])


async def _not_here(replays: Replays, replay_id: str) -> str:
    """Return why nothing can be stopped, and where it can."""
    try:
        is_elsewhere = replay_id in await replays.in_cluster()
    except KafkaUnreachableError:
        is_elsewhere = False
    if is_elsewhere and replay_id not in {one.id for one in known(replays.data)}:
        return (
            f"{replay_id} was begun on another machine or with another AUDIENCE_DATA: there, the same command ends it"
        )
    return f"{replay_id} does not run; `audience replay list` shows those that are known"
