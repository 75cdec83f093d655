"""A batch that a program publishes: its fields and users, under the rules of the endpoint."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from producer.publish_errors import InvalidBatchError
from producer.request.encoded_users import EncodedUsers, encoded_users
from producer.request.numbers import number_text
from producer.request.users_json import PayloadError
from schemas.bounds import MAX_CHANNEL, MAX_CHANNELS, MAX_NAME, MAX_SESSION_ID, MAX_WHOLE
from schemas.records import AudienceBatch, AudienceUser, Purchase
from schemas.target import parse_target
from schemas.type_resolution import resolve_types
from schemas.validity import trimmed

User = AudienceUser | Mapping[str, object]
"""A user, typed or as a JSON object of the API."""

Whole = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
Channel = Annotated[str, Meta(max_length=MAX_CHANNEL)]

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


class _Batch(AudienceBatch, frozen=True, kw_only=True, rename="camel"):
    """A batch as narrow as the endpoint's; what others write may be wider."""

    session_id: Annotated[str, Meta(min_length=1, max_length=MAX_SESSION_ID)] | None = None
    sequence: Whole | None = None
    total_batches: Whole | None = None
    total_users: Whole | None = None
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=MAX_CHANNELS)] | None = None


resolve_types(_Batch)


def checked_batch(**fields: object) -> AudienceBatch:
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


def session_text(value: float | str | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return number_text(value)
    except ValueError:
        raise InvalidBatchError(f"sessionId: expected {_EXPECTED['sessionId']}") from None


async def encoded_by_json(users: Iterable[User] | bytes) -> EncodedUsers:
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
