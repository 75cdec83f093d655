"""One batch of an upload: what is sent, and what the server says of it."""

from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO, Literal, Protocol

from msgspec import Struct
from msgspec import field as member

AudienceType = Literal["custom", "primary"]
Mode = Literal["add", "remove"]


class Content(Protocol):
    """Bytes that need not be in memory."""

    def __len__(self) -> int:
        """Return how many there are."""

    def open(self) -> BinaryIO:
        """Return them from the beginning; each try of a request reads them anew, and closes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchToSend:
    """A batch: `users` is the JSON array, sent as it is.

    `resume` says that it belongs to the newest run of its session, however long ago that was. Without it the same
    batch is a retry only within the server's retry window.
    """

    name: str
    session_id: int
    sequence: int
    total_batches: int
    total_users: int
    users: bytes | Content = field(repr=False)
    type: AudienceType = "custom"
    mode: Mode = "add"
    channels: tuple[str, ...] = ()
    disable_prefix: bool = False
    pull_date: date | None = None
    resume: bool = True


class IgnoredName(Struct, frozen=True, kw_only=True):
    """A name that the server does not know, where it stood and how often; None where it may not be repeated."""

    location: str = member(name="in")
    name: str | None
    count: int
    did_you_mean: str | None = member(name="didYouMean", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A batch is in the log. `ignored` counts what the server did not know, `ignored_names` says what it was.

    `location` is where its status is, a path or a URL. `knows_resume` is false where the server ignored `resume`, as
    versions before it do: a batch sent again later than its retry window begins a new run there.
    """

    batch_id: str
    ignored: int = 0
    ignored_names: tuple[IgnoredName, ...] = ()
    location: str | None = None
    knows_resume: bool = True
