"""An audience's home partition is where Kafka's own clients put its key."""

import pytest

from schemas.avro.codec import content_hash, decode_audience_batch, encode_audience_batch
from schemas.avro.framing import Framing, UndecodableError
from schemas.home_partition import home_partition, murmur2
from schemas.records import AudienceBatch, AudienceUser

BATCH = AudienceBatch(
    batch_id="7c1f3c9e-3f0a-4c7e-9a43-0d9f6c6c2f11", name="VIP", users=[AudienceUser(email="ada@example.com")]
)


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("abc", 479470107),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_keys_are_hashed_as_kafka_s_own_tests_expect(text: str, signed: int) -> None:
    """Source: UtilsTest.testMurmur2 of Kafka."""
    assert murmur2(text.encode()) == signed % 2**32
    assert home_partition(text, 12) == (signed & 0x7FFFFFFF) % 12


def test_a_removal_is_a_record_of_its_own_that_no_reader_of_additions_takes() -> None:
    removal = AudienceBatch(batch_id=BATCH.batch_id, name=BATCH.name, users=BATCH.users, mode="remove")
    value = encode_audience_batch(removal)
    assert decode_audience_batch(value) == removal
    assert decode_audience_batch(encode_audience_batch(BATCH)).mode == "add"
    with pytest.raises(UndecodableError):  # which is what a reader of before there were removals asks
        Framing().open("AudienceBatch", value)


def test_adding_and_removing_the_same_people_are_different_contents() -> None:
    removal = AudienceBatch(batch_id=BATCH.batch_id, name=BATCH.name, users=BATCH.users, mode="remove")
    assert content_hash(BATCH, []) != content_hash(removal, [])
