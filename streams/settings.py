"""Where Kafka is, and how its client is configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_PREFIX = "KAFKA_"
_OURS = frozenset({"KAFKA_BOOTSTRAP_SERVERS", "KAFKA_HOME"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """A cluster, and librdkafka properties that the user sets; they may hold secrets."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    def client(self, defaults: Mapping[str, Any], required: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a client's configuration: the user's properties win over defaults, not over what is required."""
        always = {"bootstrap.servers": self.bootstrap_servers, **(required or {})}
        quiet = {"log_level": 2}  # errors reach us by callbacks too
        return {**quiet, **defaults, **self.properties, **always}


def kafka_properties(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return librdkafka's properties from `KAFKA_<PROPERTY>`, and the variables that name none.

    KAFKA_SASL_USERNAME is sasl.username. Raises ValueError where a property has a value that it can't have.
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


def _is_property(variable: str, key: str, value: str) -> bool:
    """Ask librdkafka, which knows its properties and what they may hold."""
    try:
        AdminClient({key: value})
    except KafkaException as error:
        if "No such configuration property" in str(error):
            return False
        if "Invalid value" in str(error):
            raise ValueError(f"{variable}: not a value that {key} can have") from None
    return True
