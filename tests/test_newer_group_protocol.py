"""The whole product by KAFKA_GROUP_PROTOCOL=consumer, where the brokers share out partitions (KIP-848)."""

import asyncio
from pathlib import Path

from confluent_kafka.admin import AdminClient
from group_members import shares
from test_replay import members, recorded, replay, upload_all, wipe
from world import ALL, World, consuming_one, make_batch, make_users, sandbox_account

from schemas.target import Target
from streams.client.settings import KafkaSettings

KLAVIYO = Target("klaviyo")


def newer(kafka: KafkaSettings) -> KafkaSettings:
    """Return settings by the newer protocol, its name as somebody may write it."""
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties={"group.protocol": "Consumer"})


def kind_of_group(kafka: KafkaSettings, group: str) -> str:
    admin = AdminClient(kafka.client())
    listed: dict[str, str] = {one.group_id: one.type.name for one in admin.list_consumer_groups().result(10).valid}
    return listed[group]


async def held(found: World, *wanted: int) -> None:
    """Return when the members of Klaviyo's group hold so many partitions each."""
    async with asyncio.timeout(60):
        while await shares(found.kafka, f"{found.names.prefix}.klaviyo") != [*wanted]:
            await asyncio.sleep(0.1)


async def test_uploads_ledger_rebalances_and_a_replay_work_by_the_newer_protocol(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = ["VIP", "Others"]
    async with recorded(newer(kafka), topic_prefix) as found:
        await upload_all(found, [("VIP", 50, 0), ("Others", 20, 10)])
        for group in (*(Target(provider).group_id(topic_prefix) for provider in ALL), found.names.ledger_group):
            assert await asyncio.to_thread(kind_of_group, kafka, group) == "CONSUMER"
        async with consuming_one(sandbox_account(KLAVIYO, found.sandbox_url), found.kafka, found.names):
            await held(found, 6, 6)
            await upload_all(found, [(f"VIP {number}", 3, 3 * number) for number in range(12)])
        await held(found, 12)
        status, body, _ = await found.upload(make_users(50, 200), "?sync=true", batch=make_batch(sessionId=2))
        assert status == 200, body
        before = await members(found, names)
        await wipe(found)
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", KAFKA_GROUP_PROTOCOL="consumer")
        assert code == 0, output + errors
        assert await members(found, names) == before
