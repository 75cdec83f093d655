"""Users from JSON straight into Avro: only those of a slice of the JSON are typed at a time."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from producer.request.unknown_names import Ignored
from producer.request.users_json import UNREADABLE, PayloadError, UsersParser, parse_users
from schemas.avro.blocks import UserBlock, cut, user_blocks
from schemas.avro.users import encode_users

SLICE = 16 * 1024
"""Bytes of JSON that are parsed and encoded in one go, so that others get their turn in between.

They take a tenth of a millisecond; some three where they are the smallest users, with members that nobody knows.
"""

FARTHEST = 512 * 1024
"""Bytes behind a slice in which one object must end and another begin; the longest user that we know has 100 kB."""

_BEGINNING = re.compile(rb"[ \t\r\n]*\[")
_BETWEEN_OBJECTS = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")


class EncodedUsers(Struct, frozen=True):
    """Users of a request as blocks of records, and the members of theirs that we know nothing of."""

    blocks: list[UserBlock]
    unknown: tuple[Ignored, ...] = ()

    @property
    def count(self) -> int:
        """How many users there are."""
        return sum(block.count for block in self.blocks)


async def encoded_users(data: bytes, size: int = SLICE) -> EncodedUsers:
    """Parse the part `users` and encode them; others get their turn meanwhile. Raises PayloadError.

    What can't be parsed slice by slice is parsed as a whole, on another thread: that tells what is wrong, and where.
    """
    parser = UsersParser()
    try:
        blocks = await _in_turns(cut(encode_users(parser.take(array)) for array in slices(data, size)))
    except (*UNREADABLE, PayloadError):
        users = await asyncio.to_thread(parse_users, data)
        return EncodedUsers(await _in_turns([block] for block in user_blocks(users.users)), users.unknown)
    return EncodedUsers(blocks, await asyncio.to_thread(parser.unknown))  # a thousand names may be likened to ours


async def _in_turns(made: Iterable[Sequence[UserBlock]]) -> list[UserBlock]:
    blocks: list[UserBlock] = []
    for more in made:
        blocks += more
        await asyncio.sleep(0)
    return blocks


def slices(data: bytes, size: int) -> Iterator[bytes]:
    """Cut a JSON array of objects into several that are at least so long, but for the last one.

    It is cut where an object seems to end and another to begin. That may be within a text, but then what comes before
    is no JSON: where all slices can be parsed, they hold what the whole does, and else nothing is said of the whole.
    Raises PayloadError where it can't be cut.
    """
    beginning = _BEGINNING.match(data)
    if beginning is None:
        raise PayloadError("users: no array")
    at = beginning.end()
    while found := _BETWEEN_OBJECTS.search(data, at + size, at + size + FARTHEST):
        yield b"[%b]" % data[at : found.start() + 1]
        at = found.end()
    if len(data) - at > size + FARTHEST:
        raise PayloadError("users: an object without an end")
    yield b"[" + data[at:]
