"""The clients that programs use: all that the server answers, and uploads of files and rows in one call."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack, cast

from audience_client.columns.mapping import MappingOptions
from audience_client.files.options import ReadOptions
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.batches import AudienceType, Mode
from audience_client.http.client import ServerClient
from audience_client.http.retry import STANDARD, OnWait, Retry
from audience_client.upload.engine import upload
from audience_client.upload.options import UploadOptions
from audience_client.upload.outcome import Outcome, wait_for_outcome
from audience_client.upload.prepare import Prepared, Source, prepare
from audience_client.upload.progress import OnProgress
from audience_client.upload.rejected_rows import RejectedRows, write_rejected

T = TypeVar("T")

_OPTIONS = ("type", "channels", "disable_prefix", "pull_date", "country", "limit", "batch_size", "lanes")
_READING = ("read", "mapping")
_SENDING = ("resume", "session", "state_folder", "on_progress")


class How(TypedDict, total=False):
    """How an upload is done; `UploadOptions`, `prepare` and `upload` say what each is, and what holds without it.

    With `wait` it returns when each platform is through, or after `wait_timeout` seconds. `rejected` is where the rows
    are written that a platform rejected; that waits, too.
    """

    type: AudienceType
    channels: tuple[str, ...]
    disable_prefix: bool
    pull_date: date | None
    country: str | None
    limit: int | None
    batch_size: int | None
    lanes: int
    read: ReadOptions | None
    mapping: MappingOptions | None
    resume: bool | None
    session: int | None
    state_folder: Path | None
    on_progress: OnProgress | None
    wait: bool
    wait_timeout: float | None
    rejected: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An upload that is in the log; `outcome` and `rejected` are None where nobody asked for them."""

    session_id: int
    users: int
    not_consented: int
    closing_rows: tuple[int, ...]
    """Numbers of the last rows, where they are totals or notes and so were left out."""

    batches: int
    outcome: Outcome | None = None
    rejected: RejectedRows | None = None


class AsyncClient(AsyncServerClient):
    """Talks to one Audience API, and uploads files and rows to it."""

    async def upload(self, source: Source, name: str, **how: Unpack[How]) -> Report:
        """Add the users of a file, or of rows, to an audience, each batch once; see `upload.engine` on what resumes.

        Raises an AudienceError; nothing was sent where it is an InputError of reading.
        """
        return await self._all(source, name, "add", how)

    async def remove(self, source: Source, name: str, **how: Unpack[How]) -> Report:
        """Take the users of a file, or of rows, out of an audience; otherwise as `upload`."""
        return await self._all(source, name, "remove", how)

    async def _all(self, source: Source, name: str, mode: Mode, how: How) -> Report:
        with await asyncio.to_thread(_prepared, source, name, mode, how) as prepared:
            return await _report(prepared, self, how)


class Client(ServerClient):
    """Talks to one Audience API, and uploads files and rows to it; for programs without asyncio."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry = STANDARD,
        on_wait: OnWait | None = None,
    ) -> None:
        super().__init__(url, token=token, timeout=timeout, retry=retry, on_wait=on_wait)
        self._beside: Callable[[], AsyncClient] = lambda: AsyncClient(
            url, token=token, timeout=timeout, retry=retry, on_wait=on_wait
        )

    def upload(self, source: Source, name: str, **how: Unpack[How]) -> Report:
        """Add the users of a file, or of rows, to an audience, each batch once; see `upload.engine` on what resumes.

        Raises an AudienceError; nothing was sent where it is an InputError of reading.
        """
        return self._all(source, name, "add", how)

    def remove(self, source: Source, name: str, **how: Unpack[How]) -> Report:
        """Take the users of a file, or of rows, out of an audience; otherwise as `upload`."""
        return self._all(source, name, "remove", how)

    def _all(self, source: Source, name: str, mode: Mode, how: How) -> Report:
        with _prepared(source, name, mode, how) as prepared:
            return _run(lambda: self._report(prepared, how))

    async def _report(self, prepared: Prepared, how: How) -> Report:
        async with self._beside() as beside:
            return await _report(prepared, beside, how)


def _prepared(source: Source, name: str, mode: Mode, how: How) -> Prepared:
    options = UploadOptions(name=name, mode=mode, **_only(how, _OPTIONS))
    return prepare(source, options, **_only(how, _READING))


async def _report(prepared: Prepared, client: AsyncClient, how: How) -> Report:
    """Send, wait and write as it was asked; the state is forgotten when all of that is done."""
    uploaded = await upload(prepared, client=client, **_only(how, _SENDING))
    path, outcome, rejected = how.get("rejected"), None, None
    if how.get("wait") or path is not None:
        outcome = await wait_for_outcome(uploaded, client, timeout=how.get("wait_timeout"))
    if path is not None:
        rejected = await write_rejected(uploaded, client, path)
    uploaded.forget()
    return Report(
        session_id=uploaded.session_id,
        users=uploaded.plan.total_users,
        not_consented=prepared.counted.not_consented,
        closing_rows=prepared.counted.closing_rows,
        batches=uploaded.plan.total_batches,
        outcome=outcome,
        rejected=rejected,
    )


def _only(how: How, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in cast(dict[str, Any], how).items() if name in names}


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end, in a thread of its own where this one runs a loop already, as in a notebook."""
    if not _runs_loop():
        return asyncio.run(work())
    with ThreadPoolExecutor(1, "audience-upload") as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def _runs_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
