"""Sends what was prepared, each batch once, and goes on where an earlier try ended."""

from dataclasses import dataclass
from pathlib import Path

from audience_client.errors import InputError
from audience_client.http.async_client import AsyncClient
from audience_client.upload.prepare import Prepared
from audience_client.upload.progress import OnProgress

class UnfinishedUploadError(InputError):
    """The file's upload to that audience was begun and is not finished: resume it, or begin a new one."""

    session_id: int
    batches: int
    """Of the whole upload."""
    begun: str
    """ISO time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """An upload of which every batch stands in the log."""

    session_id: int
    prepared: Prepared
    sent: int
    """Batches of this try."""

    stood: int
    """Batches that an earlier try had sent."""

    def forget(self) -> None:
        """Delete the kept state; call it when the outcome was shown, or is not wanted."""
        raise NotImplementedError


async def upload(  # noqa: PLR0913 -- the whole of an upload
    prepared: Prepared,
    *,
    client: AsyncClient,
    resume: bool | None = None,
    session: int | None = None,
    state_folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Uploaded:
    """Send all batches and return when each stands in the log; `Uploaded.forget()` is the caller's, in the end.

    `resume=None`: raises UnfinishedUploadError where an earlier try is not finished. True: goes on with that one
    (`session` says which where there are several; InputError where there is none, or file, mapping, options or reader
    have changed). False: begins anew, and forgets earlier tries.

    Cancelled (Ctrl-C under `asyncio.run`), it lets what is under way end for some seconds, and raises CancelledError;
    the state is kept, so `resume=True` goes on. Raises what the client raises for a final refusal; the same holds then.
    """
    raise NotImplementedError
