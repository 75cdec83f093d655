"""The directory of one platform account: which audience bears a name, shared by all processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import structlog

from schemas.avro.codec import decode_directory_entry, encode_directory_entry
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import DirectoryEntry, Origin
from streams.client.errors import ReaderFailedError
from streams.client.settings import KafkaSettings
from streams.client.waiting import keep_trying
from streams.read.consumer_thread import Record
from streams.read.tail import Tail
from streams.tables.audience_claims import Holding, fold
from streams.tables.audience_owner import Owner
from streams.write.writer import Writer

log = structlog.get_logger()

HEADERS = {"content-type": b"application/vnd.audience.directory+avro"}
CATCH_UP_LIMIT = 10.0


@dataclass(slots=True, kw_only=True)
class Directory:
    """How each name stands, as far as the topic was read. Use `followed`."""

    owner: Owner
    topic: str
    writer: Writer
    framing: Framing
    following: "asyncio.Task[None]" = field(init=False)
    _held: dict[str, Holding] = field(default_factory=dict)
    _read: dict[int, int] = field(default_factory=dict)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def holding(self, platform_name: str) -> Holding | None:
        """Return how a name stands."""
        return self._held.get(self.owner.key(platform_name))

    async def write(self, platform_name: str, entry: DirectoryEntry | None) -> None:
        """Write a record, None to delete, and return when it and all before it were read.

        Raises NotAcknowledgedError, QueueFullError, KafkaUnreachableError, RegistryUnavailableError.
        """
        value = b"" if entry is None else await asyncio.to_thread(encode_directory_entry, entry, self.framing)
        key = self.owner.key(platform_name)
        await self._until_read(await self.writer.send(self.topic, key, value or None, HEADERS))

    async def progress(self, timeout: float) -> None:
        """Return when something was read, or after so many seconds."""
        progress = self._progress
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await progress.wait()

    async def catch_up(self, ends: Mapping[int, int]) -> None:
        """Return when every partition was read to these ends, or after a while: its last record may be gone.

        What is missing then is met later: who claims a name reads up to the claim.
        """
        last = [self._origin(partition, end - 1) for partition, end in ends.items() if end]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_LIMIT):
                for origin in last:
                    await self._until_read(origin)

    def _origin(self, partition: int, offset: int) -> Origin:
        return Origin(topic=self.topic, partition=partition, offset=offset)

    async def _until_read(self, origin: Origin) -> None:
        while self._read.get(origin.partition, -1) < origin.offset:
            if self.following.done():
                raise ReaderFailedError
            await self.progress(1.0)

    async def follow(self, tail: Tail) -> None:
        """Take in all that comes, without end. Raises ReaderFailedError."""
        async for records in tail.batches():
            for record in records:
                await self._take(record)
            self._progress.set()
            self._progress = asyncio.Event()

    async def _take(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(self.owner.prefix) and record.timestamp is not None:
            try:
                entry = await self._decoded(record)
            except UndecodableError as error:
                text = "An entry of the directory is undecodable and ignored."
                log.warning(text, origin=str(record.origin), reason=str(error))
            else:
                held = fold(self._held.pop(key, None), entry, record.timestamp)
                self._held |= {key: held} if held else {}
        self._read[record.origin.partition] = record.origin.offset

    async def _decoded(self, record: Record) -> DirectoryEntry | None:
        if not record.value:
            return None
        return await keep_trying(
            lambda: asyncio.to_thread(decode_directory_entry, record.value, self.framing), "The directory can't be read"
        )


@contextlib.asynccontextmanager
async def followed(
    kafka: KafkaSettings, writer: Writer, topic: str, owner: Owner, framing: Framing
) -> AsyncIterator[Directory]:
    """Follow the directory while the block is entered, which begins when all that stands in it was read.

    `directory.following` never ends well. Raises KafkaUnreachableError, ReaderFailedError.
    """
    directory = Directory(owner=owner, topic=topic, writer=writer, framing=framing)
    async with Tail(kafka, topic, from_beginning=True, with_ends=True) as tail:
        directory.following = asyncio.create_task(directory.follow(tail))
        try:
            await directory.catch_up(tail.ends)
            yield directory
        finally:
            directory.following.cancel()
            await asyncio.gather(directory.following, return_exceptions=True)
