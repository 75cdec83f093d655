"""What is uploaded to which audience, and how."""

from dataclasses import dataclass
from datetime import date

from audience_client.errors import InputError
from audience_client.http.batches import AudienceType, Mode

LANES = 4
"""Batches under way at once, unless a caller says otherwise."""

MAX_LANES = 32
MAX_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """Raises InputError where an option is wrong. `country` is of rows that name none, `limit` how many users go."""

    name: str
    type: AudienceType = "custom"
    mode: Mode = "add"
    channels: tuple[str, ...] = ()
    disable_prefix: bool = False
    pull_date: date | None = None
    country: str | None = None
    limit: int | None = None
    batch_size: int | None = None
    """Users of a batch; None: 5,000, or more where that would be more than 500 batches."""

    lanes: int = LANES

    def __post_init__(self) -> None:
        if not 0 < len(self.name.strip("\r\n")) <= MAX_NAME:
            raise InputError(f"--name: takes 1 to {MAX_NAME} characters")
        if not 0 < self.lanes <= MAX_LANES:
            raise InputError(f"--lanes: takes a number from 1 to {MAX_LANES}")
        for option, value in (("--limit", self.limit), ("--batch-size", self.batch_size)):
            if value is not None and value < 1:
                raise InputError(f"{option}: takes a number from 1 on")
