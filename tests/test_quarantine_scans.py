"""A record that ends the process which reads it ends no process that looks through the log, however often one does."""

import asyncio
import signal
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from deadly import DEADLY, FOREIGN, RECORDS, Deadly, deadly, end_by
from pod import Pod, pods_running
from test_quarantine import FACEBOOK, FRAMING, ORIGIN, ends, spec
from world import make_topics, sandbox_running

from schemas.avro.codec import encode_audience_batch
from schemas.avro.framing import Framing, RegistryUnavailableError
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, AudienceUser, Mode
from streams.client.settings import KafkaSettings
from streams.containment.quarantine import Trial
from streams.containment.scan_trial import ScanTrial
from streams.read.consumer_thread import Record

HOME = home_partition("custom:VIP", 12)


def people(mode: Mode, *numbers: int) -> bytes:
    """Return a record of the log about made-up people."""
    users = [AudienceUser(email=f"person{number}@example.com", phone=f"+1415555{number:04}") for number in numbers]
    batch = AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", users=users, mode=mode)
    return encode_audience_batch(batch, FRAMING)


def publish(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    """Publish with a bare producer, to the home partition of the audience."""
    producer = Producer(kafka.client())
    for value in values:
        producer.produce(topic, value, key="custom:VIP", partition=HOME)
    assert producer.flush(20) == 0


def commit(kafka: KafkaSettings, group: str, topic: str, offset: int) -> None:
    """Commit as a version of before there were removals did."""
    consumer = Consumer(kafka.client(**{"group.id": group}))
    consumer.commit(offsets=[TopicPartition(topic, HOME, offset, "")], asynchronous=False)
    consumer.close()


@pytest.mark.timeout(240)
async def test_who_reads_the_log_for_removals_passes_a_record_that_would_end_them_each_time(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """The record stands before what the account has to read, so that it is met by looking through the log alone."""
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    await asyncio.to_thread(publish, kafka, names.batches, people("add", 1), deadly(), people("add", 2))
    async with sandbox_running() as sandbox:
        pod = Pod(spec(kafka, topic_prefix, "facebook", sandbox), tmp_path / "pod.log")
        async with pods_running([pod]):
            await pod.started()
            await asyncio.to_thread(publish, kafka, names.batches, people("add", 1, 2, 3), people("remove", 1))
            told = await ends(kafka, names, 2)
    assert {found[-1].status for found in told.values()} == {"delivered"}
    assert pod.deaths == 0, "no process has to end for it, as each one would"


@pytest.mark.timeout(240)
async def test_who_looks_for_removals_that_an_older_version_left_passes_a_record_that_would_end_them(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = await make_topics(kafka, topic_prefix, FACEBOOK)
    values = [people("add", 1, 2), deadly(), people("remove", 1), deadly()]
    async with sandbox_running() as sandbox:
        pod = Pod(spec(kafka, topic_prefix, "facebook", sandbox), tmp_path / "pod.log")
        async with pods_running([pod]):
            await pod.started()
            await asyncio.to_thread(publish, kafka, names.batches, values[0])
            await ends(kafka, names, 1)
        await asyncio.to_thread(publish, kafka, names.batches, *values[1:])
        await asyncio.to_thread(commit, kafka, FACEBOOK.group_id(topic_prefix), names.batches, len(values))
        again = Pod(spec(kafka, topic_prefix, "facebook", sandbox), tmp_path / "again.log")
        async with pods_running([again]):
            told = await ends(kafka, names, 2)
    assert {place.offset: found[-1].status for place, found in told.items()} == {0: "delivered", 2: "delivered"}
    assert again.deaths == 0


def written_by(schema: int, body: bytes = b"made up") -> Record:
    """Return a record whose value names a schema of the registry."""
    return Record(origin=ORIGIN, value=b"\0" + schema.to_bytes(4, "big") + body)


def ends_where_it_says_so(record: Record, by: int) -> None:
    """End the process by what comes behind a schema's id."""
    end_by(Record(origin=record.origin, value=record.value[5:].removeprefix(b"fine")), by)


async def told(judge: Callable[[Record], None], framing: Framing, *records: Record) -> tuple[list[bool], int]:
    """Tell which records end a process, and how many a child was asked about."""
    asked = 0

    class Counted(Trial):
        """Counts."""

        async def ends_process(self, record: Record) -> bool:
            nonlocal asked
            asked += 1
            return await super().ends_process(record)

    async with Counted(judge) as trial:
        tried = ScanTrial(framing, trial)
        found = await asyncio.to_thread(lambda: [tried.ends_process(record) for record in records])
    return found, asked


async def test_what_a_schema_of_ours_wrote_needs_no_trial_and_a_schema_of_a_registry_one() -> None:
    judge = partial(ends_where_it_says_so, by=signal.SIGSEGV)
    ours = Record(origin=ORIGIN, value=encode_audience_batch(AudienceBatch(batch_id="b", name="n", users=[])))
    garbage = [Record(origin=ORIGIN, value=value) for value in (b"", b"x", b"\xc3\x01whatever")]
    assert await told(judge, FRAMING, ours, *garbage) == ([False] * 4, 0)
    assert await told(judge, Framing(), written_by(FOREIGN)) == ([False], 0), "without a registry nobody reads it"
    for schema in (RECORDS.index("AudienceBatch"), RECORDS.index("AudienceRemoval")):
        assert await told(judge, FRAMING, *[written_by(schema)] * 50) == ([False] * 50, 1)


async def test_what_another_s_schema_wrote_is_tried_record_by_record() -> None:
    judge = partial(ends_where_it_says_so, by=signal.SIGSEGV)
    records = [written_by(FOREIGN, body) for body in (b"fine", b"made up", b"fine")]
    assert await told(judge, FRAMING, *records) == ([False, True, False], 4)


async def test_a_schema_that_ends_a_process_is_tried_once() -> None:
    judge = partial(end_by, by=signal.SIGSEGV)
    assert await told(judge, FRAMING, *[written_by(DEADLY)] * 3) == ([True] * 3, 1)


async def test_a_registry_that_is_away_is_asked_again() -> None:
    class Away(Deadly):
        """Does not answer."""

        def schema_text(self, schema_id: int) -> str | None:
            raise RegistryUnavailableError(str(schema_id))

    with pytest.raises(RegistryUnavailableError):
        await told(partial(ends_where_it_says_so, by=signal.SIGSEGV), Framing(Away()), written_by(FOREIGN))
