"""What ingestion costs a core: JSON users to records of the log, beside the obvious stack and the floor."""

import asyncio
import io
import json
from functools import partial

import msgspec
from fastavro import schemaless_writer
from pydantic import BaseModel, ConfigDict, TypeAdapter

from benchmarks.pairs import compare
from checks.equality.general_codec import encode_users
from producer.records import encode
from producer.request.encoded_users import encoded_users
from producer.request.users_json import parse_users
from schemas.avro.blocks import UserBlock
from schemas.avro.codec import Part, content_hash, split
from schemas.avro.framing import SINGLE_OBJECT, reader_schema
from schemas.records import AudienceBatch

USERS = 10_000
BATCH = AudienceBatch(batch_id="b", name="VIP", users=[])


class PydanticPurchase(BaseModel):
    """A purchase as one would first write it."""

    model_config = ConfigDict(strict=True)

    currency: str | None = None
    profit: float | None = None
    total7Days: float | None = None  # noqa: N815 -- the name in the JSON


class PydanticUser(BaseModel):
    """A user as one would first write it."""

    model_config = ConfigDict(strict=True)

    edgeTagId: str | None = None  # noqa: N815 -- the name in the JSON
    email: str | None = None
    phone: str | None = None
    firstName: str | None = None  # noqa: N815 -- the name in the JSON
    lastName: str | None = None  # noqa: N815 -- the name in the JSON
    country: str | None = None
    postalCode: str | None = None  # noqa: N815 -- the name in the JSON
    purchase: PydanticPurchase | None = None


def make_payload(users: int = USERS) -> bytes:
    """Return made-up users as a client sends them."""
    return b"[%b]" % b", ".join(json.dumps(_user(number)).encode() for number in range(users))


def _user(number: int) -> dict[str, object]:
    return {
        "edgeTagId": f"edge-{number}",
        "email": f"person{number}@example.com",
        "phone": f"+1415{5550000 + number}",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "country": "US",
        "postalCode": "94107",
        "purchase": {"currency": "USD", "profit": number / 4, "total7Days": 1.0},
    }


def ours(payload: bytes) -> list[Part]:
    """Do what the endpoint does: parse, encode, hash, split."""
    ingested = _ingested(payload)
    del payload  # as the endpoint does, so that what is parsed is not held
    return asyncio.run(ingested)


async def _ingested(payload: bytes) -> list[Part]:
    users = await encoded_users(payload)
    del payload
    return await encode(BATCH, users.blocks, SINGLE_OBJECT)


def before(payload: bytes) -> list[Part]:
    """Do the same in the general way: parse all users, and encode them by fastavro."""
    users = parse_users(payload).users
    del payload
    blocks = [
        UserBlock(len(some), encode_users(some))
        for some in (users[start : start + 500] for start in range(0, len(users), 500))
    ]
    return split(msgspec.structs.replace(BATCH, content_hash=content_hash(BATCH, blocks)), blocks)


def obvious(payload: bytes) -> int:
    """Parse by pydantic models and encode by fastavro, without hash and split."""
    users = TypeAdapter(list[PydanticUser]).validate_json(payload)
    buffer = io.BytesIO()
    record = {"batchId": "b", "name": "VIP", "users": [user.model_dump() for user in users]}
    schemaless_writer(buffer, reader_schema("AudienceBatch"), record)
    return len(buffer.getvalue())


def floor(payload: bytes) -> int:
    """Look at every byte once and copy them twice: less is not possible."""
    return bytes(bytearray(payload)).count(b"}")


def measure_ingest() -> None:
    """Run ours beside each other way, in turn."""
    payload = make_payload()
    print(f"ingest, {USERS:,} users of {len(payload) // USERS} bytes a batch")  # noqa: T201 -- the output
    for name, way in (("the obvious stack", obvious), ("before", before), ("the floor", floor)):
        ratios = compare(partial(way, payload), partial(ours, payload))
        other, own = (seconds * 1e6 / USERS for seconds in ratios.medians())
        print(f"  {ratios} as fast as {name}; {own:.2f} and {other:.2f} us a user")  # noqa: T201 -- the output
