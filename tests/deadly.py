"""What ends processes in tests: light to import, as each child process must."""

import os
import signal
import time
from dataclasses import dataclass

from schemas.avro.framing import schema_json
from streams.read.consumer_thread import Record

RECORDS = ("AudienceBatch", "BatchCompletion", "BatchReceipt", "RetryPointer", "AccountRegistration", "AccountState",
           "AccountLoss", "DirectoryEntry", "AudienceRemoval", "OpenRemoval", "PlatformJob",
           "RemovedAudience", "RemovalReader", "LogCreation")  # fmt: skip
DEADLY, FOREIGN = 666, 700
"""Ids of schemas: who asks for the first one ends, the second one is another's of an addition."""


@dataclass(frozen=True)
class Deadly:
    """A registry in which a schema's id is the place of its name."""

    by: int = signal.SIGSEGV

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id of a record's schema."""
        del schema
        return RECORDS.index(record)

    def schema_text(self, schema_id: int) -> str | None:
        """Return the schema with an id, or don't."""
        if schema_id == DEADLY:
            os.kill(os.getpid(), self.by)
            time.sleep(60)
        if schema_id == FOREIGN:
            return '{"type": "record", "name": "AudienceBatch", "fields": [{"name": "name", "type": "string"}]}'
        return schema_json(RECORDS[schema_id]) if schema_id < len(RECORDS) else None


def deadly(offset_of: int = DEADLY) -> bytes:
    """Return a value that names such a schema."""
    return b"\0" + offset_of.to_bytes(4, "big") + b"made up"


def end_by(record: Record, by: int) -> None:
    """End the process by a signal if a record has a value."""
    if record.value:
        signal.raise_signal(by)


def fail(record: Record) -> None:
    """Raise."""
    raise ValueError(len(record.value))


def loop(record: Record) -> None:
    """Work without end."""
    while record.value:
        pass


def wait(record: Record) -> None:
    """Do nothing for a while, as one does who asks a registry."""
    time.sleep(1.5 * bool(record.value))


def sleep(record: Record) -> None:
    """Do nothing, for long."""
    time.sleep(600 * bool(record.value))


def talk(record: Record) -> None:
    """Print."""
    print(record.value)  # noqa: T201 -- as a library might
