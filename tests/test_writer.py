import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kafka_proxies import LateLeader, advertised, proxying
from structlog.testing import capture_logs
from world import headers_on

from streams.client import refusals
from streams.client.errors import (
    KafkaUnreachableError,
    NotAcknowledgedError,
    ProducerFailedError,
    QueueFullError,
    RecordRefusedError,
    RecordTooLargeError,
)
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.tail import read_to_end
from streams.write.writer import Writer


@pytest.fixture
def nowhere() -> Iterator[KafkaSettings]:
    """A port of this machine that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield KafkaSettings(bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}")


async def make_topic(kafka: KafkaSettings, topic: str) -> None:
    await ensure_topics(kafka, [TopicSpec(topic, 1)])


async def test_a_record_stands_on_the_topic_where_send_says(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await writer.send(topic_prefix, "a", b"first")
        origin = await writer.send(topic_prefix, b"b", b"second", {"content-type": b"text"})

    first, second = await read_to_end(kafka, topic_prefix)
    assert (first.key, first.value) == (b"a", b"first")
    assert (second.origin, second.key, second.value) == (origin, b"b", b"second")
    assert await asyncio.to_thread(headers_on, kafka, topic_prefix) == [{}, {"content-type": b"text"}]
    assert origin.offset == 1


async def test_many_records_at_once_are_all_acknowledged(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer, asyncio.TaskGroup() as tasks:
        sends = [tasks.create_task(writer.send(topic_prefix, str(n), b"x" * 100)) for n in range(5000)]

    assert sorted(send.result().offset for send in sends) == list(range(5000))


async def test_a_lone_record_is_acknowledged_at_once(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        await writer.send(topic_prefix, "a", b"warm")
        began = time.monotonic()
        for _ in range(20):
            await writer.send(topic_prefix, "a", b"x")

    assert time.monotonic() - began < 2


async def test_room_is_refused_when_the_queue_is_full_and_comes_back(kafka: KafkaSettings) -> None:
    async with Writer(kafka, max_queued_bytes=1000) as writer:
        with writer.reserve(600) as first:
            with pytest.raises(QueueFullError):
                writer.reserve(600)
            first.release(500)
            with writer.reserve(600):
                pass
        with writer.reserve(1000):
            pass


async def test_a_request_beyond_the_whole_budget_fits_when_it_is_alone(kafka: KafkaSettings) -> None:
    async with Writer(kafka, max_queued_bytes=1000) as writer:
        with writer.reserve(5000), pytest.raises(QueueFullError):
            writer.reserve(1)
        with writer.reserve(1):
            pass


async def test_records_of_a_reservation_count_once_and_until_they_are_acknowledged(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka, max_queued_bytes=1000) as writer:
        with writer.reserve(500) as reservation:
            send = asyncio.ensure_future(writer.send(topic_prefix, "k", b"x" * 499, reservation=reservation))
            await asyncio.sleep(0)
            with writer.reserve(500), pytest.raises(QueueFullError):
                writer.reserve(1)
            await send
        with writer.reserve(1000):
            pass


async def test_a_cancelled_send_breaks_nothing_and_frees_its_room(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka, max_queued_bytes=1000) as writer:
        cancelled = asyncio.ensure_future(writer.send(topic_prefix, "k", b"x" * 900))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        origin = await writer.send(topic_prefix, "k", b"y")
        with writer.reserve(1000):
            pass

    assert origin.offset == 1


async def test_without_a_broker_a_reservation_is_refused_at_once(nowhere: KafkaSettings) -> None:
    began = time.monotonic()
    async with Writer(nowhere) as writer:
        assert not writer.is_reachable
        with pytest.raises(KafkaUnreachableError):
            writer.reserve(1)

    assert time.monotonic() - began < 5


async def test_a_record_that_no_broker_takes_is_not_acknowledged(nowhere: KafkaSettings) -> None:
    async with Writer(nowhere, message_timeout=0.5) as writer:
        with pytest.raises(NotAcknowledgedError) as failed:
            await writer.send("topic", "k", b"v")

        assert failed.value.__cause__ is not None
        assert not writer.is_reachable


async def test_an_unknown_topic_is_not_acknowledged_and_leaves_kafka_reachable(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with Writer(kafka, message_timeout=2) as writer:
        with pytest.raises(NotAcknowledgedError):
            await writer.send(topic_prefix, "k", b"v")

        assert writer.is_reachable


async def test_leaving_delivers_what_is_queued(kafka: KafkaSettings, topic_prefix: str) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        sends = [asyncio.ensure_future(writer.send(topic_prefix, str(n), b"x")) for n in range(100)]
        await asyncio.sleep(0)

    assert sorted(origin.offset for origin in await asyncio.gather(*sends)) == list(range(100))
    with pytest.raises(KafkaUnreachableError):
        await writer.send(topic_prefix, "k", b"late")


async def test_leaving_fails_what_was_never_acknowledged(
    nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.write.writer.FLUSH_LIMIT", 0.2)
    async with Writer(nowhere) as writer:
        send = asyncio.ensure_future(writer.send("topic", "k", b"v"))
        await asyncio.sleep(0)

    with pytest.raises(NotAcknowledgedError):
        await send


@pytest.mark.kafka
async def test_a_broker_that_goes_is_noticed_and_so_is_its_return(tmp_path: Path) -> None:
    broker = LocalBroker(data=tmp_path, port=free_port(), report=lambda _: None)
    async with broker, Writer(KafkaSettings(bootstrap_servers=broker.bootstrap_servers)) as writer:
        assert writer.is_reachable
        await broker.stop()
        await until(lambda: not writer.is_reachable)
        with pytest.raises(KafkaUnreachableError):
            writer.reserve(1)
        await broker.start()
        await until(lambda: writer.is_reachable)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def set_limit(kafka: KafkaSettings, topic: str, size: int) -> None:
    """Let a topic take records of so many bytes at most."""
    limit = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[limit])
    admin = AdminClient(kafka.client())
    await asyncio.to_thread(admin.incremental_alter_configs([resource])[resource].result, 10)


def gapless(kafka: KafkaSettings) -> KafkaSettings:
    """Return settings by which a producer fails for good when Kafka refuses a record."""
    own = {"enable.gapless.guarantee": "true", "enable.idempotence": "true"}
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties=own)


async def test_a_producer_that_failed_for_good_says_so_and_takes_nothing_more(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    await set_limit(kafka, topic_prefix, 20_000)
    async with Writer(gapless(kafka)) as writer:
        watching = asyncio.create_task(writer.failure())
        await writer.send(topic_prefix, "a", b"x")
        assert not watching.done()
        assert writer.trouble is None
        with pytest.raises(NotAcknowledgedError):  # who waits is told, although the client has failed
            await writer.send(topic_prefix, "a", os.urandom(30_000))
        with pytest.raises(ProducerFailedError, match="_GAPLESS_GUARANTEE"):
            await asyncio.wait_for(watching, 5)
        assert not writer.is_reachable
        assert "_GAPLESS_GUARANTEE" in (writer.trouble or "")
        with pytest.raises(ProducerFailedError):
            writer.reserve(1)
        with pytest.raises(ProducerFailedError):
            await writer.send(topic_prefix, "a", b"x")


async def test_a_record_that_is_too_large_for_its_topic_is_refused_in_kafka_s_word_until_one_like_it_is_taken(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    await set_limit(kafka, topic_prefix, 20_000)
    large = os.urandom(30_000)
    async with Writer(kafka) as writer:
        with capture_logs() as lines:
            for _ in range(5):
                with pytest.raises(RecordTooLargeError, match="MSG_SIZE_TOO_LARGE") as refused:
                    await writer.send(topic_prefix, "a", large)
        assert refused.value.refusal is not None
        assert refused.value.refusal.kind == "kafka_too_large"
        (told,) = [line for line in lines if line["event"] == "Kafka refuses records; waiting does not help."]
        assert (told["topic"], told["kafka"], told["words"]) == (
            topic_prefix,
            "MSG_SIZE_TOO_LARGE",
            "Message size too large",
        )
        await writer.send(topic_prefix, "a", b"small")
        assert writer.is_reachable
        assert writer.trouble is None
        assert topic_prefix in writer.refusals  # as large ones still are
        await set_limit(kafka, topic_prefix, 1_000_000)
        async with asyncio.timeout(60):
            while writer.refusals:  # the broker does not follow at once
                with contextlib.suppress(RecordTooLargeError):
                    await writer.send(topic_prefix, "a", large)


async def test_an_unknown_topic_is_refused_in_kafka_s_word(kafka: KafkaSettings, topic_prefix: str) -> None:
    own = {"topic.metadata.propagation.max.ms": "0", "topic.metadata.refresh.interval.ms": "1000"}
    async with Writer(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties=own)) as writer:
        with pytest.raises(RecordRefusedError) as refused:
            await writer.send(topic_prefix, "k", b"v")
        assert refused.value.refusal is not None
        assert refused.value.refusal.kind == "kafka_no_topic"
        await make_topic(kafka, topic_prefix)
        async with asyncio.timeout(60):
            while writer.refusals:  # until the client asks for the topic again
                with contextlib.suppress(RecordRefusedError):
                    await writer.send(topic_prefix, "k", b"v")
                await asyncio.sleep(0.1)


async def test_a_topic_that_takes_not_even_small_records_refuses_them_for_good_after_a_while(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LASTING", 0.5)
    await make_topic(kafka, topic_prefix)
    await set_limit(kafka, topic_prefix, 150)
    plain = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties={"compression.type": "none"})
    async with Writer(plain) as writer:
        with pytest.raises(NotAcknowledgedError) as first:
            await writer.send(topic_prefix, "a", b"x" * 500)
        assert not isinstance(first.value, RecordTooLargeError), "it may have gone in with others"
        await asyncio.sleep(0.6)
        with pytest.raises(RecordTooLargeError):
            await writer.send(topic_prefix, "a", b"x" * 500)
        await writer.send(topic_prefix, "a", b"x")
        with pytest.raises(NotAcknowledgedError) as after:
            await writer.send(topic_prefix, "a", b"x" * 500)
        assert not isinstance(after.value, RecordTooLargeError)


async def test_what_the_client_calls_delivered_as_a_later_record_was_is_not_acknowledged(tmp_path: Path) -> None:
    """librdkafka 2.16 takes the success of a later request for that of an earlier one, which it then never sends again.

    Kafka 4.3 takes any first sequence number of a producer that it knows nothing of, so the earlier record is lost.
    """
    port, outer = free_port(), free_port()
    proxy = LateLeader(port, "made-up")
    async with (
        proxying(proxy, outer),
        LocalBroker(data=tmp_path, port=port, properties=advertised(outer), report=lambda _: None),
    ):
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{outer}")
        await make_topic(kafka, "made-up")
        async with Writer(kafka) as writer, asyncio.timeout(60):
            first = asyncio.create_task(writer.send("made-up", "a", b"first"))
            await proxy.has_first.wait()
            assert (await writer.send("made-up", "a", b"second")).offset == 0
            with pytest.raises(NotAcknowledgedError):
                await first
        assert [record.value for record in await read_to_end(kafka, "made-up")] == [b"second"]
