"""Rows of TikTok's mappings: what their schema may be, and what is right in them, one by one."""

import re

from sandbox.kit.platform import HASH
from sandbox.tiktok.errors import refused

MAX_ROWS = 1000
SCHEMAS = frozenset({"EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256", "IDFA_MD5", "AAID_MD5"})
_MD5 = re.compile(r"[0-9a-f]{32}")


def is_id(value: object) -> bool:
    """Tell whether an id is text of digits: as numbers, ids would lose their last digits."""
    return isinstance(value, str) and value.isascii() and value.isdecimal()


def kinds_of(schema: object) -> list[str]:
    """Return the kinds of id that a schema names. Raises Refusal where it is wrong."""
    if not isinstance(schema, list) or not schema or not all(isinstance(kind, str) for kind in schema):
        raise refused(40002, "id_schema: Invalid value")
    kinds = [kind.upper() for kind in schema]
    if len(set(kinds)) != len(kinds) or not SCHEMAS.issuperset(kinds):
        raise refused(40002, "id_schema: Invalid or duplicate value")
    return kinds


def is_filled(kind: str, cell: object) -> bool:
    """Tell whether a cell has an id; raises Refusal where it is neither empty nor right."""
    if cell == {}:
        return False
    form = _MD5 if kind.endswith("MD5") else HASH
    names = cell.get("audience_ids") if isinstance(cell, dict) else None
    if not isinstance(cell, dict) or not isinstance(names, list) or not names or not all(map(is_id, names)):
        raise refused(40002, "batch_data: Missing audience_ids")
    if not isinstance(cell.get("id"), str) or not form.fullmatch(cell["id"]):
        raise refused(40002, "batch_data: Invalid id")
    return True
