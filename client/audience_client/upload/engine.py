"""Sends what was prepared, each batch once, and goes on where an earlier try ended."""

import asyncio
import time
from collections.abc import Set
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import msgspec

from audience_client.http.async_client import AsyncServerClient
from audience_client.http.batches import BatchToSend
from audience_client.http.errors import RefusedError
from audience_client.upload.lanes import Lanes
from audience_client.upload.plan import Plan
from audience_client.upload.prepare import Prepared
from audience_client.upload.progress import OnProgress, Progress
from audience_client.upload.resuming import (
    check_unfinished,
    check_whole,
    forget_earlier,
    new_state,
    plan_of,
    resumable,
    standing,
)
from audience_client.upload.second_pass import Cut, cuts
from audience_client.upload.state import State, StateFolder, default_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """An upload of which every batch stands in the log."""

    session_id: int
    prepared: Prepared
    plan: Plan
    sent: int
    """Batches of this try."""

    stood: int
    """Batches that an earlier try had sent."""

    ignored: int
    """How often the server did not know a name in what this try sent."""

    knows_resume: bool
    """Whether the server knows that a batch may belong to a run however long ago that was; older versions do not."""

    state: State
    folder: StateFolder

    def forget(self) -> None:
        """Delete the kept state; call it when the outcome was shown, or is not wanted."""
        self.folder.delete(self.session_id)


async def upload(
    prepared: Prepared,
    *,
    client: AsyncServerClient,
    resume: bool | None = None,
    session: int | None = None,
    state_folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Uploaded:
    """Send all batches and return when each stands in the log; `Uploaded.forget()` is the caller's, in the end.

    `resume=None`: raises UnfinishedUploadError where an earlier try is not finished. True: goes on with that one
    (`session` says which where there are several; InputError where there is none, or file, mapping, options or reader
    have changed). False: begins anew, and forgets earlier tries.

    1. The state is on the disk before the first batch goes out.
    2. A try that goes on asks the server which sequences stand, and sends the others.
    3. A server that does not know how to resume is asked whether all stands in one run.
    4. The state says that all is in the log, once it is.

    Cancelled (Ctrl-C under `asyncio.run`), it lets what is under way end for some seconds, and raises CancelledError;
    the state is kept, so `resume=True` goes on. Raises what the client raises for a final refusal; the same holds then.
    Where nothing can be in the log, as nothing was sent or all of it was refused, no state is kept.
    """
    folder = StateFolder(state_folder or default_folder())
    state = _state(prepared, client.url, folder, resume, session)
    stood = await _stood(client, state) if resume else frozenset()
    sending = _Sending(prepared, client, state, stood, on_progress)
    try:
        await sending.run()
    except BaseException:
        if not resume and sending.is_all_refused:
            folder.delete(state.session_id)
        raise
    if not sending.knows_resume:
        await check_whole(client, prepared.table.name, state)
    state = msgspec.structs.replace(state, is_in_log=True)
    folder.save(state)
    return Uploaded(
        session_id=state.session_id,
        prepared=prepared,
        plan=sending.plan,
        sent=sending.sent,
        stood=len(stood),
        ignored=sending.ignored,
        knows_resume=sending.knows_resume,
        state=state,
        folder=folder,
    )


def _state(prepared: Prepared, server: str, folder: StateFolder, resume: bool | None, session: int | None) -> State:
    """Return the state to go by, kept on the disk."""
    if resume:
        return resumable(prepared, server, folder, session)
    if resume is None:
        check_unfinished(prepared, server, folder)
    forget_earlier(prepared, server, folder)
    state = new_state(prepared, server)
    folder.save(state)
    return state


async def _stood(client: AsyncServerClient, state: State) -> Set[int]:
    """Return the sequences that are not to be sent: all, once all were in the log, whatever has left it since."""
    return frozenset(plan_of(state).sequences) if state.is_in_log else await standing(client, state)


@dataclass(slots=True)
class _Sending:
    """One try: what it sends, and how far it is."""

    prepared: Prepared
    client: AsyncServerClient
    state: State
    stood: Set[int]
    on_progress: OnProgress | None
    plan: Plan = field(init=False)
    sent: int = 0
    ignored: int = 0
    knows_resume: bool = True
    _users: int = 0
    _tried: int = 0
    _refused: int = 0
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.plan = plan_of(self.state)

    async def run(self) -> None:
        """Send what does not stand yet; a cancellation lets what is under way end."""
        self._report()
        if len(self.stood) == self.plan.total_batches:
            return
        lanes = Lanes(cuts(self.prepared, self.plan, self.stood), self._send, self.prepared.options.lanes)
        running = asyncio.create_task(lanes.run())
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            lanes.stop()
            await _ended(running)
            raise

    async def _send(self, cut: Cut) -> None:
        self._tried += 1
        try:
            accepted = await self.client.send_batch(self._to_send(cut))
        except RefusedError as error:
            self._refused += error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            raise
        self.sent += 1
        self.ignored += accepted.ignored
        self.knows_resume = self.knows_resume and accepted.knows_resume
        self._users += len(cut.batch.rows)
        self._report()

    @property
    def is_all_refused(self) -> bool:
        """Whether nothing of this try can be in the log, as with a wrong token, or where it was stopped before."""
        return self._tried == self._refused

    def _to_send(self, cut: Cut) -> BatchToSend:
        return BatchToSend(
            name=self.state.name,
            type=self.state.type,
            mode=self.state.mode,
            channels=self.state.channels,
            disable_prefix=self.state.disable_prefix,
            pull_date=self.state.pull_date,
            session_id=self.state.session_id,
            sequence=cut.sequence,
            total_batches=self.plan.total_batches,
            total_users=self.plan.total_users,
            users=cut.batch.users,
            resume=True,
        )

    def _report(self) -> None:
        if self.on_progress is None:
            return
        before = sum(map(self.plan.users_of, self.stood))
        self.on_progress(
            Progress(
                users=before + self._users,
                total_users=self.plan.total_users,
                batches=len(self.stood) + self.sent,
                total_batches=self.plan.total_batches,
                stood=before,
                seconds=time.monotonic() - self._begun,
            )
        )


async def _ended(running: "asyncio.Task[None]") -> None:
    """Return when an upload that was told to stop has ended; a second cancellation ends it at once."""
    try:
        await asyncio.wait({running})
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
