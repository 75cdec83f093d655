"""Replays beside removals: nobody comes back, and nobody leaves who was added after."""

import pytest
from removals import done, people, person, phone, publish, remembering, replayed
from world import ALL, World, sandbox_account, world

from consumer.account.account import Account
from schemas.records import AudienceUser
from schemas.target import parse_target
from streams.client.settings import KafkaSettings


def served(found: World, target: str, **settings: str) -> Account:
    """Return an account as a replay serves it."""
    return sandbox_account(parse_target(target), found.sandbox_url, **settings)


@pytest.mark.parametrize("provider", ALL)
async def test_who_was_removed_does_not_come_back_by_a_replay_of_the_addition(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        added = await done(found, "add", [person(1, phone(1)), person(2, phone(2)), person(3)])
        removed = await done(found, "remove", people(1))
        before = await found.members(provider)
        seen = await replayed(found, served(found, provider), added.origin)
        [told] = seen.ends
        assert (told.status, told.counts.accepted, told.counts.superseded) == ("delivered", 2, 1)
        assert await found.members(provider) == before
        seen = await replayed(found, served(found, provider), added.origin, removed.origin, replay_id="r-00000002")
        assert [one.status for one in seen.ends] == ["delivered"] * 2
        assert await found.members(provider) == before


@pytest.mark.parametrize("provider", ALL)
async def test_a_new_account_filled_by_a_replay_gets_nobody_who_was_removed_from_others_before(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with world(kafka, topic_prefix, providers=[provider], consuming=()) as found:
        added = await publish(found, "add", people(1, 2, 3))
        removed = await publish(found, "remove", people(2))
        again = await publish(found, "add", people(4))
        other = await publish(found, "add", people(2), name="Others")
        [told] = (await replayed(found, served(found, provider), added)).ends
        assert (told.counts.accepted, told.counts.superseded) == (2, 1)
        assert len(await found.members(provider)) == 2
        seen = await replayed(found, served(found, provider), added, removed, again, other, replay_id="r-00000002")
        assert [one.status for one in seen.ends] == ["delivered"] * 4
        assert len(await found.members(provider)) == 3
        assert len(await found.members(provider, "blotout_Others")) == 1


@pytest.mark.parametrize("provider", ALL)
async def test_a_replayed_removal_leaves_in_who_was_added_after_it(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        await done(found, "add", people(1, 2))
        removed = await done(found, "remove", people(1, 2))
        await done(found, "add", people(1))
        [told] = (await replayed(found, served(found, provider), removed.origin)).ends
        assert (told.status, told.counts.accepted, told.counts.superseded) == ("delivered", 1, 1)
        assert len(await found.members(provider)) == 1


@pytest.mark.parametrize("provider", ALL)
async def test_of_who_was_added_again_by_one_identifier_a_replayed_removal_takes_out_the_other(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    async with remembering(kafka, topic_prefix, provider) as found:
        both = [person(1, phone(1))]
        added = await done(found, "add", both)
        removed = await done(found, "remove", both)
        await done(found, "add", [AudienceUser(phone=phone(1))])
        before = await found.members(provider)
        [told] = (await replayed(found, served(found, provider), removed.origin)).ends
        assert (told.status, told.counts.accepted, told.counts.superseded) == ("delivered", 1, 0)
        assert await found.members(provider) == before
        [told] = (await replayed(found, served(found, provider), added.origin, replay_id="r-00000002")).ends
        assert (told.counts.accepted, told.counts.superseded) == (0, 1)
        assert await found.members(provider) == before


async def test_a_replayed_removal_takes_out_what_the_log_knows_beside_an_address_that_was_added_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    body = {"error": {"code": 100, "error_subcode": 1713230, "message": "m", "fbtrace_id": "r"}}
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", [person(1, phone(1))])
        await found.inject(provider="facebook", fault="custom", operation="remove", status=400, body=body)
        removed = await done(found, "remove", people(1))
        await done(found, "add", people(1))
        assert len(await found.members("facebook")) == 2
        [told] = (await replayed(found, served(found, "facebook"), removed.origin)).ends
        assert told.status == "delivered"
        assert [len(member) for member in await found.members("facebook")] == [1], "the address, as it was added last"


async def test_a_removal_whose_first_delivery_failed_is_made_up_for_by_a_replay_at_its_place(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    body = {"error": {"code": 100, "error_subcode": 1713230, "message": "m", "fbtrace_id": "r"}}
    async with remembering(kafka, topic_prefix, "facebook") as found:
        await done(found, "add", people(1, 2))
        await found.inject(provider="facebook", fault="custom", operation="remove", status=400, body=body)
        failed = await done(found, "remove", people(1, 2))
        await done(found, "add", people(2))
        assert len(await found.members("facebook")) == 2
        [told] = (await replayed(found, served(found, "facebook"), failed.origin)).ends
        assert (told.status, told.counts.superseded) == ("delivered", 1)
        assert len(await found.members("facebook")) == 1


async def test_names_of_one_platform_audience_are_one_by_append_time(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with remembering(kafka, topic_prefix, "tiktok") as found:
        added = await done(found, "add", people(1), name="VIP customers")
        await done(found, "remove", people(1), name="VIP_customers")
        [told] = (await replayed(found, served(found, "tiktok"), added.origin)).ends
        assert told.counts.superseded == 1
        assert await found.members("tiktok", "blotout_VIP_customers") == set()
