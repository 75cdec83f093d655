"""A real Kafka for all tests: the cluster that is named, else a container, else a local one."""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from hypothesis import settings as hypothesis_settings

from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.local.jars import KAFKA_VERSION
from streams.processes.ports import free_port

hypothesis_settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis_settings.load_profile("untimed")


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaSettings]:
    """A real Apache Kafka."""
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield KafkaSettings(bootstrap_servers=named)
        return
    running = _in_container() if _has_docker() else _local(tmp_path_factory.mktemp("kafka"))
    async with running as kafka:
        yield kafka


@asynccontextmanager
async def _local(data: Path) -> AsyncIterator[KafkaSettings]:
    async with LocalBroker(data=data, port=free_port(), report=structlog.get_logger().info) as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


def _has_docker() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@asynccontextmanager
async def _in_container() -> AsyncIterator[KafkaSettings]:
    """Run the image that docker-compose.yml names, on a port that it can advertise."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 -- only where an engine answers
    from testcontainers.core.waiting_utils import wait_for_logs  # noqa: PLC0415 -- the same

    port = free_port()
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, port)
    for name, value in {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }.items():
        container = container.with_env(name, value)
    with container:
        wait_for_logs(container, "Kafka Server started", timeout=60)
        yield KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix of topics and groups that no other test has; its topics are deleted in the end.

    A broker that keeps the partitions of all tests, some ten thousand, stalls for seconds and counts as dead.
    """
    prefix = f"test-{secrets.token_hex(6)}"
    kafka = request.getfixturevalue("kafka") if "kafka" in request.fixturenames else None
    yield prefix
    if kafka is not None:
        with contextlib.suppress(KafkaException):
            _delete_topics(kafka, prefix)


def _delete_topics(kafka: KafkaSettings, prefix: str) -> None:
    admin = AdminClient(kafka.client())
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    for deleted in (admin.delete_topics(names, request_timeout=10) if names else {}).values():
        deleted.exception(20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Kafka, so that the quick check can leave them out."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
