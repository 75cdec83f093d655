"""The users of a batch in Avro, by code that is generated for their schema on first use.

Readers take what every Avro library writes. For anything else they raise an error: for what is wrong, and for what is
unusual, such as a number in more bytes than it needs. Which of the two it is, fastavro says.
"""

from collections.abc import Callable, Sequence
from functools import cache

from schemas.avro.decoder import Decode, decoder
from schemas.avro.encoder import Encode, encoder
from schemas.avro.framing import reader_schema
from schemas.avro.layouts import Layout, layout_of
from schemas.avro.varints import UnusualError, read_long
from schemas.avro.walker import Walk, walker
from schemas.bounds import MAX_USERS
from schemas.records import AudienceUser


def encode_users(users: Sequence[AudienceUser]) -> list[bytes]:
    """Encode users, each as an item of an array."""
    return _encoder()(users)


def decode_users(data: bytes, at: int) -> list[AudienceUser]:
    """Decode an array of users, which goes from a place of the data to its end. Raises one of several errors."""
    users: list[AudienceUser] = []
    decode = _decoder()
    _through_blocks(data, at, lambda begin, count: decode(data, begin, count, users.append))
    return users


def count_users(data: bytes, at: int) -> int:
    """Count the users of an array without making any. Raises wherever `decode_users` does."""
    walk = _walker()
    return _through_blocks(data, at, lambda begin, count: walk(data, begin, count))


def _through_blocks(data: bytes, at: int, take: Callable[[int, int], int]) -> int:
    """Go through blocks with and without a size, which is not believed. Return how many items there are."""
    total = 0
    while True:
        count, at = read_long(data, at)
        if not count:
            break
        if count < 0:
            count, (_, at) = -count, read_long(data, at)
        total += count
        if total > MAX_USERS:
            raise UnusualError
        at = take(at, count)
    if at != len(data):
        raise UnusualError
    return total


@cache
def _layout() -> Layout:
    return layout_of(reader_schema("AudienceBatch")["fields"][-1]["type"]["items"], AudienceUser)


@cache
def _encoder() -> Encode:
    return encoder(_layout())


@cache
def _decoder() -> Decode:
    return decoder(_layout())


@cache
def _walker() -> Walk:
    return walker(_layout())
