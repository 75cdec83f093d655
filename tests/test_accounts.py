import asyncio
from datetime import UTC, datetime

from world import make_topics

from schemas.avro.codec import encode_account_registration
from schemas.records import AccountRegistration
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end
from streams.tables.account_registrations import register
from streams.write.writer import Writer

FACEBOOK, EU = Target("facebook"), Target("facebook", "eu")


def now() -> datetime:
    return datetime.now(UTC)


def registration(first_offsets: list[int]) -> AccountRegistration:
    return AccountRegistration(provider="facebook", first_offsets=first_offsets, registered_at=now())


async def test_an_account_is_registered_at_the_end_of_the_log_and_stays_so(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        for number in range(10):
            await writer.send(names.batches, str(number), b"x")
        first = await register(kafka, writer, names, [FACEBOOK, EU], now)
        for number in range(10):
            await writer.send(names.batches, str(number), b"x")
        second = await register(kafka, writer, names, [EU, FACEBOOK, EU], now)

    assert first == second
    assert {target: sum(found.first_offsets) for target, found in first.items()} == {FACEBOOK: 10, EU: 10}
    assert [len(found.first_offsets) for found in first.values()] == [12, 12]
    assert (first[EU].provider, first[EU].account) == ("facebook", "eu")
    keys = [record.key for record in await read_to_end(kafka, names.accounts)]
    assert keys == [b"registration:facebook", b"registration:facebook/eu"]


async def test_processes_that_register_together_agree(kafka: KafkaSettings, topic_prefix: str) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        found = await asyncio.gather(
            *(register(kafka, writer, names, [FACEBOOK], now) for _ in range(4)),
        )
        later = await register(kafka, writer, names, [FACEBOOK], now)

    assert [each[FACEBOOK] for each in found] == [later[FACEBOOK]] * 4


async def test_whoever_finds_a_later_registration_writes_the_first_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """Compaction keeps the last; a process may have died between writing its own and finding the first."""
    names = await make_topics(kafka, topic_prefix)
    first, later = registration([1] * 12), registration([2] * 12)
    async with Writer(kafka) as writer:
        for each in (first, later):
            await writer.send(names.accounts, "registration:facebook", encode_account_registration(each))
        found = await register(kafka, writer, names, [FACEBOOK], now)

    values = [record.value for record in await read_to_end(kafka, names.accounts)]
    assert found[FACEBOOK].first_offsets == first.first_offsets
    assert values[0] == values[2] != values[1]


async def test_an_undecodable_registration_and_other_keys_are_passed_over(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await writer.send(names.accounts, "registration:facebook", b"garbage")
        await writer.send(names.accounts, "state:facebook", b"garbage")
        await writer.send(names.accounts, "registration:facebook", b"")
        found = await register(kafka, writer, names, [FACEBOOK], now)

    assert found[FACEBOOK].first_offsets == [0] * 12
