"""Where the group of an account starts: registered once, by whoever sees the account first."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from schemas.codec import decode_account_registration, encode_account_registration
from schemas.framing import SINGLE_OBJECT, Framing, UndecodableError
from schemas.records import AccountRegistration
from schemas.target import Target
from streams.settings import KafkaSettings
from streams.tail import end_offsets, read_whole
from streams.topics import TopicNames
from streams.writer import Writer

log = structlog.get_logger()

_KEY = "registration:"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def register(
    kafka: KafkaSettings,
    writer: Writer,
    names: TopicNames,
    targets: Sequence[Target],
    framing: Framing = SINGLE_OBJECT,
    clock: Callable[[], datetime] = now,
) -> dict[Target, AccountRegistration]:
    """Return the registration of each account, writing those that are missing.

    1. Read what is registered. 2. Register missing accounts at the log's end. 3. Read again: the first on the
    topic wins. 4. Where that was another's, write it once more, because compaction keeps the last.
    Raises KafkaUnreachableError, NotAcknowledgedError.
    """
    registered = await _registrations(kafka, names, framing)
    missing = [target for target in targets if target not in registered]
    if not missing:
        return {target: registered[target] for target in targets}
    ends = await end_offsets(kafka, names.batches)
    mine = {target: _registration(target, ends, clock()) for target in missing}
    for target, registration in mine.items():
        await _write(writer, names, target, registration, framing)
    registered = await _registrations(kafka, names, framing)
    for target in missing:
        if registered[target] != mine[target]:
            await _write(writer, names, target, registered[target], framing)
        log.info("Account registered.", target=str(target), first=sum(registered[target].first_offsets))
    return {target: registered[target] for target in targets}


def _registration(target: Target, ends: list[int], at: datetime) -> AccountRegistration:
    millis = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return AccountRegistration(
        provider=target.provider, account=target.account or None, first_offsets=ends, registered_at=millis
    )


async def _write(
    writer: Writer, names: TopicNames, target: Target, registration: AccountRegistration, framing: Framing
) -> None:
    value = encode_account_registration(registration, framing)
    await writer.send(names.accounts, f"{_KEY}{target}", value)


async def _registrations(
    kafka: KafkaSettings, names: TopicNames, framing: Framing
) -> dict[Target, AccountRegistration]:
    found: dict[Target, AccountRegistration] = {}
    for record in await read_whole(kafka, names.accounts):
        if not (record.key or b"").startswith(_KEY.encode()) or not record.value:
            continue
        try:
            registration = decode_account_registration(record.value, framing)
        except UndecodableError:
            log.warning("A registration is undecodable and ignored.", origin=str(record.origin))
            continue
        found.setdefault(Target(registration.provider, registration.account or ""), registration)
    return found
