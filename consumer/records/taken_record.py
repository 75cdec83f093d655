"""A record that is taken over: it is this process's to handle, until another one holds its partition."""

from dataclasses import dataclass

from schemas.records import Origin, RetryPointer
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRecord:
    """A record of the log with its place among those in flight, as it came, or by a pointer that fell due."""

    origin: Origin
    size: int
    """Bytes that its place is taken for."""
    reader: GroupReader
    """Reads the log or the retry topic, wherever it was taken over."""
    read: Record
    """What stands there: the record itself, or the pointer to it."""
    pointer: RetryPointer | None = None

    def is_held(self) -> bool:
        """Tell whether it is still ours."""
        return self.reader.holds(self.read)

    def finish(self) -> None:
        """Let its offset be committed, once all before it are finished."""
        self.reader.finish(self.read)
