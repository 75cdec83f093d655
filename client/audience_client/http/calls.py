"""What can be asked of a server: each call is a request and what reads its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import msgspec

from audience_client.errors import InputError
from audience_client.http.batches import Accepted, AudienceType, BatchToSend, Mode
from audience_client.http.errors import NotKnownError
from audience_client.http.exchange import Answer, Request
from audience_client.http.reading import accepted, reader
from audience_client.http.statuses import AccountPage, BatchStatus, RejectedPage, SessionPage, SessionStatus

T = TypeVar("T")

SESSIONS_A_PAGE = 100
REJECTED_A_PAGE = 10_000
"""The most that the server gives."""

_read_batch = reader(BatchStatus)
_read_session = reader(SessionStatus)
_read_rejected = reader(RejectedPage)
_read_sessions = reader(SessionPage)
_read_accounts = reader(AccountPage)


class Which(TypedDict, total=False):
    """An id's audience: where several audiences have sessions of one id, these choose."""

    name: str
    type: AudienceType
    mode: Mode


class Filters(TypedDict, total=False):
    """Which sessions are listed; `since` is a time or a span such as `2h`."""

    name: str
    type: AudienceType
    state: str
    since: datetime | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and what reads an answer to it that counts: it returns the value or raises AudienceError."""

    request: Request
    read: Callable[[Answer], T]


def send_batch(batch: BatchToSend) -> Call[Accepted]:
    """Upload a batch."""
    query = {"detail": "true", "mode": batch.mode}
    if batch.resume:
        query["resume"] = "true"
    if batch.disable_prefix:
        query["disablePrefix"] = "true"
    if batch.channels:
        query["channels"] = ",".join(_checked("channels", channel) for channel in batch.channels)
    parts = {
        "name": _checked("name", batch.name).encode(),
        "type": batch.type.encode(),
        "batch": _batch_json(batch),
        "users": batch.users,
    }
    return Call(request=Request(method="POST", path="/audience", query=query, parts=parts), read=accepted)


def _batch_json(batch: BatchToSend) -> bytes:
    pull_date = {} if batch.pull_date is None else {"pullDate": batch.pull_date.isoformat()}
    return msgspec.json.encode(
        {
            "sessionId": batch.session_id,
            "sequence": batch.sequence,
            "totalBatches": batch.total_batches,
            "totalUsers": batch.total_users,
            **pull_date,
        }
    )


def batch(batch_id: str) -> Call[BatchStatus]:
    """Ask how a batch stands."""
    return _get(f"/audience/batches/{_quoted('batch_id', batch_id)}", _read_batch)


def session(session_id: int | str, **which: Unpack[Which]) -> Call[SessionStatus]:
    """Ask how the runs of a session stand."""
    asked = _get(_session_path(session_id), _read_session, _trimmed(which))

    def read(answer: Answer) -> SessionStatus:
        return _chosen(asked.read(answer), which)

    return Call(request=asked.request, read=read)


def session_if_known(session_id: int | str, **which: Unpack[Which]) -> Call[SessionStatus | NotKnownError]:
    """Ask the same of a session that one of several servers may not know yet."""
    asked = session(session_id, **which)

    def read(answer: Answer) -> SessionStatus | NotKnownError:
        try:
            return asked.read(answer)
        except NotKnownError as error:
            return error

    return Call(request=asked.request, read=read)


def _chosen(status: SessionStatus, which: Which) -> SessionStatus:
    """Return the runs of one audience, as a server that does not know how to choose tells all. Raises NotKnownError."""
    wanted = _trimmed(which).items()
    runs = [run for run in status.runs if all(getattr(run, name) == value for name, value in wanted)]
    if not runs:
        raise NotKnownError(404, "the session has no run of this audience")
    return SessionStatus(session_id=status.session_id, runs=runs)


def _trimmed(named: Which | Filters) -> dict[str, str]:
    """Return texts without the line ends around them, as the server keeps names."""
    return {name: text.strip("\r\n") for name, text in _texts(named).items()}


def rejected_page(session_id: int | str, cursor: str | None, **which: Unpack[Which]) -> Call[RejectedPage]:
    """Ask for the next page of whom accounts rejected in the newest run of a session."""
    query = {"limit": str(REJECTED_A_PAGE), **_trimmed(which), **_next(cursor)}
    return _get(f"{_session_path(session_id)}/rejected", _read_rejected, query)


def sessions_page(cursor: str | None, **filters: Unpack[Filters]) -> Call[SessionPage]:
    """Ask for the next page of the newest sessions."""
    query = {"limit": str(SESSIONS_A_PAGE), **_trimmed(filters), **_next(cursor)}
    return _get("/audience/sessions", _read_sessions, query)


def accounts() -> Call[AccountPage]:
    """Ask how the accounts stand."""
    return _get("/audience/accounts", _read_accounts)


def _get(path: str, read: Callable[[Answer], T], query: Mapping[str, str] | None = None) -> Call[T]:
    return Call(request=Request(path=path, query=query or {}), read=read)


def _session_path(session_id: int | str) -> str:
    return f"/audience/sessions/{_quoted('session_id', str(session_id))}"


def _quoted(what: str, text: str) -> str:
    return quote(_checked(what, text), safe="")


def _next(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"cursor": cursor}


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _checked(name, _text(value)) for name, value in values.items()}


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _checked(what: str, text: str) -> str:
    """Return a text that UTF-8 has. Raises InputError, which does not repeat it."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{what}: it is not text in UTF-8")
    return text
