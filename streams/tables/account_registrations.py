"""Where the group of an account starts: registered once, by whoever sees the account first."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog

from schemas.avro.codec import decode_account_registration, encode_account_registration
from schemas.avro.framing import SINGLE_OBJECT, Framing, RegistryUnavailableError, UndecodableError, is_framed
from schemas.records import AccountRegistration
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets
from streams.write.writer import Writer

log = structlog.get_logger()

_KEY = "registration:"


async def register(
    kafka: KafkaSettings,
    writer: Writer,
    names: TopicNames,
    targets: Sequence[Target],
    now: Callable[[], datetime],
    framing: Framing = SINGLE_OBJECT,
) -> dict[Target, AccountRegistration]:
    """Return the registration of each account, writing those that are missing.

    1. Read what is registered. 2. Register missing accounts at the log's end. 3. Read again: the first on the
    topic wins. 4. Where the last on the topic is another one, ours or anybody's, write the first once more:
    compaction keeps the last.
    Raises KafkaUnreachableError, NotAcknowledgedError, RegistryUnavailableError.
    """
    topic = _Registrations(kafka, writer, names.accounts, framing)
    found, named = await asyncio.gather(topic.read(), log_id(kafka, names.batches))  # the id before the offsets
    missing = [target for target in dict.fromkeys(targets) if target not in found]
    if missing:
        ends = await end_offsets(kafka, names.batches)
        for target in missing:
            await topic.write(target, _registration(target, ends, named, now()))
            log.info("Account registered.", target=str(target), action="register")
        found = await topic.read()
    for target in dict.fromkeys(targets):
        first, last = found[target]
        if first != last:
            await topic.write(target, first)
    return {target: found[target][0] for target in targets}


def _registration(target: Target, ends: list[int], named: str | None, at: datetime) -> AccountRegistration:
    return AccountRegistration(
        provider=target.provider,
        account=target.account or None,
        first_offsets=ends,
        registered_at=at,
        log_id=named,
    )


async def registered(kafka: KafkaSettings, topic: str, framing: Framing = SINGLE_OBJECT) -> list[Target]:
    """Return the accounts that a deployment knows, in order, without those whose registration can't be decoded.

    Raises KafkaUnreachableError, ReaderFailedError, RegistryUnavailableError.
    """
    records = await read_to_end(kafka, topic)
    found = await _folded(records, framing)
    if not found and framing.registry is None and any(map(_is_framed, records)):
        raise RegistryUnavailableError("they are written by a schema registry: set SCHEMA_REGISTRY_URL to it")
    return sorted(found)


class _Registrations:
    """The registrations on the topic of accounts."""

    def __init__(self, kafka: KafkaSettings, writer: Writer, topic: str, framing: Framing) -> None:
        self._kafka = kafka
        self._writer = writer
        self._topic = topic
        self._framing = framing

    async def write(self, target: Target, registration: AccountRegistration) -> None:
        """Write a registration, and return when it is acknowledged."""
        value = await asyncio.to_thread(encode_account_registration, registration, self._framing)
        await self._writer.send(self._topic, f"{_KEY}{target}", value)

    async def read(self) -> dict[Target, tuple[AccountRegistration, AccountRegistration]]:
        """Return the first and the last registration of each account."""
        return await _folded(await read_to_end(self._kafka, self._topic), self._framing)


async def _folded(
    records: Iterable[Record], framing: Framing
) -> dict[Target, tuple[AccountRegistration, AccountRegistration]]:
    found: dict[Target, tuple[AccountRegistration, AccountRegistration]] = {}
    for record in records:
        registration = await asyncio.to_thread(_decoded, record, framing)
        if registration is not None:
            target = Target(registration.provider, registration.account or "")
            first, _ = found.get(target, (registration, registration))
            found[target] = (first, registration)
    return found


def _is_registration(record: Record) -> bool:
    return (record.key or b"").startswith(_KEY.encode()) and bool(record.value)


def _is_framed(record: Record) -> bool:
    return _is_registration(record) and is_framed(record.value)


def _decoded(record: Record, framing: Framing) -> AccountRegistration | None:
    if not _is_registration(record):
        return None
    try:
        return decode_account_registration(record.value, framing)
    except UndecodableError as error:
        log.warning("A registration is undecodable and ignored.", origin=str(record.origin), reason=str(error))
        return None
