"""Three Kafka nodes on this machine, which are killed and started again."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, ResourceType

from streams.client.settings import KafkaSettings
from streams.local.broker import HOST, LocalBroker, new_cluster_id
from streams.processes.ports import is_free

NODES = (1, 2, 3)

REPLICATED = {
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "4000",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "min.insync.replicas": "2",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes by their ids, 1 to 3. A node keeps its port and data over its deaths."""

    nodes: Mapping[int, LocalBroker]

    @property
    def kafka(self) -> KafkaSettings:
        """Where clients connect. Of groups that lost their coordinator members are missed sooner than usual."""
        servers = ",".join(node.bootstrap_servers for node in self.nodes.values())
        return KafkaSettings(bootstrap_servers=servers, properties={"session.timeout.ms": "6000"})

    async def leader(self, topic: str, partition: int) -> int:
        """Return the id of the node that leads a partition."""
        metadata = await asyncio.to_thread(AdminClient(self.kafka.client()).list_topics, topic, 10)
        leader: int = metadata.topics[topic].partitions[partition].leader
        return leader

    async def durability(self, topic: str) -> tuple[set[int], str]:
        """Return on how many nodes the partitions of a topic are, and how many must be in sync by its own settings."""
        admin, resource = AdminClient(self.kafka.client()), ConfigResource(ResourceType.TOPIC, topic)
        metadata = await asyncio.to_thread(admin.list_topics, topic, 10)
        config = await asyncio.to_thread(admin.describe_configs([resource])[resource].result, 10)
        replicas = {len(partition.replicas) for partition in metadata.topics[topic].partitions.values()}
        in_sync = config["min.insync.replicas"]
        return replicas, in_sync.value if in_sync.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value else "not set"

    async def kill(self, number: int) -> None:
        """End a node by SIGKILL and return when it is gone."""
        with contextlib.suppress(ProcessLookupError):  # it may be gone
            await self.nodes[number].kill()

    async def start(self, *numbers: int) -> None:
        """Start nodes, which need each other: alone none of them answers."""
        await asyncio.gather(*(self.nodes[number].start() for number in numbers))


@asynccontextmanager
async def three_nodes(data: Path) -> AsyncIterator[Cluster]:
    """Run three nodes while the block is entered."""
    ports, cluster = _free_ports(2 * len(NODES)), new_cluster_id()
    controllers = dict(zip(NODES, ports[len(NODES) :], strict=True))
    nodes = {
        number: LocalBroker(
            data=data / str(number),
            port=port,
            properties=_properties(number, port, controllers),
            cluster=cluster,
            report=lambda _: None,
        )
        for number, port in zip(NODES, ports, strict=False)
    }
    found = Cluster(nodes)
    try:
        await found.start(*NODES)
        yield found
    finally:
        await asyncio.gather(*(found.kill(number) for number in NODES))  # the last one could not end in order


def _properties(number: int, port: int, controllers: Mapping[int, int]) -> dict[str, str]:
    return REPLICATED | {
        "node.id": str(number),
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controllers[number]}",
        "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in controllers.items()),
    }


def _free_ports(count: int) -> Sequence[int]:
    """Choose from those that the system hands to nobody: a dead node's port must not become a client's."""
    return random.sample([port for port in range(20_000, 30_000) if is_free(HOST, port)], count)
