"""End a replay that runs on this machine."""

import asyncio
import os
import signal
import socket

from cli.replay.listing import Replays
from cli.replay.saved_replays import ReplayError, known, runner_of
from streams.client.errors import KafkaUnreachableError

POLL = 0.2


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
