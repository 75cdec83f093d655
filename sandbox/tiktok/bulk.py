"""TikTok's mappings checked by whole columns. Where any row is wrong, `sandbox.tiktok.rows` checks each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from sandbox.kit.bulk_checks import MD5, SHA256, are_hashes, decode_as
from sandbox.kit.platform import Refusal
from sandbox.kit.store import Member
from sandbox.tiktok.rows import MAX_ROWS, is_id, kinds_of

Action = Literal["add", "delete"]
Id = str | UnsetType


class _Cell(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str | UnsetType = UNSET
    audience_ids: tuple[str, ...] | UnsetType = UNSET


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    advertiser_ids: list[str]
    id_schema: list[str]
    batch_data: list[tuple[_Cell, ...]]
    action: Action = "add"


_BODY = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundMapping:
    """Rows which all are right, and which all are for one audience."""

    accounts: list[str]
    action: Action
    audience: str
    members: Sequence[Member]


def sound_mapping(body: bytes) -> SoundMapping | None:
    """Return the mapping that a body is; None unless each of its rows is known to be right."""
    decoded = decode_as(_BODY, body)
    kinds = _kinds(decoded.id_schema) if decoded else []
    if decoded is None or not decoded.advertiser_ids or not all(map(is_id, decoded.advertiser_ids)):
        return None
    rows = decoded.batch_data
    if not 1 <= len(rows) <= MAX_ROWS or not kinds or set(map(len, rows)) != {len(kinds)}:
        return None
    cells = list(chain.from_iterable(rows))
    audience, members = _only_audience(cells), _members(kinds, [cell.id for cell in cells])
    if audience is None or members is None:
        return None
    return SoundMapping(accounts=decoded.advertiser_ids, action=decoded.action, audience=audience, members=members)


def _kinds(schema: list[str]) -> list[str]:
    """Return the kinds of id, none where they would be refused."""
    try:
        return kinds_of(schema)
    except Refusal:
        return []


def _only_audience(cells: Sequence[_Cell]) -> str | None:
    """Return the audience that all filled cells name; None if there are several, or cells that are half filled."""
    if [cell.id is UNSET for cell in cells] != [cell.audience_ids is UNSET for cell in cells]:
        return None
    named = {cell.audience_ids for cell in cells} - {UNSET}
    names = named.pop() if len(named) == 1 else UNSET
    return names[0] if names is not UNSET and len(names) == 1 and is_id(names[0]) else None


def _members(kinds: Sequence[str], ids: Sequence[Id]) -> Sequence[Member] | None:
    """Return the ids of each row without those that are not there; None unless all are right, and each row has one."""
    filled = [[one for one in ids[place :: len(kinds)] if one is not UNSET] for place in range(len(kinds))]
    forms = (MD5 if kind.endswith("MD5") else SHA256 for kind in kinds)
    if not all(are_hashes(column, form) for column, form in zip(filled, forms, strict=True)):
        return None
    if sum(map(len, filled)) == len(ids):
        return list(zip(*filled, strict=True))
    rows = zip(*(ids[place :: len(kinds)] for place in range(len(kinds))), strict=True)
    members = [tuple(one for one in row if one is not UNSET) for row in rows]
    return members if all(members) else None
