"""The topics there are, their policies, and seeing to it that they exist with them."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from streams.errors import KafkaUnreachableError, WeakerTopicsError
from streams.settings import KafkaSettings

DAY = 86_400_000
"""Milliseconds."""

HOUR = 3_600_000

LEADER_LIMIT = 20.0
"""Seconds that a new topic may take until it can be used."""

OFFSETS_RETENTION = "offsets.retention.minutes"


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names of the topics, all of which begin with the prefix."""

    prefix: str = "audience"

    @property
    def batches(self) -> str:
        """The log: the only place where users stand."""
        return f"{self.prefix}.batches"

    @property
    def completions(self) -> str:
        """What each account did with each record."""
        return f"{self.prefix}.completions"

    @property
    def receipts(self) -> str:
        """One for each record of the log."""
        return f"{self.prefix}.receipts"

    @property
    def accounts(self) -> str:
        """Registrations and states of accounts."""
        return f"{self.prefix}.accounts"

    @property
    def directory(self) -> str:
        """Ids of audiences on platforms."""
        return f"{self.prefix}.directory"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def layout(names: TopicNames, groups: Sequence[str] = ()) -> list[TopicSpec]:
    """Return every topic, with a retry topic for each group.

    `accounts` has one partition because the first registration on the topic wins.
    """
    return [
        TopicSpec(names.batches, 12, _kept_for(30)),
        TopicSpec(names.completions, 12, _kept_for(60)),
        TopicSpec(names.receipts, 12, _kept_for(60)),
        TopicSpec(names.accounts, 1, _compacted()),
        TopicSpec(names.directory, 12, _compacted()),
        *(TopicSpec(f"{group}.retry", 12, _kept_for(30)) for group in groups),
    ]


def _kept_for(days: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY),
        "message.timestamp.type": "LogAppendTime",
    }


def _compacted() -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(HOUR),
        "message.timestamp.type": "LogAppendTime",
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """How an existing topic differs from what it should be."""

    topic: str
    what: str
    found: str
    expected: str
    is_weaker: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}"


async def ensure_topics(
    kafka: KafkaSettings, specs: Sequence[TopicSpec], *, allow_weaker: bool = False, timeout: float = 30.0
) -> list[Difference]:
    """Create the topics that are missing; return how existing ones differ.

    Raises KafkaUnreachableError, WeakerTopicsError unless weaker ones are allowed.
    """
    differences = await asyncio.to_thread(_ensure_topics, kafka, specs, timeout)
    weaker = [str(difference) for difference in differences if difference.is_weaker]
    if weaker and not allow_weaker:
        raise WeakerTopicsError(
            "Topics promise less than they should; mend them, or set AUDIENCE_ALLOW_WEAKER_TOPICS=true: "
            + "; ".join(weaker)
        )
    return differences


def _ensure_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec], timeout: float) -> list[Difference]:
    problems: list[str] = []
    admin = AdminClient(kafka.client({}, {"error_cb": lambda error: problems.append(error.str())}))
    brokers, existing = _metadata(admin, kafka, problems, timeout)
    replication = min(3, brokers)
    missing = [spec for spec in specs if spec.name not in existing]
    _create(admin, missing, replication)
    found = [spec for spec in specs if spec.name in existing]
    differences = [
        difference
        for spec, config in zip(found, _configs(admin, ResourceType.TOPIC, [s.name for s in found]), strict=True)
        for difference in compare(spec, existing[spec.name], config, replication)
    ]
    return differences + _offsets_retention(admin)


def _metadata(
    admin: AdminClient, kafka: KafkaSettings, problems: list[str], timeout: float
) -> tuple[int, dict[str, tuple[int, int]]]:
    """Return the number of brokers, and partitions and replication of each topic."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            metadata = admin.list_topics(timeout=min(timeout, 5.0))
            break
        except KafkaException as error:
            if time.monotonic() >= deadline:
                reason = problems[-1] if problems else error.args[0].str()
                raise KafkaUnreachableError(f"No Kafka answers at {kafka.bootstrap_servers} ({reason}).") from error
    shapes = {
        name: (len(topic.partitions), min((len(p.replicas) for p in topic.partitions.values()), default=0))
        for name, topic in metadata.topics.items()
    }
    return len(metadata.brokers), shapes


def _create(admin: AdminClient, specs: Sequence[TopicSpec], replication: int) -> None:
    if not specs:
        return
    in_sync = {"min.insync.replicas": "2" if replication >= 3 else "1"}
    topics = [NewTopic(spec.name, spec.partitions, replication, config={**spec.config, **in_sync}) for spec in specs]
    for future in admin.create_topics(topics, operation_timeout=20).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise KafkaUnreachableError(f"A topic could not be created ({error.args[0].name()}).") from error
    _await_leaders(admin, {spec.name for spec in specs})


def _await_leaders(admin: AdminClient, names: set[str]) -> None:
    """Wait until every partition of new topics can be used: brokers learn of them a moment after the controller."""
    deadline = time.monotonic() + LEADER_LIMIT
    while time.monotonic() < deadline:
        topics = admin.list_topics(timeout=10).topics
        known = [topics[name] for name in names if name in topics]
        leaders = [part.leader for topic in known for part in topic.partitions.values()]
        if len(known) == len(names) and leaders and min(leaders) >= 0:
            return
        time.sleep(0.05)


def _configs(admin: AdminClient, kind: ResourceType, names: Sequence[str]) -> list[dict[str, str]]:
    if not names:
        return []
    futures = admin.describe_configs([ConfigResource(kind, name) for name in names])
    by_name = {resource.name: future.result() for resource, future in futures.items()}
    return [{key: entry.value for key, entry in by_name[name].items()} for name in names]


def _offsets_retention(admin: AdminClient) -> list[Difference]:
    broker = str(next(iter(admin.list_topics(timeout=10).brokers)))
    minutes = int(_configs(admin, ResourceType.BROKER, [broker])[0].get(OFFSETS_RETENTION, 0))
    if minutes >= 30 * 24 * 60:
        return []
    return [Difference("the cluster", OFFSETS_RETENTION, str(minutes), "43200 or more", is_weaker=False)]


def compare(spec: TopicSpec, shape: tuple[int, int], config: Mapping[str, str], replication: int) -> list[Difference]:
    """Return how a topic of this shape (partitions, replication) and configuration differs from its spec."""
    in_sync = 2 if replication >= 3 else 1
    numbers = [
        ("partitions", shape[0], spec.partitions),
        ("replication factor", shape[1], replication),
        ("min.insync.replicas", int(config["min.insync.replicas"]), in_sync),
    ]
    differences = [
        Difference(spec.name, what, str(found), str(expected), is_weaker=found < expected)
        for what, found, expected in numbers
        if found != expected
    ]
    for key, expected in spec.config.items():
        if config.get(key) != expected:
            is_weaker = _WEAKER.get(key, _is_other)(config.get(key, ""), expected)
            differences.append(Difference(spec.name, key, config.get(key, ""), expected, is_weaker=is_weaker))
    return differences


def _is_other(found: str, expected: str) -> bool:
    return found != expected


def _is_shorter(found: str, expected: str) -> bool:
    return 0 <= int(found) < int(expected)  # -1 keeps for ever


_WEAKER: Mapping[str, Callable[[str, str], bool]] = {
    "retention.ms": _is_shorter,
    "min.compaction.lag.ms": _is_shorter,
}
