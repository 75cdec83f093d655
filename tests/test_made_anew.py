"""Topics that are deleted and made anew under their names: what was said of the old ones counts for nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs
from test_cli import audience
from test_ledger import get, ledger, node, receipts
from test_pipeline import minimal_record, publish, single_object
from test_replay import recorded, replay
from world import World, consuming_one, headers_on, make_topics, make_users, sandbox_account, world

from cli.replay.saved_replays import find, known, save
from schemas.avro.codec import (
    decode_batch_completion,
    decode_retry_pointer,
    encode_batch_completion,
    encode_retry_pointer,
)
from schemas.records import BatchCompletion, Counts, Origin, RetryPointer, is_of_log
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.groups import backlog, committed_offsets
from streams.cluster.topic_ids import log_id, topic_ids
from streams.cluster.topics import TopicNames, TopicSpec, ensure_topics, layout
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets
from streams.tables.account_registrations import register
from streams.write.writer import Writer

FACEBOOK = Target("facebook")
PATIENCE = 60.0
NOW = datetime.now(UTC)
ONE: Any = {"providers": ["facebook"]}


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return when something is so."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():
            await asyncio.sleep(0.05)


async def make_anew(kafka: KafkaSettings, topic: str, partitions: int = 12) -> None:
    """Delete a topic and make it again, with the same policy."""
    names = TopicNames(topic.rpartition(".")[0])
    specs = {spec.name: spec for spec in layout(names)}
    before = await log_id(kafka, topic)
    admin = AdminClient(kafka.client())  # which must live for as long as it is asked
    await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 20)

    async def is_gone() -> bool:
        return await log_id(kafka, topic) is None

    await until(is_gone)
    await ensure_topics(kafka, [specs.get(topic, TopicSpec(topic, partitions))])
    assert await log_id(kafka, topic) not in (None, before)


@pytest.mark.parametrize("named", ["a", None])
def test_what_names_no_log_or_the_same_one_counts_and_what_names_another_does_not(named: str | None) -> None:
    assert is_of_log(named, "a")
    assert is_of_log(named, None)
    assert is_of_log("b", "a") is False


async def test_a_topic_that_is_made_anew_has_another_id_and_one_that_is_not_there_has_none(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    first = await topic_ids(kafka, [topic_prefix, f"{topic_prefix}.none"])
    assert list(first) == [topic_prefix]
    await make_anew(kafka, topic_prefix, 1)
    assert (await topic_ids(kafka, [topic_prefix]))[topic_prefix] != first[topic_prefix]


async def test_what_a_group_committed_of_a_topic_that_was_made_anew_counts_for_nothing_however_late_it_came(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """A process that still reads the old topic may commit after Kafka has forgotten the group's offsets."""
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 1)])
    first = await log_id(kafka, topic_prefix)
    await fill(kafka, topic_prefix, 3)
    assert await values(kafka, topic_prefix, first, 3) == [0, 1, 2]
    await make_anew(kafka, topic_prefix, 1)
    await fill(kafka, topic_prefix, 5)
    assert await values(kafka, topic_prefix, first, 5) == [0, 1, 2, 3, 4]  # by its wrong name
    assert await committed_offsets(kafka, f"{topic_prefix}.group", topic_prefix, 1) == [5]
    second = await log_id(kafka, topic_prefix)
    assert await backlog(kafka, f"{topic_prefix}.group", topic_prefix, second) == 5
    assert await values(kafka, topic_prefix, second, 5) == [0, 1, 2, 3, 4]
    await fill(kafka, topic_prefix, 1)
    assert await values(kafka, topic_prefix, second, 1) == [0]


async def fill(kafka: KafkaSettings, topic: str, count: int) -> None:
    async with Writer(kafka) as writer:
        for number in range(count):
            await writer.send(topic, "key", str(number).encode())


async def values(kafka: KafkaSettings, topic: str, topic_id: str | None, count: int) -> list[int]:
    """Read and finish so many records as a group that takes the topic for one with this id."""
    found: list[int] = []
    reader = GroupReader(kafka, group_id=f"{topic}.group", topic=topic, first_offset=lambda _: 0, topic_id=topic_id)
    async with reader, asyncio.timeout(PATIENCE):
        async for records in reader.batches():
            for record in records:
                found.append(int(record.value))
                reader.finish(record)
            if len(found) >= count:
                break
    return found


async def test_an_account_that_was_registered_in_a_log_before_gets_all_of_the_new_one(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await writer.send(names.batches, "custom:VIP", b"1")
        [partition] = [number for number, end in enumerate(await end_offsets(kafka, names.batches)) if end]
        first = (await register(kafka, writer, names, [FACEBOOK], lambda: NOW))[FACEBOOK]
        await make_anew(kafka, names.batches)
        again = (await register(kafka, writer, names, [FACEBOOK], lambda: NOW))[FACEBOOK]
    assert first == again
    now = await log_id(kafka, names.batches)
    assert (first.first_offset(partition, first.log_id), first.first_offset(partition, now)) == (1, 0)
    old = msgspec.structs.replace(first, log_id=None)
    assert old.first_offset(partition, now) == 1


async def letters(folder: Path, found: World, *words: str) -> list[str]:
    """Return the dead letters that are listed."""
    environ = {"KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": found.names.prefix}
    code, output, errors = await audience(folder, "dead-letters", "list", "--json", *words, **environ)
    assert code == 0, errors
    return output.splitlines()


async def test_a_log_made_anew_shows_nothing_of_what_stood_at_its_offsets_before(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    view = tmp_path / "view.sqlite"
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        async with node(found, view, "facebook") as url:
            status, _, headers = await found.upload(make_users(2), "?sync=true")
            assert status == 200
            old = headers["X-Batch-Id"]
            await asyncio.to_thread(publish, found, b"garbage")
            assert len(await receipts(found, 2)) == 2
            await found.completions(2)
            assert (await get(found, f"/audience/batches/{old}", url))[0] == 200
        assert (len(await letters(tmp_path, found)), len(await letters(tmp_path, found, "--invalid"))) == (1, 1)
    await make_anew(kafka, found.names.batches)
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        assert (await letters(tmp_path, found), await letters(tmp_path, found, "--invalid")) == ([], [])
        with capture_logs() as logs:
            async with node(found, view, "facebook") as url:
                assert any(line["event"].startswith("The view is broken, or of other topics") for line in logs)
                assert (await get(found, f"/audience/batches/{old}", url))[0] == 404
                assert (await get(found, "/audience/sessions", url))[1]["sessions"] == []
                status, _, headers = await found.upload(
                    make_users(2), "?sync=true"
                )  # not taken for a retry of the old one
                assert (status, headers["X-Batch-Id"] == old) == (200, False)
                path = f"/audience/batches/{headers['X-Batch-Id']}?wait=20"
                assert (await get(found, path, url))[1]["state"] == "delivered"
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", **ONE)
        assert code == 0, output + errors
        assert [line.split()[:4] for line in output.splitlines()[1:2]] == [["facebook", "1", "1", "2"]]


async def test_a_log_made_anew_under_running_processes_is_read_whole_by_all_and_told(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    with capture_logs() as logs:
        async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
            for number in range(3):
                assert (await found.upload(make_users(1, number), "?sync=true", name=f"N{number}"))[0] == 200
            await make_anew(kafka, found.names.batches)
            published = [single_object(minimal_record(number)) for number in range(10, 15)]
            await asyncio.to_thread(publish, found, *published)

            async def are_all_told() -> bool:
                status, page = await get(found, "/audience/sessions")
                new = await log_id(kafka, found.names.batches)
                told = [decode_batch_completion(one.value) for one in await read_to_end(kafka, found.names.completions)]
                ends = {one.origin for one in told if one.log_id == new and one.status == "delivered"}
                return status == 200 and len(ends) == 5 and page["sessions"] == []

            await until(are_all_told)
            status, body, headers = await found.upload(make_users(2), "?sync=true", name="After")
            assert status == 200, body
            assert (await get(found, f"/audience/batches/{headers['X-Batch-Id']}"))[1]["state"] == "delivered"

            async def is_up_to_date() -> bool:
                _, page = await get(found, "/audience/accounts")
                return [one["behind"] for one in page["accounts"]] == [0]

            await until(is_up_to_date)
    begun = [line for line in logs if line["event"].startswith("A topic was made anew")]
    assert len(begun) == 2  # the ledger and the consumer
    assert all(found.names.batches in line["why"] for line in begun)
    assert any("made anew" in str(line.get("why")) for line in logs if line["event"].startswith("The view can't be"))


async def test_a_pointer_into_a_log_that_was_made_anew_is_forgotten_and_one_that_names_no_log_is_not(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found, Writer(kafka) as writer:
        names, retry = found.names, found.names.retry(FACEBOOK.group_id(topic_prefix))
        await found.upload(make_users(1))
        [partition] = [number for number, end in enumerate(await end_offsets(kafka, names.batches)) if end]
        before = await log_id(kafka, names.batches)
        await make_anew(kafka, names.batches)
        pointer = RetryPointer(
            origin=Origin(topic=names.batches, partition=partition, offset=7),
            attempt=1,
            not_before=NOW,
            first_attempt_at=NOW,
            first_failure="no_answer",
            log_id=before,
        )
        headers = {"audience-log-id": (before or "").encode()}
        await writer.send(retry, str(pointer.origin), encode_retry_pointer(pointer), headers)
        await writer.send(retry, str(pointer.origin), b"garbage", headers)
        nameless = msgspec.structs.replace(
            pointer, log_id=None, origin=Origin(topic=names.batches, partition=0, offset=9)
        )
        await writer.send(retry, str(nameless.origin), encode_retry_pointer(nameless))
        async with consuming_one(sandbox_account(FACEBOOK, found.sandbox_url), kafka, names):
            await asyncio.to_thread(publish, found, single_object(minimal_record(1)))
            ends = await found.completions(2)

            async def are_read() -> bool:
                return await backlog(kafka, retry, retry) == 0

            await until(are_read)
        assert sorted((end.status, end.error_code) for end in await found.completions(2)) == [
            ("delivered", None),
            ("failed", "expired"),
        ]
        assert {end.log_id for end in ends} == {await log_id(kafka, names.batches)}


async def test_a_record_that_is_tried_again_says_of_which_log_it_is(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="half", calls=1000)
        await found.upload(make_users(4))
        retry = found.names.retry(FACEBOOK.group_id(topic_prefix))

        async def is_written() -> bool:
            return bool(await read_to_end(kafka, retry))

        await until(is_written)
        pointers: list[Record] = await read_to_end(kafka, retry)
        now = await log_id(kafka, found.names.batches)
        assert {decode_retry_pointer(one.value).log_id for one in pointers} == {now}
        told = await asyncio.to_thread(headers_on, kafka, retry)
        assert {headers["audience-log-id"].decode() for headers in told} == {now}


async def test_a_replay_is_not_resumed_in_a_log_that_was_made_anew(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, **ONE) as found:
        assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", **ONE)
        assert code == 0, output + errors
        replay_id = known(tmp_path / "data")[0].id
        begun = msgspec.structs.replace(find(tmp_path / "data", replay_id), is_done=False)
        assert begun.log_id == await log_id(kafka, found.names.batches)
    await make_anew(kafka, found.names.batches)
    async with recorded(kafka, topic_prefix, **ONE) as found:
        save(tmp_path / "data", begun)
        code, output, errors = await replay(tmp_path, found, "--resume", replay_id, "--yes", **ONE)
        assert (code, output) == (1, "")
        assert f"{replay_id} is of a log that was deleted and made anew since: begin a new replay" in errors
        save(tmp_path / "data", msgspec.structs.replace(begun, log_id=None))  # as an earlier version kept it
        code, _, errors = await replay(tmp_path, found, "--resume", replay_id, "--yes", **ONE)
        assert (code, "made anew" in errors) == (1, True)  # it went further than the log does now


async def test_completions_and_receipts_that_name_no_log_still_count(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """They were written by an earlier version."""
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found, Writer(kafka) as writer:
        _, _, headers = await found.upload(make_users(3))
        batch_id, [origin] = (
            headers["X-Batch-Id"],
            [
                Origin(topic=found.names.batches, partition=number, offset=0)
                for number, end in enumerate(await end_offsets(kafka, found.names.batches))
                if end
            ],
        )
        told = BatchCompletion(
            batch_id=batch_id,
            part=1,
            parts=1,
            origin=origin,
            provider="facebook",
            status="failed",
            error_code="audience_refused",
            counts=Counts(received=3),
            attempts=1,
            finished_at=NOW,
        )
        other = msgspec.structs.replace(
            told, status="delivered", counts=Counts(received=3, accepted=3), log_id="B" * 22
        )
        for one in (told, other):
            await writer.send(found.names.completions, one.key, encode_batch_completion(one))
        path = f"/audience/batches/{batch_id}?wait=20"
        assert (await get(found, path))[1]["state"] == "failed"
        assert len(await letters(tmp_path, found)) == 1
