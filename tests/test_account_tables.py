"""What stands on the topic of accounts is known to whoever asks, without a question to Kafka for each."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import RemovalReader
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.topic_offsets import ends_by
from streams.read.ungrouped import UngroupedConsumer
from streams.tables import account_states
from streams.tables.account_states import followed_states
from streams.tables.removals import write_entry
from streams.write.writer import Writer


async def test_who_asks_at_the_same_time_is_answered_by_one_question_and_knows_what_was_written_before(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, questions = TopicNames(topic_prefix), 0
    await ensure_topics(kafka, layout(names, []))

    async def counted(client: UngroupedConsumer) -> list[int]:
        nonlocal questions
        questions += 1
        return await ends_by(client)

    monkeypatch.setattr(account_states, "ends_by", counted)
    async with Writer(kafka) as writer, followed_states(kafka, names.accounts, SINGLE_OBJECT) as states:

        async def ask(number: int) -> None:
            entry = RemovalReader(reader=f"tiktok/{number}", written_at=datetime.now(UTC))
            await write_entry(writer, names.accounts, entry, SINGLE_OBJECT)
            await states.caught_up()
            assert entry.reader in states.removals.readers()

        await asyncio.gather(*map(ask, range(100)))
        assert questions <= 10
