"""What Kafka refuses to take, in its own word: told once for each cause, and shown while it stands."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from confluent_kafka import KafkaError, KafkaException

from schemas.tracebacks import place_of

log = structlog.get_logger()

EVERY = 60.0
"""Seconds between two lines about the same."""

LASTING = 10.0
"""Seconds after which what refuses a small record for its size is the topic, and not the request it went in with."""

_NOT_ALLOWED, _TOO_LARGE, _NO_TOPIC, _REFUSED = (
    "kafka_not_allowed",
    "kafka_too_large",
    "kafka_no_topic",
    "kafka_refused",
)

_KINDS: Mapping[int, str] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.MSG_SIZE_TOO_LARGE: _TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: _TOO_LARGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: _NO_TOPIC,
    KafkaError._UNKNOWN_PARTITION: _NO_TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID: _NO_TOPIC,
    KafkaError.TOPIC_EXCEPTION: _REFUSED,
    KafkaError.INVALID_RECORD: _REFUSED,
    KafkaError.INVALID_MSG: _REFUSED,
    KafkaError.INVALID_MSG_SIZE: _REFUSED,
    KafkaError.INVALID_TIMESTAMP: _REFUSED,
    KafkaError.INVALID_REQUIRED_ACKS: _REFUSED,
    KafkaError.POLICY_VIOLATION: _REFUSED,
    KafkaError.SECURITY_DISABLED: _REFUSED,
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: _REFUSED,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: _REFUSED,
    KafkaError.UNSUPPORTED_VERSION: _REFUSED,
}
"""Words of the vocabulary for what waiting does not mend. Anything else may pass by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What Kafka says of records of a topic: its error, in its words, and our word for what to do."""

    kind: str
    topic: str
    error: str
    words: str
    size: int
    """Bytes of the record that was refused."""

    @property
    def is_of_all(self) -> bool:
        """Whether nothing at all is taken until somebody acts."""
        return self.kind in {_NOT_ALLOWED, _NO_TOPIC}

    @property
    def is_of_size(self) -> bool:
        """Whether smaller records are taken."""
        return self.kind == _TOO_LARGE

    def __str__(self) -> str:
        return f"Kafka refuses to take records of {self.topic} ({self.error}: {self.words})"


def is_of_rights(error: KafkaError) -> bool:
    """Tell whether an error of Kafka is about a right that is missing."""
    return _KINDS.get(error.code()) == _NOT_ALLOWED


def refusal_of(error: KafkaError, topic: str, size: int) -> Refusal | None:
    """Return what an error of Kafka refuses for good, None where the same may pass later.

    Its words are those of its code: what a broker says besides may quote the record.
    """
    kind = _KINDS.get(error.code())
    if kind is None:
        return None
    words = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
    return Refusal(kind=kind, topic=topic, error=error.name(), words=words, size=size)


def words_of(error: BaseException) -> str:
    """Return Kafka's word for an error of the client, else where our own code failed."""
    if not isinstance(error, KafkaException):
        return place_of(error)
    kafka = error.args[0]
    words = kafka if kafka.code() == KafkaError._FATAL else KafkaError(kafka.code())  # what is fatal is in the words
    return f"{kafka.name()}: {words.str()}"


@dataclass(slots=True)
class Refusals:
    """The refusals of one writer. To be used in one event loop."""

    clock: Callable[[], float] = time.monotonic
    _standing: dict[str, Refusal] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    """Since when each topic has taken nothing at all."""
    _logged: dict[tuple[str, str], float] = field(default_factory=dict)
    _left_out: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def standing(self) -> Mapping[str, Refusal]:
        """What each topic was refused by, as far as Kafka has taken nothing like it since."""
        return self._standing

    def note(self, refusal: Refusal) -> None:
        """Take down a refusal, and tell it unless it was told lately."""
        self._standing[refusal.topic] = refusal
        cause, now = (refusal.topic, refusal.kind), self.clock()
        self._since.setdefault(refusal.topic, now)
        if now - self._logged.get(cause, -EVERY) < EVERY:
            self._left_out[cause] = self._left_out.get(cause, 0) + 1
            return
        self._logged[cause] = now
        more = {"left_out": left_out} if (left_out := self._left_out.pop(cause, 0)) else {}
        facts = {"topic": refusal.topic, "kafka": refusal.error, "words": refusal.words, "error": refusal.kind}
        log.error("Kafka refuses records; waiting does not help.", **facts, **more)

    def taken(self, topic: str, size: int) -> None:
        """Note a record that Kafka took: what was refused is over, unless that was for its size and is larger."""
        self._since.pop(topic, None)
        refusal = self._standing.get(topic)
        if refusal is not None and (not refusal.is_of_size or size >= refusal.size):
            self.granted(topic)

    def lasts(self, topic: str) -> bool:
        """Tell whether a topic has taken nothing for LASTING seconds, so that it is no matter of one request."""
        return self.clock() - self._since.get(topic, math.inf) >= LASTING

    def granted(self, topic: str) -> None:
        """Note that a topic's refusal is over."""
        refusal = self._standing.pop(topic)
        log.info("Kafka takes records of the topic again.", topic=topic, kafka=refusal.error)
