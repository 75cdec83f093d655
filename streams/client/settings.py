"""Where Kafka is, and how its client is configured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.client.broker_outages import Outages
from streams.client.librdkafka_properties import KNOWN_PROPERTIES

_PREFIX = "KAFKA_"
_OURS = frozenset({"KAFKA_BOOTSTRAP_SERVERS", "KAFKA_HOME"})


def variable_of(name: str) -> str:
    """Return the variable that sets a property of the client."""
    return _PREFIX + name.upper().replace(".", "_")


KAFKA_VARIABLES = _OURS | {variable_of(name) for name in KNOWN_PROPERTIES}
"""Names that a misspelt one may have been meant to be."""

_NOT_FOR_USERS = frozenset({"bootstrap.servers", "default.topic.config", "logger", "metadata.broker.list"})
"""What the Python client takes for itself, and other names of the bootstrap servers."""

_NO_PROPERTY = ("No such configuration property", "not settable", "must be set through dedicated")
_COMBINATION = "Failed to create"
"""The property is fine by itself and needs others: librdkafka looks at them together at last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """A cluster, and librdkafka properties that the user sets; they may hold secrets."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    outages: Outages = field(default_factory=Outages, repr=False, compare=False)

    def client(self, **overrides: Any) -> dict[str, Any]:
        """Return a client's configuration: overrides win over the user's properties, those over ours.

        Overrides come last, as librdkafka has several names for some properties and takes the last value.
        """
        quiet = 2  # what matters reaches us by callbacks
        ours = {"bootstrap.servers": self.bootstrap_servers, "log_level": quiet}
        chosen = {name: value for name, value in self.properties.items() if name not in overrides}
        return {**ours, **chosen, **overrides}

    def admin(self, **overrides: Any) -> dict[str, Any]:
        """Return the configuration of a client that is asked about the cluster, which connects to all brokers.

        One that connects to those that it needs takes whole cores while one of them is away: librdkafka (2.16) tries
        such a broker again at once, without the usual pause, for as long as a question waits for it.
        """
        return {"enable.sparse.connections": False, **self.client(**overrides)}

    def on_error(self, error: KafkaError) -> None:
        """Take down what a client reports, as its `error_cb`: it is told once for all clients of these settings."""
        self.outages.note(error, self.client())

    def on_error_after(self, own: Callable[[KafkaError], None]) -> Callable[[KafkaError], None]:
        """Return an `error_cb` that calls a client's own first."""

        def on_error(error: KafkaError) -> None:
            own(error)
            if not error.fatal():
                self.on_error(error)

        return on_error


def kafka_properties(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return librdkafka's properties from `KAFKA_<PROPERTY>`, and the variables that name none.

    KAFKA_SASL_USERNAME is sasl.username; an empty variable counts as not set. Raises ValueError, which names
    the variable and never its value, where a property can't have the value.
    """
    properties, unknown = {}, []
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _OURS or not environ[name]:
            continue
        key = name.removeprefix(_PREFIX).lower().replace("_", ".")
        if _is_property(name, key, environ[name]):
            properties[key] = environ[name]
        else:
            unknown.append(name)
    return properties, unknown


def is_kafka_variable(name: str) -> bool:
    """Tell whether a variable is ours or names a property of the client."""
    try:
        return name.startswith(_PREFIX) and not kafka_properties({name: "?"})[1]
    except ValueError:
        return True  # a property, which cannot have this value


def _is_property(variable: str, key: str, value: str) -> bool:
    """Ask librdkafka, which knows its properties and what they may hold."""
    if key in _NOT_FOR_USERS:
        return False
    try:
        AdminClient({"log_level": 0, key: value})
    except KafkaException as error:
        reason = error.args[0].str()
        if any(words in reason for words in _NO_PROPERTY):
            return False
        if not reason.startswith(_COMBINATION):
            raise ValueError(f"{variable}: not a value that {key} can have") from None
    return True
