"""Whether a process that reads as a group and writes what came of it is ready, and why not."""

from streams.reader import GroupReader
from streams.writer import Writer


def unready(reader: GroupReader, writer: Writer) -> str | None:
    """Return why a member of a group does not do its work, in Kafka's word where it has one; None where it does.

    A Kafka that is away is waited for, which every member does alike: none of them is to be ended for that.
    """
    if writer.failure_reason is not None:
        return writer.trouble
    if writer.refusals:
        return str(next(iter(writer.refusals.values())))
    if reader.refusal is not None:
        return reader.refusal
    return None if reader.is_member else "joining"
