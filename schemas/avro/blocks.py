"""Users as blocks of an Avro array, of which records are put together."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from schemas.avro.users import encode_users
from schemas.avro.varints import encode_long
from schemas.bounds import MAX_RECORD
from schemas.records import AudienceUser

USERS_PER_BLOCK = 500
"""Users of a block, and those that are encoded in one go: less than a millisecond, so that other tasks can run."""

MAX_BLOCK = MAX_RECORD // 8
"""Bytes of a block, so that records can be filled well."""


class UserBlock(msgspec.Struct, frozen=True):
    """Users as Avro array items, without count or end."""

    count: int
    items: bytes

    def framed(self) -> bytes:
        """Return the block with its negative count and its size in bytes, so that a reader can skip it."""
        return encode_long(-self.count) + encode_long(len(self.items)) + self.items


def user_blocks(users: Sequence[AudienceUser], max_size: int = MAX_BLOCK) -> Iterator[UserBlock]:
    """Encode users block by block; a block is larger than `max_size` only if one user is.

    Other tasks can run between blocks.
    """
    starts = range(0, len(users), USERS_PER_BLOCK)
    for blocks in cut((encode_users(users[start : start + USERS_PER_BLOCK]) for start in starts), max_size):
        yield from blocks


def cut(encoded: Iterable[Sequence[bytes]], max_size: int = MAX_BLOCK) -> Iterator[list[UserBlock]]:
    """Cut encoded users into blocks, and return those that are full after each portion, in the end the rest.

    Where they are cut depends on the users alone: the same users become the same records, however they came.
    """
    waiting: list[bytes] = []
    for portion in encoded:
        waiting += portion
        full = len(waiting) - len(waiting) % USERS_PER_BLOCK
        starts = range(0, full, USERS_PER_BLOCK)
        yield [block for start in starts for block in _halved(waiting[start : start + USERS_PER_BLOCK], max_size)]
        del waiting[:full]
    yield list(_halved(waiting, max_size)) if waiting else []


def _halved(encoded: Sequence[bytes], max_size: int) -> Iterator[UserBlock]:
    if sum(map(len, encoded)) <= max_size or len(encoded) == 1:
        yield UserBlock(len(encoded), b"".join(encoded))
        return
    middle = len(encoded) // 2
    yield from _halved(encoded[:middle], max_size)
    yield from _halved(encoded[middle:], max_size)
