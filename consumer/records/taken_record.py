"""A record that is taken over: it is this process's to handle, until another one holds its partition."""

import asyncio
from dataclasses import dataclass

from consumer.ordering.standing import NEVER
from consumer.records.audience_order import Turn
from consumer.records.partition_activity import PartitionActivity
from consumer.retries.account_gate import GivenUpError
from schemas.records import Origin, RetryPointer
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader

LOOK_AGAIN = 0.05
"""Seconds between looks at whether it is sure again that a record is ours."""


@dataclass(slots=True, kw_only=True, eq=False)
class TakenRecord:
    """A record of the log with its place among those in flight, as it came, or by a pointer that fell due."""

    origin: Origin
    size: int
    """Bytes that its place is taken for."""
    reader: GroupReader
    """Reads the log or the retry topic, wherever it was taken over."""
    read: Record
    """What stands there: the record itself, or the pointer to it."""
    activity: PartitionActivity
    """What else of the reader's is worked on."""
    pointer: RetryPointer | None = None
    turn: Turn | None = None
    """Among the records of its audience; None for one that is for nobody here, and for one that came by a pointer."""
    is_quarantined: bool | None = None
    """Whether reading it ends a process; None where that was not tried."""
    has_begun: bool = False
    """Whether a call of it was to go in our process."""
    calls_until: float = NEVER
    """Until when calls may take effect that others made for it, or that ended without an answer, by our clock."""

    @property
    def partition(self) -> int:
        """The partition by which it is held."""
        return self.read.origin.partition

    def is_held(self) -> bool:
        """Tell whether it is still ours, as far as is known."""
        return self.reader.holds(self.read)

    async def surely(self) -> None:
        """Return when it is sure what `is_held` says, as it is not when our process was stopped for long."""
        while self.is_held() and not self.reader.is_sure(self.read):
            await asyncio.sleep(LOOK_AGAIN)

    async def begin(self) -> None:
        """Note that a call of it is to go. Raises GivenUpError before the first one where our process is to end.

        Thousands may be in flight, and whoever has the partition next meets those that were not begun as they stand.
        """
        if self.reader.is_stopping and not self.has_begun:
            raise GivenUpError
        self.has_begun = True

    def finish(self) -> None:
        """Let its offset be committed, once all before it are finished."""
        self.reader.finish(self.read)
