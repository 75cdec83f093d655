import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from world import headers_on

from streams.broker import LocalBroker
from streams.errors import KafkaUnreachableError, NotAcknowledgedError, ProducerFailedError, QueueFullError
from streams.ports import free_port
from streams.settings import KafkaSettings
from streams.tail import read_to_end
from streams.topics import TopicSpec, ensure_topics
from streams.writer import Writer


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
    monkeypatch.setattr("streams.writer.FLUSH_LIMIT", 0.2)
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


async def test_a_producer_that_failed_for_good_says_so_and_takes_nothing_more(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await make_topic(kafka, topic_prefix)
    async with Writer(kafka) as writer:
        watching = asyncio.create_task(writer.failure())
        await writer.send(topic_prefix, "a", b"x")
        assert not watching.done()
        writer._on_error(KafkaError(KafkaError._FATAL, "made up", True))  # the client has no way to make it happen
        with pytest.raises(ProducerFailedError):
            await asyncio.wait_for(watching, 5)
        with pytest.raises(KafkaUnreachableError):
            writer.reserve(1)
