"""Small records share calls on a real Kafka and the sandbox: few calls, each told what it would be alone, in order."""

from removals import people, publish
from test_pipeline import hashes
from world import KEYS, UNLIMITED, World, consuming_one, sandbox_account, world

from sandbox import SandboxOptions
from schemas.records import BatchCompletion
from schemas.target import Target
from streams.client.settings import KafkaSettings

RECORDS = 60


async def uploads(found: World, provider: str) -> int:
    """Return how many upload calls a platform has met."""
    return int((await found.counters())[provider]["byOperation"]["upload"])


def by_offset(told: list[BatchCompletion]) -> list[BatchCompletion]:
    """Return completions in the order of the log."""
    return sorted(told, key=lambda one: one.origin.offset)


async def test_records_of_one_user_that_wait_take_few_calls_and_all_offsets_are_finished(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        for number in range(RECORDS):
            await publish(found, "add", people(number))
        async with consuming_one(sandbox_account(Target("tiktok"), found.sandbox_url), kafka, found.names):
            told = await found.completions(RECORDS)
        assert {one.status for one in told} == {"delivered"}
        assert len({one.origin for one in told}) == RECORDS
        assert await found.members("tiktok") == hashes(*range(RECORDS))
        assert await uploads(found, "tiktok") <= RECORDS / 4
        async with consuming_one(sandbox_account(Target("tiktok"), found.sandbox_url), kafka, found.names):
            await publish(found, "add", people(RECORDS))
            assert len(await found.completions(RECORDS + 1)) == RECORDS + 1
        assert sum(len(one.shared_calls) for one in told) > RECORDS / 2


async def test_entries_that_meta_counts_and_does_not_show_are_placed_with_their_records(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        for number in range(RECORDS):
            await publish(found, "add", people(number, 1000 + number))
        left_out = [value for (value,) in hashes(7, 1030, 31, 1031)]
        await found.inject(
            provider="facebook", fault="leaves_out", operation="upload", values=left_out, names=False, untilCleared=True
        )
        async with consuming_one(sandbox_account(Target("facebook"), found.sandbox_url), kafka, found.names):
            told = by_offset(await found.completions(RECORDS))
        assert [one.counts.rejected for one in told] == [
            {7: 1, 30: 1, 31: 2}.get(number, 0) for number in range(RECORDS)
        ]
        assert [one.status for one in told if one.counts.rejected] == ["partial"] * 3
        assert not any(one.shared_unplaced for one in told)
        assert await uploads(found, "facebook") < RECORDS


async def test_additions_share_calls_between_removals_only_and_the_log_s_order_holds(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    options = SandboxOptions(limits=False, latency=0.05)
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=(), options=options) as found:
        for turn in range(4):
            for number in range(20):
                await publish(found, "add", people(number))
            await publish(found, "remove", people(*range(turn, 20)))
        async with consuming_one(
            sandbox_account(Target("tiktok"), found.sandbox_url), kafka, found.names, changed=KEYS
        ):
            told = by_offset(await found.completions(84))
        assert {one.status for one in told} == {"delivered"}
        assert await found.members("tiktok") == hashes(0, 1, 2)
        removals = [one for one in told if one.mode == "remove"]
        assert len(removals) == 4
        assert not any(one.shared_calls for one in removals)
        turns = [one.origin.offset for one in removals]
        for call in {call for one in told for call in one.shared_calls}:
            offsets = [one.origin.offset for one in told if call in one.shared_calls]
            assert not any(min(offsets) < turn < max(offsets) for turn in turns)
        assert await uploads(found, "tiktok") < 84


async def test_what_is_shared_comes_together_again_after_a_platform_was_down(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["klaviyo"], consuming=(), options=UNLIMITED) as found:
        for number in range(RECORDS):
            await publish(found, "add", people(number))
        await found.inject(provider="klaviyo", fault="server_error", operation="upload", calls=2)
        async with consuming_one(sandbox_account(Target("klaviyo"), found.sandbox_url), kafka, found.names):
            told = await found.completions(RECORDS)
        assert {one.status for one in told} == {"delivered"}
        assert {one.counts.accepted for one in told} == {1}
        assert len(await found.members("klaviyo")) == RECORDS
