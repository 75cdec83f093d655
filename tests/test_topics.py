import asyncio
import socket
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.client.errors import KafkaUnreachableError, WeakerTopicsError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, TopicShape, TopicSpec, compare, compare_cluster, ensure_topics, layout

SPEC = layout(TopicNames())[0]
AS_PROMISED = {**SPEC.config, "min.insync.replicas": "2"}
SHAPE = TopicShape(partitions=12, replication=3)


def test_every_topic_begins_with_the_prefix_and_each_group_has_a_retry_topic() -> None:
    names = TopicNames("acme")
    specs = layout(names, ["acme.facebook", "acme.facebook.eu"])

    assert [spec.name for spec in specs] == [
        "acme.batches",
        "acme.completions",
        "acme.receipts",
        "acme.accounts",
        "acme.directory",
        "acme.facebook.retry",
        "acme.facebook.eu.retry",
    ]
    assert specs[5].name == names.retry("acme.facebook")
    assert {spec.config["message.timestamp.type"] for spec in specs} == {"LogAppendTime"}
    assert [spec.partitions for spec in specs if spec.name == names.accounts] == [1]


async def test_topics_are_created_as_promised_and_creating_them_again_finds_no_difference(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    specs = layout(TopicNames(topic_prefix), [f"{topic_prefix}.facebook"])

    await ensure_topics(kafka, specs)
    again = await ensure_topics(kafka, specs)

    assert [sentence for sentence in again if not sentence.startswith("the cluster")] == []
    metadata = await asyncio.to_thread(AdminClient(kafka.client()).list_topics, timeout=10)
    assert {spec.name: len(metadata.topics[spec.name].partitions) for spec in specs} == {
        spec.name: spec.partitions for spec in specs
    }


async def test_processes_that_start_together_all_find_the_topics(kafka: KafkaSettings, topic_prefix: str) -> None:
    specs = layout(TopicNames(topic_prefix))

    found = await asyncio.gather(*(ensure_topics(kafka, specs) for _ in range(5)))

    assert all(not sentence.startswith(topic_prefix) for sentences in found for sentence in sentences)


async def test_a_weaker_topic_is_refused_unless_allowed(kafka: KafkaSettings, topic_prefix: str) -> None:
    weak = NewTopic(topic_prefix, 3, 1, config={"retention.ms": "1000", "cleanup.policy": "compact"})
    admin = AdminClient(kafka.client())
    admin.create_topics([weak])[topic_prefix].result(timeout=10)
    specs = [TopicSpec(topic_prefix, 12, SPEC.config)]

    with pytest.raises(WeakerTopicsError) as refused:
        await ensure_topics(kafka, specs)
    sentences = await ensure_topics(kafka, specs, allow_weaker=True)

    for part in (
        f"{topic_prefix}: partitions is 3, expected 12",
        f"{topic_prefix}: retention.ms is 1000, expected 2592000000",
        f"{topic_prefix}: cleanup.policy is compact, expected delete",
        f"{topic_prefix}: message.timestamp.type is CreateTime, expected LogAppendTime",
    ):
        assert part in str(refused.value)
        assert part in sentences


@pytest.mark.parametrize(
    ("key", "value", "is_weaker"),
    [
        ("retention.ms", "-1", False),
        ("retention.ms", "9999999999999", False),
        ("retention.ms", "1000", True),
        ("retention.bytes", "1000000", True),
        ("max.message.bytes", "2000000", False),
        ("max.message.bytes", "1000", True),
        ("min.insync.replicas", "1", True),
        ("min.insync.replicas", "3", False),
        ("cleanup.policy", "compact,delete", True),
        ("message.timestamp.type", "CreateTime", True),
    ],
)
def test_only_what_promises_less_is_weaker(key: str, value: str, is_weaker: bool) -> None:
    (difference,) = compare(SPEC, SHAPE, {**AS_PROMISED, key: value}, 3)

    assert difference.is_weaker is is_weaker


@pytest.mark.parametrize(
    ("shape", "partitions", "is_weaker"),
    [
        (TopicShape(partitions=24, replication=3), 12, False),
        (TopicShape(partitions=6, replication=3), 12, True),
        (TopicShape(partitions=12, replication=2), 12, True),
        (TopicShape(partitions=12, replication=5), 12, False),
        (TopicShape(partitions=2, replication=3), 1, True),
    ],
)
def test_fewer_partitions_or_replicas_are_weaker_and_more_than_the_one_that_orders(
    shape: TopicShape, partitions: int, is_weaker: bool
) -> None:
    spec = TopicSpec("topic", partitions, SPEC.config)
    (difference,) = compare(spec, shape, AS_PROMISED, 3)

    assert difference.is_weaker is is_weaker


def test_as_promised_is_no_difference() -> None:
    assert compare(SPEC, SHAPE, AS_PROMISED, 3) == []


def test_offsets_that_live_shorter_than_the_log_are_reported_but_not_refused() -> None:
    (difference,) = compare_cluster({"offsets.retention.minutes": "10080"})

    assert str(difference) == "the cluster: offsets.retention.minutes is 10080, expected 43200 or more"
    assert not difference.is_weaker
    assert compare_cluster({"offsets.retention.minutes": "43200"}) == []


async def test_without_a_broker_the_address_and_the_reason_are_named_in_time() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(KafkaUnreachableError, match=f"{address}.*refused"):
            await ensure_topics(KafkaSettings(bootstrap_servers=address), [], timeout=1)

    assert time.monotonic() - began < 5


async def test_a_wrong_kind_of_connection_is_named(
    kafka: KafkaSettings,
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties={"security.protocol": "ssl"})
    with pytest.raises(KafkaUnreachableError, match=r"SSL handshake failed|SSL connection closed by peer"):
        await ensure_topics(settings, [], timeout=1)
