"""What became of an upload at each platform."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audience_client.http.async_client import AsyncClient
from audience_client.upload.engine import Uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOutcome:
    """One line of the table: an account, and what it did with the users."""

    account: str
    """Such as `facebook` or `facebook/eu`."""

    state: str
    in_log: int
    accepted: int
    rejected: int
    matched: int | None
    open: int
    reasons: Mapping[str, int]
    """`field: reason`, and how many users."""

    error: str | None = None
    """What is wrong with the account, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A session as a whole; `is_success` is whether every platform took what was usable."""

    state: str
    platforms: tuple[PlatformOutcome, ...]

    @property
    def is_success(self) -> bool:
        """Tell whether all is over and nothing failed; rejected users are no failure."""
        raise NotImplementedError


async def wait_for_outcome(uploaded: Uploaded, client: AsyncClient, *, timeout: float | None = None) -> Outcome:
    """Return when each platform is through, or what is known after `timeout` seconds."""
    raise NotImplementedError


async def write_rejected(uploaded: Uploaded, client: AsyncClient, path: Path) -> int:
    """Write the file's own rows that a platform rejected as CSV, and return how many rows of users these are.

    Before their columns stand row number, platform, field, reason and remedy. The file can be corrected and uploaded
    as it is: these columns and the guards of cells are known when it is read.
    """
    raise NotImplementedError
