"""What runs do, and the records of one user that they write."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser

PROVIDER = "tiktok"
AUDIENCES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many records of one user each; with a pace the platform's documented one."""

    records: int
    is_paced: bool = False


def made_records(numbers: range) -> Iterator[tuple[str, bytes]]:
    """Yield a record's key and value for each number, which is its user's, the audiences in turn."""
    for number in numbers:
        batch = AudienceBatch(
            batch_id=str(uuid.uuid4()), name=f"VIP {number % AUDIENCES}", users=[_user(number)], total_users=1
        )
        yield batch.key, encode_audience_batch(batch)


def _user(number: int) -> AudienceUser:
    return AudienceUser(
        edge_tag_id=f"edge-{number}", email=f"person{number}@example.com", phone=f"+1415{2_000_000 + number}"
    )
