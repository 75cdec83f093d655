"""The process that is ended: `audience upload` itself, which says besides what it sends and what was acknowledged."""

import sys
from typing import Unpack

from audience_client.command import run
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.batches import Accepted, BatchToSend
from audience_client.http.calls import Which
from audience_client.http.statuses import SessionStatus
from cli.main import main

INTERRUPTED = 130


class _Announcing(AsyncServerClient):
    """The client of the command. How many users are in the log is known once it was asked what stands there."""

    users = 0

    async def session(self, session_id: int | str, **which: Unpack[Which]) -> SessionStatus:
        """Ask how the runs of a session stand; say how many users the newest has."""
        status = await super().session(session_id, **which)
        self.users = status.runs[0].users
        _say("users", self.users)
        return status

    async def send_batch(self, batch: BatchToSend) -> Accepted:
        """Send a batch; say so before and after."""
        _say("sends", batch.sequence)
        accepted = await super().send_batch(batch)
        _say("acknowledged", batch.sequence)
        self.users += -(-batch.total_users // batch.total_batches)
        _say("users", self.users)
        return accepted


def _say(word: str, number: int) -> None:
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say("reads", 0)
    run.AsyncServerClient = _Announcing  # type: ignore[attr-defined] # the command shall use it
    main()
