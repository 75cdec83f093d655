"""Records for the log: right ones, ones with fields at their extremes, and ones with bytes changed."""

import io
import math
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastavro import schemaless_writer

from schemas.avro.framing import SINGLE_OBJECT, todays_writer
from schemas.bounds import MAX_NAME
from schemas.home_partition import home_partition

ADDITION, REMOVAL = "AudienceBatch", "AudienceRemoval"
REMOVALS = 0.3
"""Share of records that take users out."""

PARTITIONS = 12
"""Of the log, as `layout` makes it."""

NAMES = ("VIP", "Newsletter", "Winter coats")
SMALL, LARGE = 2**31, 2**63
LONG = 300_000
"""Characters of a text that no field should have; a few of them fill a record."""

_NUMBERS: Sequence[object] = (None, 0, 1, -1, 2**31, 2**53, 2**53 + 1, LARGE - 1, -LARGE)
_PARTS: Sequence[object] = (0, 1, 2, -1, SMALL - 1, -SMALL)
_TEXTS: Sequence[object] = ("", " ", "\x00", "\r\n", "\ufffd", "\u202e", "\U0001f600", "x" * 255, "\U0001f600" * 256)
_USER_TEXTS: Sequence[object] = (None, *_TEXTS, "x" * 1024, "x" * 1025)

EXTREMES: Mapping[str, Sequence[object]] = {
    "batchId": (*_TEXTS, "x" * LONG, str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1)).upper()),
    "contentHash": (None, bytes(32), b"\xff" * 32),
    "part": _PARTS,
    "parts": _PARTS,
    "firstIndex": [number for number in _NUMBERS if number is not None] + [2**53 - 1, LARGE - 2],
    "sessionId": (None, *_TEXTS, "9" * 1024, "9" * 1025, "x" * LONG),
    "sequence": _NUMBERS,
    "totalBatches": _NUMBERS,
    "totalUsers": _NUMBERS,
    "pullDate": (None, 0, -1, SMALL - 1, -SMALL),
    "name": (*_TEXTS, "x" * 256, "x" * LONG, "\U0001f600" * 150_000),
    "type": ("custom", "primary"),
    "disablePrefix": (True, False),
    "channels": (None, [], ["facebook"], ["nobody"], [""], ["\x00"], ["x" * 129], ["x"] * 1001, ["x" * LONG]),
    "acceptedAt": (None, 0, -1, 2**53, LARGE - 1, -LARGE),
    "users": ([], [{}], [{}] * 3000),
}

USER_EXTREMES: Mapping[str, Sequence[object]] = {
    **dict.fromkeys(("edgeTagId", "email", "phone", "firstName", "lastName", "country", "postalCode"), _USER_TEXTS),
    "currency": _USER_TEXTS,
    "profit": (None, 0.0, -0.0, math.nan, math.inf, -math.inf, 1.7e308, 5e-324),
    "total7Days": (None, 0.0, math.nan, math.inf, -math.inf, -1.7e308),
}
"""Of a user and of the purchase."""

_ALL = {**EXTREMES, **USER_EXTREMES}

_PURCHASE = ("currency", "profit", "total7Days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A record as it is written, and what was done to it."""

    kind: str
    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None
    """None: the one of its key."""


def made_of(kind: str, record: str, fields: Mapping[str, Any]) -> Made:
    """Return a record as a right publisher writes it: by its key, a removal at home."""
    name = fields["name"] if len(fields["name"]) <= MAX_NAME else NAMES[0]
    key = f"{fields['type']}:{name}"
    is_removal = record == REMOVAL
    return Made(
        kind=f"removal, {kind}" if is_removal else kind,
        value=SINGLE_OBJECT.header(record) + encoded(record, fields),
        key=key.encode(),
        partition=home_partition(key, PARTITIONS) if is_removal else None,
    )


def any_record(chance: random.Random) -> str:
    """Return what a record is of."""
    return REMOVAL if chance.random() < REMOVALS else ADDITION


def one_extreme(chance: random.Random, number: int) -> Made:
    """Return a record with one field at an extreme, the next one by the next number."""
    every = [(name, value) for name, values in _ALL.items() for value in values]
    name, value = every[number % len(every)]
    return made_of(name, any_record(chance), _with(right_fields(chance), name, value))


def some_extremes(chance: random.Random, number: int) -> Made:
    """Return a record with several fields at extremes."""
    del number
    fields = right_fields(chance)
    chosen = chance.sample(sorted(_ALL), chance.randint(2, 5))
    for name in sorted(chosen, key=lambda name: name != "users"):
        fields = _with(fields, name, chance.choice(_ALL[name]))
    return made_of("+".join(sorted(chosen)), any_record(chance), fields)


def _with(fields: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    if name in EXTREMES:
        return {**fields, name: value}
    user = fields["users"][0] if fields["users"] else {}
    inner = {**(user.get("purchase") or {}), name: value}
    return {**fields, "users": [{**user, **({"purchase": inner} if name in _PURCHASE else {name: value})}]}


def mutated(chance: random.Random, number: int) -> Made:
    """Return a right record with bytes changed, in the next way by the next number."""
    mutation = MUTATIONS[number % len(MUTATIONS)]
    right = made_of(mutation.__name__.strip("_"), any_record(chance), right_fields(chance))
    return replace(right, value=changed(chance, right.value or b"", mutation))


Mutation = Callable[[random.Random, bytearray], None]


def changed(chance: random.Random, value: bytes, mutation: Mutation) -> bytes:
    """Return a value with up to three mutations."""
    found = bytearray(value)
    for _ in range(chance.randint(1, 3)):
        mutation(chance, found)
    return bytes(found)


def _flip(chance: random.Random, value: bytearray) -> None:
    value[_place(chance, value)] ^= 1 << chance.randrange(8)


def _replace(chance: random.Random, value: bytearray) -> None:
    value[_place(chance, value)] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def _insert(chance: random.Random, value: bytearray) -> None:
    place = _place(chance, value)
    value[place:place] = chance.choice((b"\x00", b"\x80", b"\xff" * 9 + b"\x01", chance.randbytes(4)))


def _leave_out(chance: random.Random, value: bytearray) -> None:
    place = _place(chance, value)
    del value[place : place + chance.randint(1, 4)]


def _cut(chance: random.Random, value: bytearray) -> None:
    del value[_place(chance, value) :]


def _repeat(chance: random.Random, value: bytearray) -> None:
    place = _place(chance, value)
    value[place:place] = value[place : place + chance.randint(1, 200)]


MUTATIONS: Sequence[Mutation] = (_flip, _replace, _insert, _leave_out, _cut, _repeat)


def _place(chance: random.Random, value: bytearray) -> int:
    if not value:
        value.append(0)
    return chance.randrange(len(value))


def right_fields(chance: random.Random) -> dict[str, Any]:
    """Return the fields of a right batch; times are numbers, as some can't be held otherwise."""
    return {
        "batchId": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "contentHash": None,
        "part": 1,
        "parts": 1,
        "firstIndex": 0,
        "sessionId": str(chance.randrange(20)),
        "sequence": 1,
        "totalBatches": 1,
        "totalUsers": 1,
        "pullDate": 20_000,
        "name": chance.choice(NAMES),
        "type": "custom",
        "disablePrefix": False,
        "channels": None,
        "acceptedAt": 1_790_000_000_000,
        "users": [{"email": f"person{chance.randrange(10**9)}@example.com", "country": "DE"}],
    }


def encoded(record: str, fields: Mapping[str, object]) -> bytes:
    """Return the Avro of a record, without what says which schema wrote it."""
    buffer = io.BytesIO()
    schemaless_writer(buffer, todays_writer(record).parsed, fields)
    return buffer.getvalue()
