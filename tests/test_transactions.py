"""Publishers that use transactions: what nobody is handed holds up nobody, and an open transaction is told."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from structlog.testing import capture_logs
from test_cli import audience
from test_dead_letters import delete_before
from test_ledger import get, ledger
from test_pipeline import minimal_record, single_object
from test_replay import replay, wipe
from test_status import printed
from transactions import aborted, committed, open_with, transactional
from world import World, make_batch, make_topics, make_users, world

from cli.status.printing import account_list_blocks
from ledger.resources import AccountPage
from ledger.view_updater import Following, followed_view
from schemas.avro.framing import Framing
from schemas.records import Origin
from streams.client.settings import KafkaSettings
from streams.cluster.groups import backlog
from streams.cluster.topics import TopicNames, TopicSpec, ensure_topics
from streams.read.chosen_records import GONE, ChosenRecordReader
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.read.record_fetcher import fetch_record
from streams.read.tail import END, Tail, read_to_end, scan
from streams.read.topic_offsets import end_offsets
from streams.write.writer import Writer

PATIENCE = 60.0
ONE: Any = {"providers": ["facebook"]}


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return when something is so."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():
            await asyncio.sleep(0.05)


def batch_of(*numbers: int) -> bytes:
    """Return a record of the log with these people and a batch id of its own."""
    return single_object({**minimal_record(*numbers), "batchId": str(uuid.uuid4()), "name": "VIP"})


async def one_partition(kafka: KafkaSettings, topic: str) -> None:
    await ensure_topics(kafka, [TopicSpec(topic, 1)])


async def two_records_and_one_taken_back(kafka: KafkaSettings, topic: str) -> None:
    """Write to a topic of one partition in two transactions, the second of which is aborted: five offsets."""

    async def is_over() -> bool:  # the broker ends an aborted one a moment after it has said so
        return await end_offsets(kafka, topic) == [5]

    await one_partition(kafka, topic)
    await committed(kafka, topic, b"1", b"2")
    await aborted(kafka, topic, b"no")
    await until(is_over)


async def read_all(kafka: KafkaSettings, topic: str, until_behind: int = 0) -> list[bytes]:
    """Read a topic as a group until it is no further behind than that."""
    found: list[bytes] = []
    reader = GroupReader(kafka, group_id=f"{topic}.group", topic=topic, first_offset=lambda _: None)

    async def take() -> None:
        async for records in reader.batches():
            for record in records:
                found.append(record.value)
                reader.finish(record)

    async def is_through() -> bool:
        return await backlog(kafka, f"{topic}.group", topic) == until_behind

    async with reader:
        taking = asyncio.create_task(take())
        await until(is_through)
        await reader.stop_reading()
        await taking
    return found


async def test_a_group_passes_control_records_at_the_very_end_and_is_not_behind(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await two_records_and_one_taken_back(kafka, topic_prefix)
    assert await backlog(kafka, f"{topic_prefix}.group", topic_prefix) == 5  # nobody has looked yet
    assert await read_all(kafka, topic_prefix) == [b"1", b"2"]
    await aborted(kafka, topic_prefix, b"no", b"no")
    assert await read_all(kafka, topic_prefix) == []
    await committed(kafka, topic_prefix, b"3")
    assert await read_all(kafka, topic_prefix) == [b"3"]


async def test_a_group_is_not_behind_by_what_left_the_log_or_was_only_ever_taken_back(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await two_records_and_one_taken_back(kafka, topic_prefix)
    await asyncio.to_thread(delete_before, kafka, Origin(topic=topic_prefix, partition=0, offset=2))
    assert await backlog(kafka, f"{topic_prefix}.group", topic_prefix) == 2
    assert await read_all(kafka, topic_prefix) == []


async def test_a_group_waits_for_an_open_transaction_and_gets_what_follows_when_kafka_has_aborted_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await one_partition(kafka, topic_prefix)
    with transactional(kafka, timeout=1) as producer:
        await asyncio.to_thread(open_with, producer, topic_prefix, [b"never"])
        async with Writer(kafka) as writer:
            await writer.send(topic_prefix, "key", b"after")
        assert await end_offsets(kafka, topic_prefix) == [0]
        assert await read_all(kafka, topic_prefix) == []

        async def is_over() -> bool:
            return await end_offsets(kafka, topic_prefix) == [3]

        await until(is_over)
        assert await read_all(kafka, topic_prefix) == [b"after"]


async def test_who_follows_or_reads_a_topic_whole_passes_control_records(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await one_partition(kafka, topic_prefix)
    await committed(kafka, topic_prefix, b"1")
    await aborted(kafka, topic_prefix, b"no")
    assert [record.value for record in await read_to_end(kafka, topic_prefix)] == [b"1"]
    seen: list[Record] = []
    await scan(kafka, topic_prefix, seen.append)
    assert [record.value for record in seen] == [b"1"]
    async with Tail(kafka, topic_prefix, from_beginning=True, with_ends=True) as tail, asyncio.timeout(PATIENCE):
        found: list[tuple[int, str | None]] = []
        async for records in tail.batches():
            found += [(record.origin.offset, record.error) for record in records]
            if found[-1][1] == END:
                break
    assert (found[0], found[-1]) == ((0, None), (3, END))


async def test_what_is_looked_for_where_no_record_is_handed_over_is_gone(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await one_partition(kafka, topic_prefix)
    await committed(kafka, topic_prefix, b"1")
    await aborted(kafka, topic_prefix, b"no")
    places = [Origin(topic=topic_prefix, partition=0, offset=offset) for offset in range(4)]
    async with asyncio.timeout(PATIENCE):
        found = [await fetch_record(kafka, place) for place in places]
        assert [record and record.value for record in found] == [b"1", None, None, None]
        reader = ChosenRecordReader(kafka, group_id=f"{topic_prefix}.replay.r-1", topic=topic_prefix, wanted=places)
        async with reader:
            picked = [record async for records in reader.batches() for record in records]
    assert sorted((record.origin.offset, record.error) for record in picked if record.error) == [
        (1, GONE),
        (2, GONE),
        (3, GONE),
    ]
    assert [record.value for record in picked if not record.error] == [b"1"]


async def test_a_view_is_ready_where_its_topics_end_with_what_nobody_is_handed(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix)
    for topic in (names.receipts, names.completions):
        await aborted(kafka, topic, b"no", partition=3)
    for _ in range(2):  # the second time from where the first one came to
        async with followed_view(tmp_path / "view.sqlite", kafka, names, Framing()) as found:

            async def is_ready(view: Following = found) -> bool:
                return view.is_ready

            await until(is_ready)
            await until(lambda: _has_passed(found, names))


async def _has_passed(found: Following, names: TopicNames) -> bool:
    return all(found.view.positions(topic).get(3) == 2 for topic in (names.receipts, names.completions))


async def behind(found: World) -> list[int | None]:
    """Return how far the accounts are behind."""
    _, page = await get(found, "/audience/accounts")
    return [one["behind"] for one in page["accounts"]]


async def test_what_a_transaction_published_is_delivered_told_and_sent_again_and_what_it_took_back_is_not(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        for partition in (0, 5):
            await committed(kafka, found.names.batches, batch_of(1), batch_of(2, 3), partition=partition)
            await aborted(kafka, found.names.batches, batch_of(66), partition=partition)
        assert {end.status for end in await found.completions(4)} == {"delivered"}

        async def is_through() -> bool:
            return await behind(found) == [0]

        await until(is_through)
        assert len(await found.members("facebook")) == 3
        await wipe(found)
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", **ONE)
        assert code == 0, output + errors
        assert "Of these" not in output
        assert len(await found.members("facebook")) == 3
        assert await standing_letters(tmp_path, found) == 0
        await until(is_through)


async def standing_letters(folder: Path, found: World) -> int:
    """Return how many dead letters there are."""
    environ = {"KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": found.names.prefix}
    code, output, errors = await audience(folder, "dead-letters", "list", "--json", **environ)
    assert code == 0, errors
    return len(output.splitlines())


async def page_says(found: World, places: Sequence[tuple[int, int]]) -> bool:
    """Tell whether the accounts are told with these open transactions, and as up to date otherwise."""
    _, page = await get(found, "/audience/accounts")
    told = [(one["partition"], one["offset"]) for one in page["openTransactions"]]
    return told == places and [one["behind"] for one in page["accounts"]] == [0]


async def test_what_waits_for_an_open_transaction_is_told_wherever_somebody_looks(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    settings = {"AUDIENCE_SYNC_TIMEOUT": 6}
    with capture_logs() as logs, transactional(kafka) as producer:
        async with world(kafka, topic_prefix, providers=["facebook"], settings=settings) as found, ledger(found):
            assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
            origin = (await found.completions(1))[0].origin
            place = msgspec.structs.replace(origin, offset=origin.offset + 1)
            await asyncio.to_thread(open_with, producer, place.topic, [batch_of(7)], place.partition)
            await until(lambda: page_says(found, [(place.partition, place.offset)]))
            later = make_batch(sequence=2, totalBatches=2)
            status, body, headers = await found.upload(make_users(2), "?sync=true", batch=later)
            assert status == 504, body
            assert body["errors"][0].startswith("facebook: waits for a publisher's transaction, open since ")
            assert f" at {place}; see " in body["errors"][0]
            _, batch = await get(found, f"/audience/batches/{headers['X-Batch-Id']}")
            assert (batch["state"], batch["targets"][0]["error"]["code"]) == ("in_progress", "transaction_open")
            assert str(place) in batch["targets"][0]["error"]["meaning"]
            _, output, _ = await replay(tmp_path, found, "--since", "1h", "--dry-run", **ONE)
            assert f"A publisher's transaction is open at {place}: what stands after that is left out." in output
            await asyncio.to_thread(producer.commit_transaction, PATIENCE)
            await until(lambda: page_says(found, []))
            assert {end.status for end in await found.completions(3)} == {"delivered"}
    told = [line["origin"] for line in logs if line["event"].startswith("A transaction is open")]
    assert told == [str(place)] * 3  # by ingestion, the ledger and the consumer, each once
    assert sum(line["event"].startswith("The transaction has ended") for line in logs) >= 1


def test_open_transactions_are_printed_below_the_accounts() -> None:
    one = {"partition": 3, "offset": 17, "since": "2030-01-31T00:00:00Z"}
    page = msgspec.convert({"accounts": [], "openTransactions": [one]}, AccountPage)
    assert printed(account_list_blocks(page)) == [
        "A publisher's transaction is open in partition 3 since 2030-01-31 00:00:00Z: what stands there from offset 17 "
        "on waits until it ends."
    ]
