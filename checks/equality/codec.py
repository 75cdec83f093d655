"""Users in Avro and from JSON: generated code beside fastavro, slices beside the whole."""

import asyncio
import io
import json
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
from fastavro import schemaless_writer
from fastavro.schema import parse_schema

from checks.equality.general_codec import NAME, decode_batch, encode_users
from checks.equality.users import make_users
from checks.equality.verdict import Verdict
from checks.records.values import MUTATIONS
from producer.request.encoded_users import encoded_users, slices
from producer.request.users_json import PayloadError, UsersParser, parse_users
from schemas.avro import users as generated
from schemas.avro.codec import decode_audience_batch, join_blocks, open_audience_batch
from schemas.avro.framing import SINGLE_OBJECT, Framing, UndecodableError, schema_json
from schemas.avro.varints import encode_long
from schemas.avro.writer_schemas import Schema
from schemas.records import AudienceBatch, AudienceUser


@dataclass(frozen=True, slots=True)
class Case:
    """What one case gets wrong, None if nothing; and whether it is certain that the fast way took it."""

    fault: str | None
    is_fast: bool


def compare(seed: int, cases: int) -> Verdict:
    """Compare in so many cases, which a seed makes."""
    verdict = Verdict()
    for number in range(cases):
        case = case_of(f"{seed}-{number}")
        verdict.cases += 1
        verdict.fast += case.is_fast
        if case.fault is not None:
            verdict.differences.append(f"case {number}: {case.fault}")
    return verdict


def case_of(seed: str) -> Case:
    """Return what came of one case."""
    chance = random.Random(seed)  # noqa: S311 -- made-up users
    return chance.choices(_KINDS, _WEIGHTS)[0](chance)


def _encoding(chance: random.Random) -> Case:
    users = make_users(chance)
    same = b"".join(generated.encode_users(users)) == encode_users(users)
    return Case(None if same else "users are encoded otherwise than by fastavro", is_fast=True)


def _decoding(chance: random.Random) -> Case:
    """Users in blocks as any writer may cut them; sizes, which nobody believes, may be wrong."""
    batch, users = _batch(chance), make_users(chance, 12)
    array = array_of(chance, users)
    if repr(generated.decode_users(array, 0)) != repr(users) or generated.count_users(array, 0) != len(users):
        return Case("the generated code does not take what is as usual", is_fast=False)
    return Case(fault_of_value(_headed(batch, array), SINGLE_OBJECT), is_fast=True)


def _mutated(chance: random.Random) -> Case:
    """Bytes that are wrong, or that no writer writes; what the generated code does not take is left to fastavro."""
    array = bytearray(array_of(chance, make_users(chance, 3)))
    for _ in range(chance.randint(1, 3)):
        chance.choice(MUTATIONS)(chance, array)
    if chance.random() < 0.8:
        decoded, counted = decoded_and_counted(bytes(array))
        fault = None if decoded == counted else "users that are only counted are judged otherwise than decoded ones"
        fault = fault or fault_of_value(_headed(_batch(chance), bytes(array)), SINGLE_OBJECT)
        return Case(fault, is_fast=decoded is not None)
    value = bytearray(_headed(_batch(chance), bytes(array)))
    chance.choice(MUTATIONS)(chance, value)
    return Case(fault_of_value(bytes(value), SINGLE_OBJECT), is_fast=False)


def _other_writer(chance: random.Random) -> Case:
    """A schema of a registry: one that was released, or one with its fields in another order."""
    text = chance.choice(_writers())
    schema = json.loads(text)
    buffer = io.BytesIO()
    users = make_users(chance)
    batch = msgspec.structs.replace(_batch(chance), users=users)
    schemaless_writer(buffer, parse_schema(schema), msgspec.to_builtins(batch, builtin_types=(bytes,)))
    value = b"\x00\x00\x00\x00\x00" + buffer.getvalue()
    return Case(fault_of_value(value, Framing(_Registry(text))), is_fast=False)


def _json(chance: random.Random) -> Case:
    """An upload's users in slices beside the same as a whole: what they are, or what is wrong and where."""
    data = _written(chance)
    if chance.random() < 0.3:
        mutable = bytearray(data)
        chance.choice(MUTATIONS)(chance, mutable)
        data = bytes(mutable)
    size = chance.choice((0, 1, 20, 100, 1000))
    same = asyncio.run(_sliced(data, size)) == _whole(data)
    parser = UsersParser()
    is_fast = _number(lambda: sum(len(parser.take(array)) for array in slices(data, size))) is not None
    return Case(None if same else "slices of JSON say other than the whole", is_fast=is_fast)


_KINDS: Sequence[Callable[[random.Random], Case]] = (_encoding, _decoding, _mutated, _other_writer, _json)
_WEIGHTS = (3, 3, 5, 1, 3)


def decoded_and_counted(array: bytes) -> tuple[int | None, int | None]:
    """Return how many users the generated code decodes of an array, and how many it counts; None where it refuses."""
    return _number(lambda: len(generated.decode_users(array, 0))), _number(lambda: generated.count_users(array, 0))


def _number(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except Exception:
        return None


def fault_of_value(value: bytes, framing: Framing) -> str | None:
    """Return what is said of a value otherwise than by fastavro, None if nothing."""
    expected = _said(lambda: decode_batch(value, framing))
    if _said(lambda: decode_audience_batch(value, framing)) != expected:
        return "a batch is decoded otherwise than by fastavro"
    without_users = _said(lambda: _emptied(decode_batch(value, framing)))
    if _said(lambda: _headless(value, framing)) != without_users:
        return "a batch without its users is another, or refused otherwise"
    return None


def _headless(value: bytes, framing: Framing) -> tuple[AudienceBatch, int]:
    opened = open_audience_batch(value, framing, lambda _: False)
    return opened.batch, opened.users


def _emptied(batch: AudienceBatch) -> tuple[AudienceBatch, int]:
    return msgspec.structs.replace(batch, users=[]), len(batch.users)


def _said(read: Callable[[], object]) -> str:
    """Return what was read as text, as NaN equals nothing, or why nothing can be."""
    try:
        return repr(read())
    except UndecodableError as error:
        return str(error)


def _batch(chance: random.Random) -> AudienceBatch:
    return AudienceBatch(
        batch_id=str(uuid.UUID(int=chance.getrandbits(128))),
        content_hash=chance.choice((None, bytes(32))),
        first_index=chance.choice((0, 7, 2**53)),
        session_id=chance.choice((None, "7")),
        name=chance.choice(("VIP", "J\u00fcrgens", "\U0001f600" * 50)),
        channels=chance.choice((None, [], ["facebook", "tiktok/eu"])),
        users=[],
    )


def _headed(batch: AudienceBatch, array: bytes) -> bytes:
    """Return a batch with an array for its users."""
    return join_blocks(batch, [], SINGLE_OBJECT)[:-1] + array


def array_of(chance: random.Random, users: Sequence[AudienceUser]) -> bytes:
    """Return users as an array, in blocks of any number of them, with sizes and without."""
    array, rest = b"", list(users)
    while rest:
        size = chance.randint(1, len(rest))
        block, rest = rest[:size], rest[size:]
        items = encode_users(block)
        sized = encode_long(-len(block)) + encode_long(chance.choice((len(items), len(items), 0, -1, 2**40)))
        array += (sized if chance.random() < 0.5 else encode_long(len(block))) + items
    return array + b"\x00"


class _Registry:
    """A registry that has one schema."""

    def __init__(self, text: str) -> None:
        self._text = text

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id of any schema."""
        del record, schema
        return 0

    def schema_text(self, schema_id: int) -> str:
        """Return the schema."""
        del schema_id
        return self._text


@cache
def _writers() -> Sequence[str]:
    released = sorted(files("schemas").joinpath("released", NAME).iterdir(), key=lambda path: path.name)
    todays = json.loads(schema_json(NAME))
    return [*(path.read_text(encoding="utf-8") for path in released), json.dumps(_reordered(todays))]


def _reordered(schema: Schema) -> Schema:
    users = schema["fields"][-1]
    items = {**users["type"]["items"], "fields": users["type"]["items"]["fields"][::-1]}
    return {**schema, "fields": [*schema["fields"][1:-1], {**users, "type": {"type": "array", "items": items}},
                                 schema["fields"][0]]}  # fmt: skip


def _written(chance: random.Random) -> bytes:
    """Return users as JSON, written as clients do: with numbers, blanks, escapes and members that nobody knows."""
    plain = msgspec.to_builtins(make_users(chance, is_finite=True))
    for user in plain:
        if chance.random() < 0.15:
            user[chance.choice(("phone", "edgeTagId", "postalCode"))] = chance.choice((7, 7.0, 1e30, True, 2**70))
        if chance.random() < 0.15:
            user[chance.choice(("x", "e-mail", "purchases"))] = chance.choice((1, [{}, {}], {"a": [{}]}, "},{"))
        if chance.random() < 0.02:
            user["email"] = chance.choice((7, [], "x" * 1025))
    separators = chance.choice(((",", ":"), (", ", ": "), (" ,\r\n\t", ":")))
    text = json.dumps(plain, ensure_ascii=chance.random() < 0.5, separators=separators)
    halved = text.replace('"Ada"', '"\\ud83d"') if chance.random() < 0.1 else text
    return chance.choice((b"", b"", b" \n", b"\xef\xbb\xbf")) + halved.encode()


Parsed = tuple[bytes, int, object] | str
"""Encoded users, their number and the members that nobody knows; or what is wrong."""


async def _sliced(data: bytes, size: int) -> Parsed:
    try:
        found = await encoded_users(data, size)
    except PayloadError as error:
        return str(error)
    return b"".join(block.items for block in found.blocks), found.count, found.unknown


def _whole(data: bytes) -> Parsed:
    try:
        found = parse_users(data)
    except PayloadError as error:
        return str(error)
    return encode_users(found.users), len(found.users), found.unknown
