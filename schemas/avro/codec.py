"""Encode and decode the records of the topics, one function per record type and direction."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import parse_schema

from schemas.avro.blocks import UserBlock, user_blocks
from schemas.avro.framing import (
    SINGLE_OBJECT,
    Framing,
    RegistryUnavailableError,
    UndecodableError,
    UnencodableError,
    reader_schema,
    todays_writer,
)
from schemas.avro.timestamps import Times, set_times, times_of
from schemas.avro.user_count import TooManyUsersError, check_users
from schemas.avro.users import count_users, decode_users
from schemas.avro.writer_schemas import Schema, WriterSchema
from schemas.bounds import MAX_RECORD, MAX_USERS
from schemas.records import (
    AccountLoss,
    AccountRegistration,
    AccountState,
    AudienceBatch,
    BatchCompletion,
    BatchReceipt,
    DirectoryEntry,
    LogCreation,
    Mode,
    OpenRemoval,
    PlatformJob,
    RemovalReader,
    RemovedAudience,
    RetryPointer,
)
from schemas.type_resolution import resolve_types

_NATIVE = (bytes, date, datetime)

Small = (
    AccountLoss
    | AccountRegistration
    | AccountState
    | BatchCompletion
    | BatchReceipt
    | DirectoryEntry
    | LogCreation
    | OpenRemoval
    | PlatformJob
    | RemovalReader
    | RemovedAudience
    | RetryPointer
)
"""Records that are encoded in one go."""

BATCHES: Mapping[Mode, str] = {"add": "AudienceBatch", "remove": "AudienceRemoval"}
"""The records of the log, by what they do with their users."""

Record = TypeVar(
    "Record",
    AudienceBatch,
    BatchCompletion,
    BatchReceipt,
    AccountRegistration,
    AccountState,
    AccountLoss,
    DirectoryEntry,
    LogCreation,
    OpenRemoval,
    PlatformJob,
    RemovalReader,
    RemovedAudience,
    RetryPointer,
)

resolve_types(*Record.__constraints__)

Read = TypeVar("Read")


def encode_audience_batch(batch: AudienceBatch, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a batch into one record, whatever its size."""
    return join_blocks(batch, list(user_blocks(batch.users)), framing)


def decode_audience_batch(value: bytes, framing: Framing = SINGLE_OBJECT) -> AudienceBatch:
    """Decode a batch. Raises UndecodableError, RegistryUnavailableError."""
    return open_audience_batch(value, framing, lambda _: True).batch


class OpenedBatch(msgspec.Struct, frozen=True):
    """A batch, perhaps without its users, and how many those are."""

    batch: AudienceBatch
    users: int


def open_audience_batch(value: bytes, framing: Framing, is_wanted: Callable[[AudienceBatch], bool]) -> OpenedBatch:
    """Decode a batch; decode its users only if it is wanted, and else only check and count them.

    Either way it is undecodable by the same bytes. Raises UndecodableError, RegistryUnavailableError.
    """
    mode: Mode = "remove" if framing.is_of("AudienceRemoval", value) else "add"
    return _opened(BATCHES[mode], value, framing, lambda writer, body: _read_batch(mode, writer, body, is_wanted))


def open_batch_head(value: bytes, framing: Framing) -> AudienceBatch:
    """Decode what a batch says besides its users, who may yet prove undecodable.

    Raises UndecodableError, RegistryUnavailableError.
    """
    mode: Mode = "remove" if framing.is_of("AudienceRemoval", value) else "add"
    return _opened(BATCHES[mode], value, framing, lambda writer, body: _read_head(mode, writer, body))


def is_todays_batch(value: bytes) -> bool:
    """Tell whether a value names today's schema of a batch in its header, so that no registry has to be asked."""
    return value[:10] in _todays_marks()


@cache
def _todays_marks() -> frozenset[bytes]:
    return frozenset(SINGLE_OBJECT.header(name) for name in BATCHES.values())


def encode_batch_completion(completion: BatchCompletion, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a completion."""
    return _encode(completion, framing)


def decode_batch_completion(value: bytes, framing: Framing = SINGLE_OBJECT) -> BatchCompletion:
    """Decode a completion. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(BatchCompletion, value, framing)


def encode_batch_receipt(receipt: BatchReceipt, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a receipt."""
    return _encode(receipt, framing)


def decode_batch_receipt(value: bytes, framing: Framing = SINGLE_OBJECT) -> BatchReceipt:
    """Decode a receipt. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(BatchReceipt, value, framing)


def encode_account_registration(registration: AccountRegistration, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a registration."""
    return _encode(registration, framing)


def decode_account_registration(value: bytes, framing: Framing = SINGLE_OBJECT) -> AccountRegistration:
    """Decode a registration. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(AccountRegistration, value, framing)


def encode_directory_entry(entry: DirectoryEntry, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode an entry of the directory."""
    return _encode(entry, framing)


def decode_directory_entry(value: bytes, framing: Framing = SINGLE_OBJECT) -> DirectoryEntry:
    """Decode an entry of the directory. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(DirectoryEntry, value, framing)


def encode_account_state(state: AccountState, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode an account's state."""
    return _encode(state, framing)


def decode_account_state(value: bytes, framing: Framing = SINGLE_OBJECT) -> AccountState:
    """Decode an account's state. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(AccountState, value, framing)


def encode_account_loss(loss: AccountLoss, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode an account's loss."""
    return _encode(loss, framing)


def decode_account_loss(value: bytes, framing: Framing = SINGLE_OBJECT) -> AccountLoss:
    """Decode an account's loss. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(AccountLoss, value, framing)


def encode_retry_pointer(pointer: RetryPointer, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a pointer to a record that is tried again later."""
    return _encode(pointer, framing)


def decode_retry_pointer(value: bytes, framing: Framing = SINGLE_OBJECT) -> RetryPointer:
    """Decode a pointer. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(RetryPointer, value, framing)


def encode_open_removal(record: OpenRemoval, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a removal that is open."""
    return _encode(record, framing)


def decode_open_removal(value: bytes, framing: Framing = SINGLE_OBJECT) -> OpenRemoval:
    """Decode a removal that is open. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(OpenRemoval, value, framing)


def encode_platform_job(record: PlatformJob, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode a job of a platform."""
    return _encode(record, framing)


def decode_platform_job(value: bytes, framing: Framing = SINGLE_OBJECT) -> PlatformJob:
    """Decode a job of a platform. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(PlatformJob, value, framing)


def encode_removed_audience(record: RemovedAudience, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode that people were removed from an audience."""
    return _encode(record, framing)


def decode_removed_audience(value: bytes, framing: Framing = SINGLE_OBJECT) -> RemovedAudience:
    """Decode that people were removed from an audience. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(RemovedAudience, value, framing)


def encode_removal_reader(record: RemovalReader, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode that a reader knows removals."""
    return _encode(record, framing)


def decode_removal_reader(value: bytes, framing: Framing = SINGLE_OBJECT) -> RemovalReader:
    """Decode that a reader knows removals. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(RemovalReader, value, framing)


def encode_log_creation(record: LogCreation, framing: Framing = SINGLE_OBJECT) -> bytes:
    """Encode how a log was created."""
    return _encode(record, framing)


def decode_log_creation(value: bytes, framing: Framing = SINGLE_OBJECT) -> LogCreation:
    """Decode how a log was created. Raises UndecodableError, RegistryUnavailableError."""
    return _decode(LogCreation, value, framing)


def content_hash(batch: AudienceBatch, blocks: Sequence[UserBlock]) -> bytes:
    """Return the SHA-256 that tells whether two requests ask for the same: name, type, options, mode and users.

    An addition has the hash that it had before there were modes.
    """
    buffer = io.BytesIO()
    options = {
        "name": batch.name,
        "type": batch.type,
        "disablePrefix": batch.disable_prefix,
        "channels": batch.channels,
        "mode": batch.mode,
    }
    schemaless_writer(buffer, _content_options_schema(batch.mode), options)
    digest = hashlib.sha256(buffer.getbuffer())
    for block in blocks:
        digest.update(block.items)
    return digest.digest()


class Part(msgspec.Struct, frozen=True):
    """One record of a request: its bytes, the batch that it says without the users, and how many those are."""

    batch: AudienceBatch
    users: int
    value: bytes


def split(
    batch: AudienceBatch,
    blocks: Sequence[UserBlock],
    framing: Framing = SINGLE_OBJECT,
    max_record: int = MAX_RECORD,
) -> list[Part]:
    """Encode a request into as many records as it takes to keep each under `max_record` bytes.

    `batch.users` is not looked at: the blocks are its users. Part, parts and first index are filled in.
    """
    packed = _packed(blocks, max_record - len(join_blocks(batch, [], framing)) - 64)
    parts, first = [], batch.first_index
    for part, group in enumerate(packed, start=1):
        header = msgspec.structs.replace(batch, part=part, parts=len(packed), first_index=first, users=[])
        users = sum(block.count for block in group)
        parts.append(Part(header, users, join_blocks(header, group, framing)))
        first += users
    return parts


def _packed(blocks: Sequence[UserBlock], room: int) -> list[list[UserBlock]]:
    groups: list[list[UserBlock]] = []
    free = 0
    for block in blocks:
        size = len(block.framed())
        if size > free or not groups:
            groups.append([])
            free = room
        groups[-1].append(block)
        free -= size
    return groups


def join_blocks(batch: AudienceBatch, blocks: Sequence[UserBlock], framing: Framing) -> bytes:
    """Encode a record from a batch without its users and the users' blocks."""
    buffer = io.BytesIO()
    buffer.write(framing.header(BATCHES[batch.mode]))
    schemaless_writer(buffer, _headless_schema(), _builtins(msgspec.structs.replace(batch, users=[])))
    for block in blocks:
        buffer.write(block.framed())
    buffer.write(b"\x00")
    return buffer.getvalue()


def _encode(record: Small, framing: Framing) -> bytes:
    name = type(record).__name__
    buffer = io.BytesIO()
    buffer.write(framing.header(name))
    try:
        schemaless_writer(buffer, reader_schema(name), _builtins(record))
    except Exception as error:
        raise UnencodableError(f"the schema of {name} can't hold it") from error
    return buffer.getvalue()


def _decode(kind: type[Record], value: bytes, framing: Framing) -> Record:
    name = kind.__name__
    return _opened(name, value, framing, lambda writer, body: _read(kind, name, writer, body))


def _opened(name: str, value: bytes, framing: Framing, read: Callable[[WriterSchema, memoryview], Read]) -> Read:
    """Read a value, bounded by the bytes that it takes; whatever goes wrong is the value's fault."""
    try:
        return read(*framing.open(name, value))
    except (UndecodableError, RegistryUnavailableError):
        raise
    except TooManyUsersError:
        raise UndecodableError(f"more than {MAX_USERS} users") from None
    except Exception as error:
        raise UndecodableError(f"the bytes are no {name}") from error


def _read_batch(
    mode: Mode, written_by: WriterSchema, body: memoryview, is_wanted: Callable[[AudienceBatch], bool]
) -> OpenedBatch:
    """Read a batch by the code for today's schema; what that does not take, and other schemas, by fastavro."""
    name = BATCHES[mode]
    if written_by is todays_writer(name):
        with suppress(Exception):  # it is wrong or unusual: see schemas.avro.users
            return _read_todays_batch(mode, bytes(body), is_wanted)
    check_users(written_by, body)
    batch = _of_mode(mode, _read(AudienceBatch, name, written_by, body))
    users = len(batch.users)
    return OpenedBatch(batch if is_wanted(batch) else msgspec.structs.replace(batch, users=[]), users)


def _read_todays_batch(mode: Mode, body: bytes, is_wanted: Callable[[AudienceBatch], bool]) -> OpenedBatch:
    buffer = io.BytesIO(body)
    head = _of_mode(mode, _converted(AudienceBatch, {**_decoded(buffer, _headless_writer()), "users": []}))
    if not is_wanted(head):
        return OpenedBatch(head, count_users(body, buffer.tell()))
    users = decode_users(body, buffer.tell())
    return OpenedBatch(msgspec.structs.replace(head, users=users), len(users))


def _read_head(mode: Mode, written_by: WriterSchema, body: memoryview) -> AudienceBatch:
    name = BATCHES[mode]
    if written_by is todays_writer(name):
        decoded = _decoded(io.BytesIO(body), _headless_writer())
    else:
        check_users(written_by, body)
        decoded = _decoded(io.BytesIO(body), written_by.parsed, _headless_reader(name))
    return _of_mode(mode, _converted(AudienceBatch, {**decoded, "users": []}))


def _of_mode(mode: Mode, batch: AudienceBatch) -> AudienceBatch:
    return batch if batch.mode == mode else msgspec.structs.replace(batch, mode=mode)


def _read(kind: type[Record], name: str, written_by: WriterSchema, body: memoryview) -> Record:
    buffer, todays = io.BytesIO(body), todays_writer(name)
    decoded = _decoded(buffer, written_by.parsed, None if written_by is todays else todays.parsed)
    if buffer.read(1):
        raise UndecodableError(f"bytes are left after the {name}")
    return _converted(kind, decoded)


def _decoded(buffer: io.BytesIO, writer: Schema, reader: Schema | None = None) -> dict[str, Any]:
    return cast(dict[str, Any], schemaless_reader(buffer, writer, reader))


def _converted(kind: type[Record], decoded: dict[str, Any]) -> Record:
    set_times(decoded, _times(kind.__name__))
    return msgspec.convert(decoded, kind, builtin_types=_NATIVE)


@cache
def _times(record: str) -> Times:
    return times_of(reader_schema(record))


def _builtins(record: msgspec.Struct) -> Any:
    return msgspec.to_builtins(record, builtin_types=_NATIVE)


@cache
def _headless_schema() -> Schema:
    """AudienceBatch without its last field, the users; AudienceRemoval's other fields are the same."""
    whole = reader_schema("AudienceBatch")
    return _parsed(whole | {"fields": whole["fields"][:-1]})


def _headless_writer() -> Schema:
    """AudienceBatch without its users, as it is read: times are numbers; AudienceRemoval's fields are the same."""
    return _headless_reader("AudienceBatch")


@cache
def _headless_reader(name: str) -> Schema:
    whole = todays_writer(name).plain
    return _parsed(whole | {"fields": whole["fields"][:-1]})


@cache
def _content_options_schema(mode: Mode) -> Schema:
    fields = {field["name"]: field for field in reader_schema("AudienceBatch")["fields"]}
    chosen = [fields[name] for name in ("name", "type", "disablePrefix", "channels")]
    if mode != "add":
        [of_receipt] = [field for field in reader_schema("BatchReceipt")["fields"] if field["name"] == "mode"]
        chosen.append(of_receipt)
    return _parsed({"type": "record", "name": "ContentOptions", "fields": chosen})


def _parsed(schema: Schema) -> Schema:
    return cast(Schema, parse_schema(schema, _force=True))
