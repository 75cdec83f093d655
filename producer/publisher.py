"""Publish batches to the log from a Python program, under the rules of the endpoint."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType

import msgspec

from producer.publish_errors import (
    InvalidBatchError,
    NotConfirmedError,
    NothingWrittenError,
    PublishError,
    RefusedByKafkaError,
)
from producer.records import encode, write
from producer.request.program_batch import User, checked_batch, encoded_by_json, session_text
from producer.request.unknown_names import Ignored, total
from schemas.avro.blocks import UserBlock
from schemas.avro.framing import Framing, RegistryUnavailableError
from schemas.records import AudienceBatch, AudienceType, Mode, Origin
from schemas.validity import invalidity
from streams.client.errors import (
    KafkaUnreachableError,
    NotAcknowledgedError,
    QueueFullError,
    RecordRefusedError,
    StreamError,
)
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.topic_offsets import end_offsets
from streams.tables.account_registrations import registered
from streams.tables.log_creation import Homes, home_of
from streams.tables.removals import knowing_readers, unready
from streams.write.writer import Writer

__all__ = [
    "AudiencePublisher",
    "InvalidBatchError",
    "NotConfirmedError",
    "NothingWrittenError",
    "PublishError",
    "Published",
    "RefusedByKafkaError",
    "User",
]

ASK_AGAIN = 60.0
"""Seconds for which additions go without asking where their home partition is, after that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A batch that all in-sync replicas have.

    `origins` are the places of its records, part by part; `ignored` counts members of users that nobody knows,
    `unknown` names them as far as they may be repeated.
    """

    batch_id: str
    origins: tuple[Origin, ...]
    ignored: int = 0
    unknown: tuple[Ignored, ...] = ()


class AudiencePublisher:
    """Writes batches to `<prefix>.batches`, in Confluent framing where a registry's URL is given.

    An async context manager, to be used in one event loop; batches may be published at the same time.
    `timeout` is for how many seconds Kafka may leave records unconfirmed.
    """

    def __init__(
        self,
        kafka: KafkaSettings | str,
        *,
        prefix: str = "audience",
        registry: str | None = None,
        source: str = "direct",
        timeout: float = 30.0,
    ) -> None:
        self._kafka = KafkaSettings(bootstrap_servers=kafka) if isinstance(kafka, str) else kafka
        self._names = TopicNames(prefix)
        self._topic = self._names.batches
        self._registry = registry
        self._headers = {"audience-source": source.encode()}
        self._timeout = timeout
        self._homeless_until = 0.0

    async def __aenter__(self) -> "AudiencePublisher":
        """Return when the log is found. Raises NothingWrittenError where it is not."""
        async with AsyncExitStack() as stack:
            self._framing = stack.enter_context(self._opened_framing())
            try:
                await end_offsets(self._kafka, self._topic)
                self._writer = await stack.enter_async_context(Writer(self._kafka, message_timeout=self._timeout))
                await self._first_contact()
                self._homes = Homes(self._kafka, self._writer, self._names, self._framing, lambda: datetime.now(UTC))
            except KafkaUnreachableError as error:
                raise NothingWrittenError(self._not_found(error)) from error
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return when what is under way is confirmed or given up."""
        await self._opened.aclose()

    @contextmanager
    def _opened_framing(self) -> Iterator[Framing]:
        if self._registry is None:
            yield Framing()
            return
        from streams.client.schema_registry import ConfluentRegistry  # noqa: PLC0415 -- many libraries, for who has one

        with closing(ConfluentRegistry(self._registry, self._names.of_records)) as registry:
            yield Framing(registry)

    async def _first_contact(self) -> None:
        """Wait until the writer has met a broker, which may take longer than its own patience at the start.

        One that fails for good meanwhile is told of where something is published.
        """
        deadline = time.monotonic() + self._timeout
        while not self._writer.is_reachable and self._writer.failure_reason is None:
            if time.monotonic() > deadline:
                raise KafkaUnreachableError
            await asyncio.sleep(0.05)

    def _not_found(self, error: Exception) -> str:
        return (
            f"{self._topic} is not found at {self._kafka.bootstrap_servers}; see that Kafka runs there and that "
            f"`audience serve` has made its topics. {error}"
        )

    async def accounts(self) -> list[str]:
        """Return the accounts that the deployment knows, each a name for `channels`.

        `publish` does not ask for them, as they may be registered later: a batch for others only reaches nobody, and
        its status says so. Raises NothingWrittenError where they can't be read.
        """
        try:
            return [str(target) for target in await registered(self._kafka, self._names.accounts, self._framing)]
        except (StreamError, RegistryUnavailableError) as error:
            raise NothingWrittenError(f"The accounts on {self._names.accounts} can't be read. {error}") from error

    async def publish(  # noqa: PLR0913 -- the fields of a request
        self,
        users: Iterable[User] | bytes,
        *,
        name: str,
        type: AudienceType = "custom",  # noqa: A002 -- the name of the field
        mode: Mode = "add",
        disable_prefix: bool = False,
        channels: Sequence[str] | None = None,
        session_id: float | str | None = None,
        sequence: int | None = None,
        total_batches: int | None = None,
        total_users: int | None = None,
        pull_date: date | str | None = None,
        batch_id: str | None = None,
    ) -> Published:
        """Write a batch in as many records as it takes; return once all in-sync replicas have all of them.

        With `mode` `remove` its users are taken out of the audience, once all accounts that it is for and the ledger
        know removals. Bytes as users are a JSON array. Without a `batch_id` it gets a new one; publishing the same
        again is harmless, as an audience is a set, unless something of another mode came between. Raises
        InvalidBatchError, NothingWrittenError, NotConfirmedError, RefusedByKafkaError.
        """
        batch = checked_batch(
            batchId=str(uuid.uuid4()) if batch_id is None else batch_id,
            name=name,
            type=type,
            mode=mode,
            disablePrefix=disable_prefix,
            channels=channels,
            sessionId=session_text(session_id),
            sequence=sequence,
            totalBatches=total_batches,
            totalUsers=total_users,
            pullDate=pull_date,
        )
        given = await encoded_by_json(users)
        batch = msgspec.structs.replace(batch, accepted_at=datetime.now(UTC))
        if fault := invalidity(batch, given.count):
            raise InvalidBatchError(fault)
        origins = await self._write(batch, given.blocks, await self._home(batch))
        return Published(batch_id=batch.batch_id, origins=origins, ignored=total(given.unknown), unknown=given.unknown)

    async def _home(self, batch: AudienceBatch) -> int | None:
        """Return where a batch is to stand; None for an addition where that can't be known, as without that right.

        Raises NothingWrittenError for a removal that somebody would not understand.
        """
        if batch.mode == "remove":
            await self._check_removals(batch)
        elif time.monotonic() < self._homeless_until:
            return None
        try:
            return home_of(await self._homes.creation(), batch.key)
        except (StreamError, RegistryUnavailableError) as error:
            if batch.mode == "add":
                self._homeless_until = time.monotonic() + ASK_AGAIN
                return None
            raise NothingWrittenError(f"{self._names.accounts} does not tell the home partition. {error}") from error

    async def _check_removals(self, batch: AudienceBatch) -> None:
        """Raises NothingWrittenError unless the accounts that a removal is for, and the ledger, know removals."""
        self._homes.forget()
        try:
            known = await registered(self._kafka, self._names.accounts, self._framing)
            readers = await knowing_readers(self._kafka, self._names.accounts, self._framing)
        except (StreamError, RegistryUnavailableError) as error:
            raise NothingWrittenError(f"Who knows removals can't be read on {self._names.accounts}. {error}") from error
        if why := unready([target for target in known if target.is_meant_by(batch.channels)], readers):
            raise NothingWrittenError(f"mode: {why}; nothing was written.")

    async def _write(self, batch: AudienceBatch, blocks: Sequence[UserBlock], home: int | None) -> tuple[Origin, ...]:
        try:
            parts = await encode(batch, blocks, self._framing)
            return tuple(await write(self._writer, self._topic, parts, self._headers, home))
        except (KafkaUnreachableError, QueueFullError) as error:
            raise NothingWrittenError(str(error)) from error
        except RegistryUnavailableError as error:
            raise NothingWrittenError(f"{error}: nothing was written, publish the same again later.") from error
        except RecordRefusedError as error:
            raise RefusedByKafkaError(error, batch.batch_id) from error
        except NotAcknowledgedError as error:
            self._homes.forget()  # the log may have been made anew, with other partitions
            raise NotConfirmedError(batch.batch_id) from error
