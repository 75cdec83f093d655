"""What a record costs a core to read: with its users, and to judge it without them; beside the general way."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.clean_users import clean_user
from benchmarks.pairs import compare
from checks.equality.general_codec import decode_batch
from schemas.avro.codec import decode_audience_batch, encode_audience_batch, open_audience_batch
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import AudienceBatch, AudienceUser
from streams.read.batch_decoding import nothing

USERS = 5_000
"""Of a record, which is somewhat smaller than the largest then."""

SINGLES = 500
"""Records of one user each that are read in one go."""


def make_users(number: int) -> Mapping[str, Sequence[AudienceUser]]:
    """Return made-up users by what they have: all fields in ASCII, letters of other scripts, or hashes."""
    return {
        "clean": [clean_user(n) for n in range(number)],
        "names with umlauts": [
            AudienceUser(email=f"p{n}@example.com", first_name="J\u00fcrgen") for n in range(number)
        ],
        "hashes": [AudienceUser(email=_digest(n), phone=_digest(-n), country="DE") for n in range(number)],
    }


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def measure_codec() -> None:
    """Read records of many users and of one, by each way in turn."""
    print(f"codec, records of {USERS:,} users, and {SINGLES} of one, beside the general way")  # noqa: T201 -- the output
    for kind, users in make_users(USERS).items():
        _measure(kind, [_value(users)], USERS)
    _measure("one clean user", [_value([user]) for user in make_users(SINGLES)["clean"]], SINGLES)


def _value(users: Sequence[AudienceUser]) -> bytes:
    return encode_audience_batch(AudienceBatch(batch_id="b", name="VIP", users=[*users]))


def _measure(kind: str, values: Sequence[bytes], users: int) -> None:
    for what, way in (("decode", _decode), ("judge", _judge)):
        ratios = compare(partial(_decode_before, values), partial(way, values))
        general, own = (seconds * 1e6 / users for seconds in ratios.medians())
        print(f"  {what:6} {kind:20} {ratios}; {own:.2f} instead of {general:.2f} us a user")  # noqa: T201 -- the output


def _decode_before(values: Sequence[bytes]) -> None:
    for value in values:
        decode_batch(value)


def _decode(values: Sequence[bytes]) -> None:
    for value in values:
        decode_audience_batch(value)


def _judge(values: Sequence[bytes]) -> None:
    for value in values:
        open_audience_batch(value, SINGLE_OBJECT, nothing)
