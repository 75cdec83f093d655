"""What the page asks of who reads files and knows the platforms: both stand above the console, and are handed in."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol

from schemas.records import AudienceType, Mode

FIELD_WORDS: Mapping[str, str] = {
    "email": "Email",
    "phone": "Phone",
    "firstName": "First name",
    "lastName": "Last name",
    "name": "Full name, to be split",
    "country": "Country",
    "postalCode": "Postal code",
    "edgeTagId": "edgeTagId",
    "purchase.currency": "Purchase: currency",
    "purchase.profit": "Purchase: profit",
    "purchase.total7Days": "Purchase: total of 7 days",
}
"""Fields that a column can become, in the words of the page."""


class UnusableFileError(Exception):
    """The file, or what was said of it, can't be used; the message says where and what to do, for its owner alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file in memory; who reads it closes its content."""

    name: str
    content: BytesIO = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoices:
    """What each column of a header becomes: a field, or nothing. `order` says which is taken first where it is filled.

    They count for a file of that very header alone.
    """

    header: str
    fields: tuple[str, ...]
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is to be done with a file, and how it is read; None and no columns leave it to the file."""

    name: str
    type: AudienceType = "custom"
    mode: Mode = "add"
    country: str | None = None
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    only_consented: bool = False
    columns: ColumnChoices | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it is looked over: some of its values, masked, and what it becomes."""

    name: str
    values: Sequence[str]
    field: str
    note: str = ""
    is_protected: bool = False
    """Whether it holds what is never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why users are rejected, and how many; or why an account takes none at all."""

    code: str
    meaning: str
    users: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRequest:
    """A request as a platform would get it, secrets hidden."""

    method: str
    url: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLook:
    """What one account could use of the users looked at, and the requests for the first of them."""

    account: str
    users: int
    usable: int
    rejected: Sequence[Reason]
    dropped: Sequence[Reason]
    """Values that usable users would go out without."""
    error: Reason | None
    requests: Sequence[ShownRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who would be uploaded, and what each account could use of those looked at, the first ones."""

    users: int
    not_consented: int
    batches: int
    looked_at: int
    shown: int
    """Users at the beginning whose requests are shown."""
    accounts: Sequence[AccountLook]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A file as it was read and mapped. Without `people` there is a question that `problem` asks."""

    file: str
    summary: str
    notices: Sequence[str]
    columns: Sequence[Column]
    header: str
    order: tuple[int, ...]
    has_consent: bool
    problem: str = ""
    people: People | None = None

    def as_chosen(self) -> ColumnChoices:
        """Return its columns as the page says them again."""
        return ColumnChoices(header=self.header, fields=tuple(one.field for one in self.columns), order=self.order)


@dataclass(frozen=True, slots=True)
class OutgoingBatch:
    """Users of a file as the JSON array that the server takes."""

    users: bytes = field(repr=False)
    count: int


class Outgoing(Protocol):
    """A file that is about to be sent. Close it in the end."""

    @property
    def users(self) -> int:
        """How many there are in all."""

    @property
    def batches(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[OutgoingBatch]:
        """Yield all batches in order; each step may take a while. Raises UnusableFileError."""

    def close(self) -> None:
        """Let go of the file."""


class Files(Protocol):
    """Reads files and shows what platforms would get of them; nothing of a file reaches a disk."""

    async def look(self, file: UploadedFile, choices: Choices) -> Look:
        """Read a file whole and say what it would become; close it. Raises UnusableFileError."""

    async def outgoing(self, file: UploadedFile, choices: Choices) -> Outgoing:
        """Read a file whole and cut it into batches. Raises UnusableFileError, and closes it then."""


def fingerprint(file: UploadedFile) -> str:
    """Return what is the same only for the same bytes; it takes a moment for a large file."""
    with file.content.getbuffer() as content:
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def seen(of_file: str, choices: Choices) -> str:
    """Return what is the same only for a file of the same fingerprint of which the same is said."""
    return hashlib.blake2b(repr((of_file, choices)).encode(errors="surrogatepass"), digest_size=16).hexdigest()
