"""Publish batches to the log from a Python program, under the rules of the endpoint."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Annotated

import msgspec
from msgspec import Meta

from producer.records import encode, write
from producer.request.encoded_users import EncodedUsers, encoded_users
from producer.request.numbers import number_text
from producer.request.unknown_names import Ignored, total
from producer.request.users_json import PayloadError
from schemas.avro.blocks import UserBlock
from schemas.avro.framing import Framing, RegistryUnavailableError
from schemas.bounds import MAX_CHANNEL, MAX_CHANNELS, MAX_NAME, MAX_SESSION_ID, MAX_WHOLE
from schemas.error_words import VOCABULARY
from schemas.records import AudienceBatch, AudienceType, AudienceUser, Mode, Origin, Purchase
from schemas.target import parse_target
from schemas.validity import invalidity, trimmed
from streams.client.errors import (
    KafkaUnreachableError,
    NotAcknowledgedError,
    QueueFullError,
    RecordRefusedError,
    StreamError,
)
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.topic_offsets import end_offsets
from streams.tables.account_registrations import registered
from streams.tables.log_creation import Homes, home_of
from streams.tables.removals import knowing_readers, unready
from streams.write.writer import Writer

User = AudienceUser | Mapping[str, object]
"""A user, typed or as a JSON object of the API."""

Whole = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
Channel = Annotated[str, Meta(max_length=MAX_CHANNEL)]

ASK_AGAIN = 60.0
"""Seconds for which additions go without asking where their home partition is, after that could not be read."""

_FIELD = re.compile(r"`\$\.(\w+)")
_WHOLE = "a whole number from 0 to 2^53"
_EXPECTED = {
    "batchId": "a UUID",
    "sessionId": f"a number, or a text of 1 to {MAX_SESSION_ID} characters",
    "sequence": _WHOLE,
    "totalBatches": _WHOLE,
    "totalUsers": _WHOLE,
    "pullDate": "a date as YYYY-MM-DD",
    "name": f"1 to {MAX_NAME} characters",
    "type": "custom or primary",
    "disablePrefix": "true or false",
    "mode": "add or remove",
    "channels": f"a list of targets such as facebook or tiktok/eu, {MAX_CHANNELS} at most; leave it out for all",
}


class PublishError(Exception):
    """A batch was not published; the class says what to do next."""


class InvalidBatchError(PublishError):
    """The batch breaks a rule: nothing was written, mend what the message names."""


class RefusedByKafkaError(PublishError):
    """Kafka refuses a record of the batch for good, in the word that the message has; `kind` is ours for it.

    Once that is seen to, publish the same again with the same `batch_id`: other records of it may be written.
    """

    def __init__(self, error: RecordRefusedError, batch_id: str) -> None:
        self.kind = error.refusal.kind if error.refusal else "kafka_refused"
        self.batch_id = batch_id
        message = f"{self.kind}: {error} {VOCABULARY[self.kind].remedy}"
        super().__init__(f"{message} Then publish the same again with the batch id {batch_id}.")


class NothingWrittenError(PublishError):
    """Kafka, the registry or a reader of the log is not ready: nothing was written, publish the same again later."""


class NotConfirmedError(PublishError):
    """Kafka did not confirm every record: publish the same again with the same `batch_id`."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"Kafka did not confirm every record: publish the same again with the batch id {batch_id}.")
        self.batch_id = batch_id


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


class _Batch(AudienceBatch, frozen=True, kw_only=True, rename="camel"):
    """A batch as narrow as the endpoint's; what others write may be wider."""

    session_id: Annotated[str, Meta(min_length=1, max_length=MAX_SESSION_ID)] | None = None
    sequence: Whole | None = None
    total_batches: Whole | None = None
    total_users: Whole | None = None
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=MAX_CHANNELS)] | None = None


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
        batch = _checked(
            batchId=str(uuid.uuid4()) if batch_id is None else batch_id,
            name=name,
            type=type,
            mode=mode,
            disablePrefix=disable_prefix,
            channels=channels,
            sessionId=_session_text(session_id),
            sequence=sequence,
            totalBatches=total_batches,
            totalUsers=total_users,
            pullDate=pull_date,
        )
        given = await _encoded(users)
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


def _checked(**fields: object) -> AudienceBatch:
    """Return a batch without users. Raises InvalidBatchError, which names the field and no value."""
    try:
        batch = msgspec.convert({**fields, "users": []}, _Batch)
        msgspec.json.encode(batch)  # half a surrogate pair is a text to Python only
        channels = batch.channels and [str(parse_target(channel)) for channel in batch.channels]
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        field = found[1] if found else "batch"
        raise InvalidBatchError(f"{field}: expected {_EXPECTED.get(field, 'other fields')}") from None
    except UnicodeEncodeError:
        raise InvalidBatchError("name, sessionId, channels: expected text that UTF-8 can hold") from None
    except ValueError as error:
        raise InvalidBatchError(f"channels: {error}") from None
    return msgspec.structs.replace(batch, batch_id=batch.batch_id.lower(), name=trimmed(batch.name), channels=channels)


def _session_text(value: float | str | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return number_text(value)
    except ValueError:
        raise InvalidBatchError(f"sessionId: expected {_EXPECTED['sessionId']}") from None


async def _encoded(users: Iterable[User] | bytes) -> EncodedUsers:
    """Parse users as the endpoint does, by way of JSON, so that there is one set of rules."""
    try:
        return await encoded_users(await asyncio.to_thread(_json, users))
    except PayloadError as error:
        raise InvalidBatchError(str(error)) from None


def _json(users: Iterable[User] | bytes) -> bytes:
    return users if isinstance(users, bytes) else b"[%b]" % b",".join(_json_objects(users))


def _json_objects(users: Iterable[User]) -> Iterable[bytes]:
    encoder = json.JSONEncoder(allow_nan=False, default=_plain)
    for index, user in enumerate(users):
        try:
            yield encoder.encode(user).encode()
        except (TypeError, ValueError, RecursionError):
            raise PayloadError(f"users[{index}]: expected only what JSON can hold") from None


def _plain(value: object) -> object:
    """Return a typed user, or a mapping that is no dict, as JSON knows it. Raises TypeError for anything else."""
    if isinstance(value, AudienceUser | Purchase):
        return msgspec.to_builtins(value, builtin_types=(bytes,))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
