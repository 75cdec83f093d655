"""Where a record stands in the order of its audience."""

from dataclasses import dataclass
from typing import Literal

Verb = Literal["add", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """A record's place in the log, by which earlier and later are told.

    Places of one partition compare by offset, and that is certain. Those of different ones, where an audience has
    several names or was written to a partition that is not its home, compare by append time, in milliseconds.
    """

    partition: int
    offset: int
    appended_at: int
    log_id: str | None = None
    """Kafka's id of the topic: a log that is made anew begins with offset 0 once more."""
