"""Whether a process that reads as a group and writes what came of it is ready, and why not."""

from collections.abc import Callable
from dataclasses import dataclass

from streams.read.group_reader import GroupReader
from streams.write.writer import Writer

Unready = Callable[[], str | None]
"""Returns why a process is not ready, None where it is."""


@dataclass(slots=True)
class Readiness:
    """Of a member of a group, over all readers and writers that follow one another."""

    reader: GroupReader | None = None
    writer: Writer | None = None

    def why_not(self) -> str | None:
        """Return why it does not do its work, in Kafka's word where it has one; None where it does.

        A Kafka that is away is waited for, which every member does alike: none of them is to be ended for that.
        """
        if self.reader is None or self.writer is None:
            return "joining"
        if self.writer.failure_reason is not None:
            return self.writer.trouble
        if self.writer.refusals:
            return str(next(iter(self.writer.refusals.values())))
        if self.reader.refusal is not None:
            return self.reader.refusal
        return None if self.reader.is_member else "joining"
