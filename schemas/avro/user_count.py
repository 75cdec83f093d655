"""Counts the users of a value without decoding it, as one byte may decode to a user of some 500 bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.avro.writer_schemas import WriterSchema
from schemas.bounds import MAX_USERS

_FIXED_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class TooManyUsersError(Exception):
    """A value holds more users than any request may."""


def check_users(writer: WriterSchema, body: memoryview) -> None:
    """Raise TooManyUsersError where a value holds more than MAX_USERS users, IndexError where it ends too early.

    Most values are too short to hold so many, and need not be gone through.
    """
    if len(body) // writer.least_user > MAX_USERS:
        _Walk(writer, body).record(writer.plain, is_outermost=True)


@dataclass(slots=True)
class _Walk:
    """Goes through a value by its schema. Sizes of blocks are not believed: fastavro does not look at them either."""

    writer: WriterSchema
    body: memoryview
    at: int = 0

    def record(self, schema: Any, *, is_outermost: bool = False) -> None:
        """Pass a record."""
        for field in schema["fields"]:
            if is_outermost and field["name"] == "users":
                self._pass(field["type"], _count_up_to(MAX_USERS))
            else:
                self._pass(field["type"], _any_count)

    def _pass(self, schema: Any, count: Callable[[int], None]) -> None:
        if isinstance(schema, list):
            self._pass(schema[self._long()], count)
            return
        if isinstance(schema, str):
            schema = self.writer.named.get(schema, {"type": schema})
        kind = schema["type"]
        if kind == "record":
            self.record(schema)
        elif kind in ("array", "map"):
            self._items(schema, count)
        elif kind in ("bytes", "string", "fixed"):
            self._forward(schema["size"] if kind == "fixed" else self._long())
        elif kind in _FIXED_SIZES:
            self._forward(_FIXED_SIZES[kind])
        else:
            self._long()

    def _items(self, schema: Any, count: Callable[[int], None]) -> None:
        while claimed := self._long():
            if claimed < 0:
                claimed = -claimed
                self._long()
            count(claimed)
            for _ in range(claimed):
                if schema["type"] == "map":
                    self._forward(self._long())
                self._pass(schema.get("items") or schema["values"], _any_count)

    def _forward(self, size: int) -> None:
        if not 0 <= size <= len(self.body) - self.at:
            raise IndexError
        self.at += size

    def _long(self) -> int:
        number = shift = 0
        while (byte := self.body[self.at]) & 0x80:
            number |= (byte & 0x7F) << shift
            self.at, shift = self.at + 1, shift + 7
            if shift > 63:
                raise IndexError
        self.at += 1
        number |= byte << shift
        return (number >> 1) ^ -(number & 1)


def _any_count(claimed: int) -> None:
    del claimed  # each takes a byte at least, so the value's end is the bound


def _count_up_to(most: int) -> Callable[[int], None]:
    left = most

    def count(claimed: int) -> None:
        nonlocal left
        left -= claimed
        if left < 0:
            raise TooManyUsersError

    return count
