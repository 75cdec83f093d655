"""The topics there are, their policies, and seeing to it that they exist with them."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, OffsetSpec, ResourceType

from streams.client.errors import KafkaUnreachableError, TopicRefusedError, WeakerTopicsError
from streams.client.settings import KafkaSettings

DAY = 86_400_000
"""Milliseconds."""

HOUR = 3_600_000

LOG_DAYS = 30
"""For how long users stand in the log; consumer groups need their offsets for as long."""

MOST_BYTES = 1_048_588
"""Kafka's own default of what a record may have; a lower limit refuses records of ours."""

_OFFSETS_RETENTION = "offsets.retention.minutes"
_FOREVER = -1

_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN
_AUTHORITATIVE = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
"""Problems that waiting does not mend; the call that failed by them only says that it timed out."""


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

    @property
    def of_records(self) -> Mapping[str, str]:
        """The topic of each kind of record, by whose name a schema registry files its schema."""
        return {
            "AudienceBatch": self.batches,
            "AudienceRemoval": f"{self.batches}.removal",  # a subject of its own: old readers must not resolve it
            "BatchCompletion": self.completions,
            "BatchReceipt": self.receipts,
            "AccountRegistration": self.accounts,
            "AccountState": f"{self.accounts}.state",  # kinds of records on one topic need subjects of their own
            "AccountLoss": f"{self.accounts}.lost",
            "OpenRemoval": f"{self.accounts}.open-removal",
            "PlatformJob": f"{self.accounts}.job",
            "RemovedAudience": f"{self.accounts}.removed",
            "RemovalReader": f"{self.accounts}.removal-reader",
            "LogCreation": f"{self.accounts}.log",
            "DirectoryEntry": self.directory,
            "RetryPointer": f"{self.prefix}.retry",
        }

    @property
    def ledger_group(self) -> str:
        """Id of the group that writes receipts."""
        return f"{self.prefix}.ledger"

    def retry(self, group_id: str) -> str:
        """Return the topic of a group's pointers to records that it tries again later."""
        return f"{group_id}.retry"


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
        TopicSpec(names.batches, 12, _kept_for(LOG_DAYS)),
        TopicSpec(names.completions, 12, _kept_for(60)),
        TopicSpec(names.receipts, 12, _kept_for(60)),
        TopicSpec(names.accounts, 1, _compacted()),
        TopicSpec(names.directory, 12, _compacted()),
        *(TopicSpec(names.retry(group), 12, _kept_for(LOG_DAYS)) for group in groups),
    ]


def _kept_for(days: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY),
        "retention.bytes": str(_FOREVER),
        "max.message.bytes": str(MOST_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }


def _compacted() -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(HOUR),
        "max.message.bytes": str(MOST_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicShape:
    """How many partitions a topic has, and on how many brokers each is kept at least."""

    partitions: int
    replication: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How something that exists differs from what it should be."""

    topic: str
    what: str
    found: str
    expected: str
    is_weaker: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}"


async def ensure_topics(
    kafka: KafkaSettings, specs: Sequence[TopicSpec], *, allow_weaker: bool = False, timeout: float = 30.0
) -> list[str]:
    """Create the topics that are missing; return how existing ones, and the cluster, differ, as sentences.

    1. Wait for a broker. 2. Create what is missing; another process may do the same. 3. Compare all of them.
    Nothing that exists is changed. Raises KafkaUnreachableError, TopicRefusedError, and WeakerTopicsError
    unless weaker topics are allowed.
    """
    differences = await asyncio.to_thread(_ensure_topics, kafka, specs, time.monotonic() + timeout)
    weaker = [str(difference) for difference in differences if difference.is_weaker]
    if weaker and not allow_weaker:
        raise WeakerTopicsError(
            "Topics promise less than they should; mend them, or set AUDIENCE_ALLOW_WEAKER_TOPICS=true: "
            + "; ".join(weaker)
        )
    return [str(difference) for difference in differences]


def _ensure_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec], deadline: float) -> list[Difference]:
    cluster = _Cluster(kafka, deadline)
    brokers, shapes = cluster.describe()
    replication = min(3, brokers)
    missing = [spec for spec in specs if spec.name not in shapes]
    cluster.create(missing, replication)
    shapes = cluster.await_usable(missing) if missing else shapes
    configs = cluster.configs([spec.name for spec in specs])
    differences = [
        difference for spec in specs for difference in compare(spec, shapes[spec.name], configs[spec.name], replication)
    ]
    return differences + compare_cluster(cluster.broker_config())


class _Cluster:
    """What topics need of a cluster, until a deadline. Every call blocks."""

    def __init__(self, kafka: KafkaSettings, deadline: float) -> None:
        self._address = kafka.bootstrap_servers
        self._deadline = deadline
        self._problems: list[KafkaError] = []
        self._admin = AdminClient(kafka.admin(error_cb=self._problems.append))

    def describe(self) -> tuple[int, dict[str, TopicShape]]:
        """Return the number of brokers and the shape of each topic. Raises KafkaUnreachableError."""
        metadata = self._metadata()
        shapes = {
            name: TopicShape(
                partitions=len(topic.partitions),
                replication=min((len(p.replicas) for p in topic.partitions.values()), default=0),
            )
            for name, topic in metadata.topics.items()
            if topic.partitions
        }
        return len(metadata.brokers), shapes

    def _metadata(self) -> ClusterMetadata:
        while True:
            try:
                return self._admin.list_topics(timeout=max(0.1, min(2.0, self._left())))
            except KafkaException as error:
                self._admin.poll(0.1)
                serious = [problem for problem in self._problems if problem.code() in _AUTHORITATIVE]
                if serious or self._left() <= 0:
                    named = [problem for problem in self._problems if problem.code() != _ALL_DOWN]
                    reason = (serious or named or [error.args[0]])[-1]
                    raise KafkaUnreachableError(
                        f"No Kafka answers at {self._address} ({reason.name()}: {reason.str()})."
                    ) from error

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def create(self, specs: Sequence[TopicSpec], replication: int) -> None:
        """Create topics, unless somebody else just did. Raises KafkaUnreachableError, TopicRefusedError."""
        if not specs:
            return
        in_sync = {"min.insync.replicas": str(_in_sync(replication))}
        topics = [
            NewTopic(spec.name, spec.partitions, replication, config={**spec.config, **in_sync}) for spec in specs
        ]
        for name, future in self._admin.create_topics(topics, request_timeout=self._timeout()).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._refused(error, f"create {name}") from error

    def await_usable(self, specs: Sequence[TopicSpec]) -> dict[str, TopicShape]:
        """Wait until every partition of new topics answers; return the shape of all topics.

        A broker names a topic a moment before it leads the topic's partitions, and a client that meets it then
        fails. Raises KafkaUnreachableError.
        """
        while True:
            _, shapes = self.describe()
            if all(spec.name in shapes for spec in specs) and self._leads(specs, shapes):
                return shapes
            if self._left() <= 0:
                raise KafkaUnreachableError(f"Kafka at {self._address} does not lead its new topics.")
            time.sleep(0.05)

    def _leads(self, specs: Sequence[TopicSpec], shapes: Mapping[str, TopicShape]) -> bool:
        ends = {
            TopicPartition(spec.name, number): OffsetSpec.latest()
            for spec in specs
            for number in range(shapes[spec.name].partitions)
        }
        try:
            for future in self._admin.list_offsets(ends, request_timeout=self._timeout()).values():
                future.result()
        except KafkaException:
            return False
        return True

    def configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the configuration of topics. Raises KafkaUnreachableError, TopicRefusedError."""
        return {name: self._config(ResourceType.TOPIC, name) for name in names}

    def broker_config(self) -> dict[str, str]:
        """Return the configuration of one of the brokers; nothing where we have no right to see it."""
        try:
            return self._config(ResourceType.BROKER, str(next(iter(self._metadata().brokers))))
        except TopicRefusedError:
            return {}

    def _config(self, kind: ResourceType, name: str) -> dict[str, str]:
        resource = ConfigResource(kind, name)
        future = self._admin.describe_configs([resource], request_timeout=self._timeout())[resource]
        try:
            return {key: entry.value for key, entry in future.result().items() if entry.value is not None}
        except KafkaException as error:
            raise self._refused(error, f"describe {name}") from error

    def _timeout(self) -> float:
        return max(1.0, self._left())

    def _refused(self, error: KafkaException, what: str) -> TopicRefusedError | KafkaUnreachableError:
        problem = error.args[0]
        if problem.code() < 0:  # the client's own: no answer came
            return KafkaUnreachableError(f"No Kafka answers at {self._address} ({problem.name()}).")
        return TopicRefusedError(f"Kafka at {self._address} refuses to {what} ({problem.name()}).")


def compare_cluster(config: Mapping[str, str]) -> list[Difference]:
    """Return how a broker differs from what groups need: offsets that live as long as the log."""
    minutes = config.get(_OFFSETS_RETENTION)
    expected = LOG_DAYS * 24 * 60
    if minutes is not None and int(minutes) >= expected:
        return []
    found, wanted = minutes or "not known", f"{expected} or more"
    return [Difference(topic="the cluster", what=_OFFSETS_RETENTION, found=found, expected=wanted, is_weaker=False)]


def compare(spec: TopicSpec, shape: TopicShape, config: Mapping[str, str], replication: int) -> list[Difference]:
    """Return how a topic differs from its spec on a cluster where `replication` is possible."""
    expected = {
        "partitions": str(spec.partitions),
        "replication factor": str(replication),
        "min.insync.replicas": str(_in_sync(replication)),
        **spec.config,
    }
    found = {
        **config,
        "partitions": str(shape.partitions),
        "replication factor": str(shape.replication),
    }
    return [
        Difference(
            topic=spec.name,
            what=what,
            found=found.get(what, "not set"),
            expected=wanted,
            is_weaker=_is_weaker(what, found.get(what, ""), wanted),
        )
        for what, wanted in expected.items()
        if found.get(what) != wanted
    ]


def _in_sync(replication: int) -> int:
    return 2 if replication >= 3 else 1


_COUNTS = frozenset(
    {
        "replication factor",
        "min.insync.replicas",
        "retention.ms",
        "retention.bytes",
        "min.compaction.lag.ms",
        "max.message.bytes",
    }
)


def _is_weaker(what: str, found: str, expected: str) -> bool:
    """Tell whether a difference breaks a promise; more than promised is none, another word always is."""
    if what == "partitions":
        return int(found) < int(expected) or expected == "1"  # what must be one is ordered
    if what in _COUNTS and found.lstrip("-").isdigit():
        return _amount(found) < _amount(expected)
    return True


def _amount(text: str) -> float:
    return float("inf") if int(text) == _FOREVER else int(text)
