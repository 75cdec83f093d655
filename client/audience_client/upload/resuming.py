"""Which earlier try of an upload is meant, whether it can go on, and what of it stands in the log."""

import asyncio
import time
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta

from audience_client.errors import AudienceError, InputError
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.errors import NotKnownError
from audience_client.http.statuses import RunStatus
from audience_client.upload.plan import Plan
from audience_client.upload.prepare import Prepared
from audience_client.upload.state import State, StateFolder, default_folder, new_session_id
from audience_client.users.reader_version import READER_VERSION

KNOWN_FOR = timedelta(days=30)
"""For how long a server can say what became of an upload: its log keeps no more, unless it is set otherwise."""


ASKED_EVERY = 0.5
SEEN_WITHIN = 20.0
"""Seconds in which a server may learn what stands in its own log."""


class SplitUploadError(AudienceError):
    """All batches are in the log, but an older server took one that came again for a new upload: no run is whole."""

    def __init__(self, file: str, state: State, found: int) -> None:
        super().__init__(
            f"{file}: the server is older than this program and took a batch that came again later than its "
            f"AUDIENCE_RETRY_WINDOW for a new upload: {found:,} of {state.total_batches:,} batches of "
            f"session {state.session_id} stand in its newest run. Nobody is missing in the log, but the session is not "
            "whole; update the server, and begin anew by --new"
        )


class UnfinishedUploadError(InputError):
    """The file's upload to that audience was begun and is not finished: resume it, or begin a new one."""

    def __init__(self, file: str, state: State, changed: Sequence[str]) -> None:
        at = f"{state.begun:%Y-%m-%d %H:%M} UTC"
        since = f"; {_listed(changed)} since, so it can't go on" if changed else ""
        ways = "begin anew by --new" if changed else "go on with it by --resume, or begin anew by --new"
        super().__init__(f"{file}: its upload of {at} (session {state.session_id}) is not finished{since}; {ways}")
        self.session_id = state.session_id
        self.begun = state.begun
        self.can_resume = not changed


def new_state(prepared: Prepared, server: str) -> State:
    """Return the state of an upload that is about to begin."""
    return _state(prepared, server, new_session_id(), datetime.now(UTC), prepared.plan)


def check_unfinished(prepared: Prepared, server: str, folder: StateFolder) -> None:
    """Raise UnfinishedUploadError where an earlier try of this file to this audience is not finished."""
    for state in _earlier(prepared, server, folder):
        if not state.is_in_log:
            raise UnfinishedUploadError(prepared.table.name, state, changes(state, prepared, server))


def forget_earlier(prepared: Prepared, server: str, folder: StateFolder) -> None:
    """Delete what is kept of earlier tries of this file to this audience, and of uploads that nobody can ask of."""
    for state in _earlier(prepared, server, folder):
        folder.delete(state.session_id)
    for state in folder.all():
        if state.is_in_log and datetime.now(UTC) - state.begun > KNOWN_FOR:
            folder.delete(state.session_id)


def is_kept(prepared: Prepared, server: str, folder: StateFolder | None = None) -> bool:
    """Tell whether an earlier try of this file to this audience is known, finished or not."""
    return bool(_earlier(prepared, server, folder or StateFolder(default_folder())))


def resumable(prepared: Prepared, server: str, folder: StateFolder, session: int | None) -> State:
    """Return the state that is to go on. Raises InputError where there is none, or something has changed since."""
    state = folder.load(session) if session is not None else _only(prepared, server, folder)
    if state is None:
        what = f"session {session}" if session is not None else f"an upload of {prepared.table.name} to that audience"
        raise InputError(f"--resume: nothing is kept of {what} in {folder.path}; it is finished, or was never begun")
    changed = changes(state, prepared, server)
    if changed:
        raise InputError(
            f"{prepared.table.name}: {_listed(changed)} since the upload of session {state.session_id} was begun; "
            "make that as it was, or begin anew by --new"
        )
    return state


def changes(state: State, prepared: Prepared, server: str) -> list[str]:
    """Name what is not as it was when the upload was begun; nothing: it can go on."""
    has_size = prepared.options.batch_size in (None, state.batch_size)
    plan = plan_of(state) if has_size else prepared.plan
    now = _state(prepared, server, state.session_id, state.begun, plan)
    found = [what for what, member in _NAMED.items() if getattr(now, member) != getattr(state, member)]
    is_read_alike = state.reader == READER_VERSION and state.total_users == prepared.plan.total_users
    return found if found or is_read_alike else ["this program's way of reading files"]


_NAMED: Mapping[str, str] = {
    "the file": "content",
    "the server (--url)": "server",
    "--name": "name",
    "--type": "type",
    "--mode": "mode",
    "--channels": "channels",
    "--disable-prefix": "disable_prefix",
    "--pull-date": "pull_date",
    "--country": "country",
    "--limit": "limit",
    "--batch-size": "batch_size",
    "--encoding": "encoding",
    "--separator": "separator",
    "--sheet": "sheet",
    "--only-consented": "only_consented",
    "what tells of consent": "consents",
    "the mapping": "fields",
}
"""What messages call the members of a state."""


def plan_of(state: State) -> Plan:
    """Return how an upload was cut when it was begun."""
    return Plan(batch_size=state.batch_size, total_batches=state.total_batches, total_users=state.total_users)


async def standing(client: AsyncServerClient, state: State) -> Set[int]:
    """Return the sequences that stand in the log as a whole. Raises InputError where those are of somebody else."""
    try:
        status = await client.session(state.session_id, name=state.name, type=state.type, mode=state.mode)
    except NotKnownError:
        return frozenset()
    runs = [run for run in status.runs if (run.name, run.type, run.mode) == (state.name, state.type, state.mode)]
    return _standing(runs[0], state) if runs else frozenset()


async def check_whole(client: AsyncServerClient, file: str, state: State) -> None:
    """Raise SplitUploadError where the newest run of an upload that is through does not hold all of it."""
    wanted = set(plan_of(state).sequences)
    until = time.monotonic() + SEEN_WITHIN
    while (found := await standing(client, state)) != wanted:
        if time.monotonic() >= until:
            raise SplitUploadError(file, state, len(found))
        await asyncio.sleep(ASKED_EVERY)


def _standing(run: RunStatus, state: State) -> Set[int]:
    plan = plan_of(state)
    found = set()
    for batch in run.batches:
        if batch.mark == "contradictory" or batch.state == "incomplete":
            continue
        if not 1 <= batch.sequence <= plan.total_batches or batch.users != plan.users_of(batch.sequence):
            raise InputError(
                f"--resume: the server's batch {batch.sequence} of session {state.session_id} is another one than this "
                "file's; somebody else uses that session, so begin anew by --new"
            )
        found.add(batch.sequence)
    return found


def _earlier(prepared: Prepared, server: str, folder: StateFolder) -> list[State]:
    """Return the states of this file, by its content or path, to this audience; the newest first."""
    options = prepared.options
    return [
        state
        for state in folder.all()
        if (state.server, state.name, state.type, state.mode)
        == (server, options.name.strip("\r\n"), options.type, options.mode)
        and (state.content == prepared.content or (state.path and state.path == prepared.path))
    ]


def _only(prepared: Prepared, server: str, folder: StateFolder) -> State | None:
    """Return the one state that may be meant. Raises InputError where several may be."""
    found = _earlier(prepared, server, folder)
    unchanged = [state for state in found if not changes(state, prepared, server)] or found
    if len(unchanged) > 1:
        sessions = ", ".join(str(state.session_id) for state in unchanged)
        raise InputError(f"--resume: several uploads may be meant; say which session: {sessions}")
    return unchanged[0] if unchanged else None


def _state(prepared: Prepared, server: str, session_id: int, begun: datetime, plan: Plan) -> State:
    options, read = prepared.options, prepared.read
    return State(
        session_id=session_id,
        begun=begun,
        server=server,
        name=options.name.strip("\r\n"),
        type=options.type,
        mode=options.mode,
        channels=options.channels,
        disable_prefix=options.disable_prefix,
        pull_date=options.pull_date,
        country=options.country,
        limit=options.limit,
        encoding=read.encoding,
        separator=read.separator,
        sheet=read.sheet,
        fields={field: tuple(columns) for field, columns in prepared.mapping.fields.items()},
        only_consented=prepared.mapping.only_consented,
        consents=prepared.mapping.consents,
        content=prepared.content,
        path=prepared.path,
        reader=READER_VERSION,
        batch_size=plan.batch_size,
        total_batches=plan.total_batches,
        total_users=plan.total_users,
    )


def _listed(changed: Sequence[str]) -> str:
    *others, last = changed
    return f"{', '.join(others)} and {last} have changed" if others else f"{last} has changed"
