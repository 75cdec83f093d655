"""What code that is generated for the users' schema must equal: fastavro, by way of dictionaries."""

import io
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, cast

import msgspec
from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import parse_schema

from schemas.avro.framing import SINGLE_OBJECT, Framing, UndecodableError, reader_schema, todays_writer
from schemas.avro.timestamps import Times, set_times, times_of
from schemas.avro.user_count import TooManyUsersError, check_users
from schemas.avro.writer_schemas import Schema, WriterSchema
from schemas.bounds import MAX_USERS
from schemas.records import AudienceBatch, AudienceUser

NAME = "AudienceBatch"


def encode_users(users: Sequence[AudienceUser]) -> bytes:
    """Encode users as items of an array, without count or end."""
    buffer = io.BytesIO()
    schemaless_writer(buffer, _array(), msgspec.to_builtins(users))
    schemaless_writer(count := io.BytesIO(), "long", len(users))
    return buffer.getvalue()[len(count.getvalue()) : -1]


def decode_batch(value: bytes, framing: Framing = SINGLE_OBJECT) -> AudienceBatch:
    """Decode a batch. Raises UndecodableError."""
    try:
        return _read(*framing.open(NAME, value))
    except UndecodableError:
        raise
    except TooManyUsersError:
        raise UndecodableError(f"more than {MAX_USERS} users") from None
    except Exception as error:
        raise UndecodableError(f"the bytes are no {NAME}") from error


def _read(written_by: WriterSchema, body: memoryview) -> AudienceBatch:
    check_users(written_by, body)
    buffer = io.BytesIO(body)
    decoded = cast(dict[str, Any], schemaless_reader(buffer, written_by.parsed, todays_writer(NAME).parsed))
    if buffer.read(1):
        raise UndecodableError(f"bytes are left after the {NAME}")
    set_times(decoded, _times())
    return msgspec.convert(decoded, AudienceBatch, builtin_types=(bytes, date, datetime))


@cache
def _array() -> Schema:
    return cast(Schema, parse_schema(reader_schema(NAME)["fields"][-1]["type"], _force=True))


@cache
def _times() -> Times:
    return times_of(reader_schema(NAME))
