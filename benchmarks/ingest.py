"""What ingestion costs a core: JSON users to records of the log, beside the obvious stack and the floor."""

import io
import json
import statistics
import time
from collections.abc import Callable

from fastavro import schemaless_writer
from pydantic import BaseModel, ConfigDict, TypeAdapter

from producer.request.users_json import parse_users
from schemas.avro.blocks import user_blocks
from schemas.avro.codec import content_hash, split
from schemas.avro.framing import reader_schema
from schemas.records import AudienceBatch

USERS = 10_000
RUNS = 15


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


def make_payload() -> bytes:
    """Return made-up users as a client sends them."""
    users = [
        {
            "edgeTagId": f"edge-{number}",
            "email": f"person{number}@example.com",
            "phone": f"+1415{5550000 + number}",
            "firstName": "Ada",
            "lastName": "Lovelace",
            "country": "US",
            "postalCode": "94107",
            "purchase": {"currency": "USD", "profit": number / 4, "total7Days": 1.0},
        }
        for number in range(USERS)
    ]
    return json.dumps(users).encode()


def ours(payload: bytes) -> int:
    """Do what the endpoint does: parse, encode, hash, split."""
    batch = AudienceBatch(batch_id="b", name="VIP", users=parse_users(payload).users)
    blocks = list(user_blocks(batch.users))
    content_hash(batch, blocks)
    return sum(len(part.value) for part in split(batch, blocks))


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
    """Run all three in turn, so that a change of the machine's speed meets each."""
    payload = make_payload()
    seconds: dict[str, list[float]] = {"ours": [], "obvious": [], "floor": []}
    ways: list[tuple[str, Callable[[bytes], int]]] = [("ours", ours), ("obvious", obvious), ("floor", floor)]
    for _ in range(RUNS):
        for name, way in ways:
            began = time.process_time()
            way(payload)
            seconds[name].append(time.process_time() - began)
    rate = {name: USERS / max(statistics.median(took), 1e-9) for name, took in seconds.items()}
    print(f"ingest, {USERS:,} users a batch, median of {RUNS} runs, users/s per core")  # noqa: T201 -- the output
    for name, of in rate.items():
        print(f"  {name:8} {of:14,.0f}   x{of / rate['obvious']:.2f} of the obvious stack")  # noqa: T201 -- the output
    share = 100 * rate["ours"] / rate["floor"]
    print(f"  ours is {share:.1f} % of the floor (one scan, two copies)")  # noqa: T201 -- the output
