"""What all processes of an account know of its removals: which are open, which jobs are, where people were removed."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from schemas.avro.codec import (
    decode_open_removal,
    decode_platform_job,
    decode_removal_reader,
    decode_removed_audience,
    encode_open_removal,
    encode_platform_job,
    encode_removal_reader,
    encode_removed_audience,
)
from schemas.avro.framing import Framing, RegistryUnavailableError, UndecodableError
from schemas.records import OpenRemoval, PlatformJob, RemovalReader, RemovedAudience
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end
from streams.write.writer import Writer

log = structlog.get_logger()

LEDGER = "ledger"
"""What the ledger is called among the readers of the log."""

HASH_KEYS = "AUDIENCE_HASH_KEYS"
"""The setting without which nobody can remember who was removed."""

_OPEN, _JOB, _REMOVED, _READER = "removal:", "job:", "removed:", "removals:"

Entry = OpenRemoval | PlatformJob | RemovedAudience | RemovalReader
Kind = TypeVar("Kind", OpenRemoval, PlatformJob, RemovedAudience, RemovalReader)


@dataclass(slots=True)
class RemovalTables:
    """The latest of each entry by its key, as far as the topic of accounts was read; see `account_states`."""

    framing: Framing
    removed_changes: int = field(default=0, init=False)
    """How often it has changed from which audiences people were removed."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def open_removals(self, target: Target) -> list[OpenRemoval]:
        """Return the removals that an account tries again later and that have not ended."""
        return self._of(OpenRemoval, f"{_OPEN}{target}:")

    def jobs(self, target: Target) -> list[PlatformJob]:
        """Return the jobs that an account's platform has taken and not ended."""
        return self._of(PlatformJob, f"{_JOB}{target}:")

    def removed_audiences(self, target: Target) -> list[RemovedAudience]:
        """Return from which audiences an account took people out."""
        return self._of(RemovedAudience, f"{_REMOVED}{target}:")

    def readers(self) -> frozenset[str]:
        """Return which readers of the log know removals."""
        return frozenset(reader.reader for reader in self._of(RemovalReader, _READER))

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function after each entry that comes or goes from now on."""
        self._listeners.append(listener)

    async def take(self, record: Record) -> None:
        """Note what a record of the topic says, if it is an entry."""
        key = (record.key or b"").decode(errors="replace")
        decode = next((decode for prefix, decode in _DECODERS.items() if key.startswith(prefix)), None)
        if decode is None:
            return
        if record.value:
            try:
                self._entries[key] = await asyncio.to_thread(decode, record.value, self.framing)
            except (UndecodableError, RegistryUnavailableError):
                log.warning("An entry about removals can't be decoded and is ignored.", origin=str(record.origin))
                return
        else:
            self._entries.pop(key, None)
        self.removed_changes += key.startswith(_REMOVED)
        for listener in self._listeners:
            listener()

    def _of(self, kind: type[Kind], prefix: str) -> list[Kind]:
        found: Iterable[tuple[str, Entry]] = self._entries.items()
        return [entry for key, entry in found if key.startswith(prefix) and isinstance(entry, kind)]


_DECODERS: dict[str, Callable[[bytes, Framing], Entry]] = {
    _OPEN: decode_open_removal,
    _JOB: decode_platform_job,
    _REMOVED: decode_removed_audience,
    _READER: decode_removal_reader,
}


def key_of(entry: Entry) -> str:
    """Return the key of an entry on the topic of accounts."""
    if isinstance(entry, RemovalReader):
        return f"{_READER}{entry.reader}"
    target = Target(entry.provider, entry.account or "")
    if isinstance(entry, OpenRemoval):
        return f"{_OPEN}{target}:{entry.origin}"
    if isinstance(entry, PlatformJob):
        return f"{_JOB}{target}:{entry.job_id}"
    return f"{_REMOVED}{target}:{entry.partition}:{entry.audience}"


async def write_entry(writer: Writer, topic: str, entry: Entry, framing: Framing) -> None:
    """Write an entry. Raises what `Writer.send` raises, RegistryUnavailableError."""
    await writer.send(topic, key_of(entry), await asyncio.to_thread(_encoded, entry, framing))


async def delete_entry(writer: Writer, topic: str, entry: Entry) -> None:
    """Delete an entry, as what it says is over. Raises what `Writer.send` raises."""
    await writer.send(topic, key_of(entry), None)


async def know_removals(
    kafka: KafkaSettings, writer: Writer, topic: str, reader: str, framing: Framing, now: Callable[[], datetime]
) -> None:
    """Tell that a reader of the log, an account or LEDGER, knows removals, unless that stands there already.

    To be called by a reader that is about to read. Raises KafkaUnreachableError, ReaderFailedError, what `Writer.send`
    raises, RegistryUnavailableError.
    """
    if reader not in await knowing_readers(kafka, topic, framing):
        await write_entry(writer, topic, RemovalReader(reader=reader, written_at=now()), framing)
        log.info("It is noted that removals are known.", reader=reader, action="register")


async def knowing_readers(kafka: KafkaSettings, topic: str, framing: Framing) -> frozenset[str]:
    """Return which readers of the log know removals. Raises KafkaUnreachableError, ReaderFailedError."""
    tables = RemovalTables(framing)
    for record in await read_to_end(kafka, topic):
        if (record.key or b"").startswith(_READER.encode()):
            await tables.take(record)
    return tables.readers()


def unready(targets: Iterable[Target], readers: Collection[str]) -> str | None:
    """Return who does not know removals yet, and what to do about it; None where all of these and the ledger do."""
    names = ["the ledger" if name == LEDGER else name for name in (*map(str, targets), LEDGER) if name not in readers]
    if not names:
        return None
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    verb = "do" if names[1:] else "does"
    return f"{listed} {verb} not know removals yet: start all processes in this version, with {HASH_KEYS} set"


def _encoded(entry: Entry, framing: Framing) -> bytes:
    match entry:
        case OpenRemoval():
            return encode_open_removal(entry, framing)
        case PlatformJob():
            return encode_platform_job(entry, framing)
        case RemovedAudience():
            return encode_removed_audience(entry, framing)
        case RemovalReader():
            return encode_removal_reader(entry, framing)
