"""Right values in records that are not: by another key, in another partition, with headers that nobody reads."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from checks.records.values import ADDITION, PARTITIONS, REMOVAL, Made, any_record, made_of, right_fields
from schemas.home_partition import home_partition
from streams.read.batch_decoding import ID_IN_HEADER

LONG = 100_000
"""Bytes of a key or a header."""

MANY = 1_000
"""Headers of one record."""

MARK = 10
"""Bytes by which a value says which schema wrote it."""

_ID = b"\x01" + bytes(16)

KEYS: Mapping[str, bytes | None] = {
    "no key": None,
    "empty key": b"",
    "key that is no text": b"\xff\xfe\x00",
    "key of another audience": b"custom:Somebody else's",
    "key of the other type": b"primary:VIP",
    "long key": b"x" * LONG,
}

HEADERS: Mapping[str, Sequence[tuple[str, bytes | None]]] = {
    "source": [("audience-source", b"direct")],
    "source of ours": [("audience-source", b"http/resumed")],
    "empty source": [("audience-source", b"")],
    "source that is no text": [("audience-source", b"\xff\xfe\x00")],
    "long source": [("audience-source", b"x" * LONG)],
    "source twice": [("audience-source", b"direct"), ("audience-source", b"http")],
    "header without a value": [("audience-source", None)],
    "header without a name": [("", b"x")],
    "many headers": [(f"h{number}", b"x") for number in range(MANY)],
    "trace that is none": [("traceparent", b"00-\xff"), ("tracestate", b"\x00" * LONG)],
    "other content type": [("content-type", b"text/html")],
    "schema id in a header": [(ID_IN_HEADER, _ID)],
}

VALUES: Mapping[str, bytes | None] = {"no value": None, "empty value": b"", "mark alone": b"\xc3\x01"}


def enveloped(chance: random.Random, number: int) -> Made:
    """Return a record that is right but for what is around its value, the next way by the next number."""
    kind, change = list(ENVELOPES.items())[number % len(ENVELOPES)]
    return change(chance, kind)


Change = Callable[[random.Random, str], Made]


def _with(**changes: object) -> Change:
    def changed(chance: random.Random, kind: str) -> Made:
        made = made_of(kind, any_record(chance), right_fields(chance))
        return replace(made, **changes)  # type: ignore[arg-type] # fields of Made, by their names above

    return changed


def _elsewhere(record: str) -> Change:
    def moved(chance: random.Random, kind: str) -> Made:
        made = made_of(kind, record, right_fields(chance))
        home = home_partition((made.key or b"").decode(), PARTITIONS)
        partition = chance.choice([number for number in range(PARTITIONS) if number != home])
        return replace(made, kind=kind, partition=partition)

    return moved


def _without_mark(chance: random.Random, kind: str) -> Made:
    made = made_of(kind, any_record(chance), right_fields(chance))
    return replace(made, value=(made.value or b"")[MARK:], headers=[(ID_IN_HEADER, _ID)])


ENVELOPES: Mapping[str, Change] = {
    **{kind: _with(key=key) for kind, key in KEYS.items()},
    **{kind: _with(headers=headers) for kind, headers in HEADERS.items()},
    **{kind: _with(value=value) for kind, value in VALUES.items()},
    "addition elsewhere": _elsewhere(ADDITION),
    "misplaced removal": _elsewhere(REMOVAL),
    "schema id in a header only": _without_mark,
}
