"""The memory of removals through real records: what a late delivery leaves out, and what it does again."""

import asyncio
import threading

import pytest
from removals import completions_of, done, end_of, late, people, person, phone, publish, remembering
from world import ALL, KEYS, World, consuming_one, sandbox_account, world

from consumer.account.account import Account
from consumer.retries.clock import REAL_TIME, Time
from consumer.retries.retry_policy import RetryPolicy
from schemas.avro.codec import decode_removed_audience
from schemas.hash_keys import HashKeysMissingError
from schemas.records import Origin, RemovedAudience
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end, scan


def served(found: World, target: str) -> Account:
    """Return an account that the sandbox plays."""
    return sandbox_account(parse_target(target), found.sandbox_url)


CHANCE = 0.123
"""What makes the first wait between two tries one that nobody else waits for."""


class Lost:
    """A record that is another process's from when a call is to be tried again; sleeps pass at once."""

    def __init__(self) -> None:
        self.is_held = True
        self._ahead = 0.0

    def clock(self) -> float:
        """Return the time, with what was slept."""
        return REAL_TIME.clock() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Sleep for a moment; between two tries of a call the record is lost."""
        await asyncio.sleep(min(seconds, 0.01))
        self._ahead += seconds
        self.is_held = self.is_held and seconds != CHANCE * RetryPolicy().base


async def entries(found: World) -> list[RemovedAudience]:
    """Return from where people were removed, by the topic of accounts."""
    records = await read_to_end(found.kafka, found.names.accounts)
    return [decode_removed_audience(one.value) for one in records if (one.key or b"").startswith(b"removed:")]


@pytest.mark.parametrize("provider", ALL)
async def test_a_late_addition_leaves_out_who_was_removed_after_it(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        added = await done(found, "add", [person(1, phone(1)), person(2)])
        await done(found, "remove", people(1))
        outcome = await late(found, served(found, provider), added.origin)
        assert (outcome.status, outcome.accepted, outcome.superseded) == ("delivered", 1, 1)
        assert len(await found.members(provider)) == 1


async def test_an_audience_without_removals_has_no_entry_and_its_late_records_read_nothing_of_the_log(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        added = await done(found, "add", people(1, 2))
        other = await done(found, "remove", people(1), name="Others")
        assert [(entry.audience, entry.first_offset) for entry in await entries(found)] == [
            ("custom:blotout_Others", other.origin.offset)
        ]
        read: list[str] = []
        monkeypatch.setattr("consumer.removals.log_memory.scan_by", lambda reader, *_, **__: read.append(reader.topic))
        outcome = await late(found, served(found, "facebook"), added.origin)
        assert (outcome.status, outcome.accepted, outcome.superseded) == ("delivered", 2, 0)
        assert read == []


async def test_a_removal_that_came_while_a_late_addition_s_call_was_under_way_is_done_again_for_them(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        added = await done(found, "add", people(1, 2, 3))
        uploads = (await found.counters())["facebook"]["byOperation"]["upload"]
        await found.inject(provider="facebook", fault="stall", operation="upload", seconds=3)
        sending = asyncio.create_task(late(found, served(found, "facebook"), added.origin))
        while (await found.counters())["facebook"]["byOperation"]["upload"] == uploads:
            await asyncio.sleep(0.05)
        removed = await done(found, "remove", people(1))
        outcome = await sending
        assert (outcome.status, outcome.accepted) == ("delivered", 3)
        assert len(await found.members("facebook")) == 2
        assert [one.status for one in await completions_of(found, removed.origin)] == ["delivered"]


async def test_a_removal_that_a_dead_process_may_have_sent_adds_again_who_was_added_after_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "tiktok") as found:
        await done(found, "add", people(1, 2))
        removed = await done(found, "remove", people(1, 2))
        standing = {"calls_until": REAL_TIME.clock() + 0.5, "is_suspect": True}
        await done(found, "add", people(2))
        await found.session.delete(f"{found.sandbox_url}/_sandbox/members", params={"provider": "tiktok"})
        outcome = await late(found, served(found, "tiktok"), removed.origin, standing=standing)
        assert (outcome.accepted, outcome.superseded) == (1, 1)
        assert len(await found.members("tiktok")) == 1  # whom a call of the dead may have taken out is in again


@pytest.mark.parametrize("provider", ALL)
async def test_who_is_added_again_is_added_as_the_record_has_them_and_not_by_one_identifier_alone(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        removed = await done(found, "remove", people(1))
        await done(found, "add", [person(1, phone(1))])
        members = await found.members(provider)
        standing = {"calls_until": REAL_TIME.clock() + 0.1, "is_suspect": True}
        await late(found, served(found, provider), removed.origin, standing=standing)
        assert await found.members(provider) == members


async def test_a_record_that_is_given_up_after_a_call_does_again_what_that_has_undone(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "facebook") as found:
        added = await done(found, "add", [person(1, phone(1)), person(2)])
        await done(found, "remove", people(1))
        await found.inject(provider="facebook", fault="drop_after", operation="upload", calls=1)
        lost = Lost()
        standing = {"is_late": False}  # it was in its turn when its process was stopped
        account, time = served(found, "facebook"), Time(clock=lost.clock, sleep=lost.sleep, chance=lambda: CHANCE)
        outcome = await late(found, account, added.origin, standing=standing, is_held=lambda: lost.is_held, time=time)
        assert (outcome.is_given_up, outcome.is_sent) == (True, True)
        assert len(await found.members("facebook")) == 1


async def test_nobody_is_settled_for_a_record_that_is_another_s_before_its_first_call(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "tiktok") as found:
        added = await done(found, "add", people(1, 2))
        await done(found, "remove", people(1))
        removals = (await found.counters())["tiktok"]["byOperation"]["remove"]
        outcome = await late(found, served(found, "tiktok"), added.origin, is_held=lambda: False)
        assert (outcome.is_given_up, outcome.is_sent) == (True, False)
        assert (await found.counters())["tiktok"]["byOperation"]["remove"] == removals


async def test_a_consumer_without_the_key_of_its_account_s_removals_refuses_to_start(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        account = served(found, "facebook")
        async with consuming_one(account, kafka, found.names):
            await done(found, "remove", people(1))
        [entry] = await entries(found)
        for keys in ({"AUDIENCE_HASH_KEYS": ""}, {"AUDIENCE_HASH_KEYS": "another key that is made up"}):
            async with consuming_one(account, kafka, found.names, changed=keys) as task:
                with pytest.raises(HashKeysMissingError, match=f"AUDIENCE_HASH_KEYS: .*{entry.key_id}.*facebook"):
                    await task
        rotated = {"AUDIENCE_HASH_KEYS": f"another key that is made up, {KEYS['AUDIENCE_HASH_KEYS']}"}
        async with consuming_one(account, kafka, found.names, changed=rotated):
            await done(found, "remove", people(2))
        assert (await entries(found))[-1].key_id != entry.key_id
        only_new = {"AUDIENCE_HASH_KEYS": "another key that is made up"}
        async with consuming_one(account, kafka, found.names, changed=only_new):
            assert (await done(found, "remove", people(3))).status == "delivered"


async def test_an_entry_is_on_the_topic_before_anybody_is_removed(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with remembering(kafka, topic_prefix, "klaviyo") as found:
        await done(found, "add", people(1))
        await found.inject(provider="klaviyo", fault="stall", operation="lookup", seconds=2)
        origin = await publish(found, "remove", people(1))
        async with asyncio.timeout(10):
            while not await entries(found):
                await asyncio.sleep(0.05)
        assert len(await found.members("klaviyo")) == 1
        assert (await end_of(found, origin)).status == "delivered"
        assert await found.members("klaviyo") == set()


async def test_a_scan_hands_over_what_stands_between_a_start_and_an_end(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        origins = [await publish(found, "add", people(number)) for number in range(5)]
        partition, taken, threads = origins[0].partition, [], set()

        def take(record: Record) -> None:
            taken.append(record.origin)
            threads.add(threading.current_thread())

        spans = await scan(kafka, found.names.batches, take, start={partition: 1}, end={partition: 4})
        assert taken == origins[1:4]
        assert threading.main_thread() not in threads
        assert spans[partition] == (0, 4)
        everything: list[Origin] = []
        await scan(kafka, found.names.batches, lambda record: everything.append(record.origin))
        assert everything == origins


async def test_an_addition_under_another_name_of_the_audience_is_compared_by_append_time_though_it_is_in_its_turn(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with remembering(kafka, topic_prefix, "tiktok") as found:
        earlier = await done(found, "add", people(1, 2), name="VIP_customers")
        await done(found, "remove", people(1, 2), name="VIP customers")
        later = await done(found, "add", people(2), name="VIP_customers")
        assert (later.counts.accepted, later.counts.superseded) == (1, 0)
        behind = await late(found, served(found, "tiktok"), earlier.origin, standing={"is_late": False})
        assert (behind.accepted, behind.superseded) == (0, 2), "as if its partition was read long after the other"
        assert len(await found.members("tiktok", "blotout_VIP_customers")) == 1
