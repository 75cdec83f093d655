"""Whether Kafka's client can be made of what a user sets: each property may be fine, and all together be refused."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.client.librdkafka_properties import KNOWN_PROPERTIES
from streams.client.settings import KafkaSettings, variable_of
from streams.read.group_reader import group_properties
from streams.write.writer import producer_properties

_BROKERS_DECIDE: Mapping[str, str] = {
    "session.timeout.ms": "the brokers do, by group.consumer.session.timeout.ms",
    "heartbeat.interval.ms": "the brokers do, by group.consumer.heartbeat.interval.ms",
    "partition.assignment.strategy": "the brokers do; KAFKA_GROUP_REMOTE_ASSIGNOR names an assignor of theirs",
    "group.protocol.type": "the protocol does",
}
"""What the group protocol `consumer` has no client decide, and who does."""

_NAME = re.compile(r"[a-z]+(?:\.[a-z]+)+")
"""A property's name in librdkafka's sentence, of which nothing else is repeated: it may quote a value."""


def combination_faults(properties: Mapping[str, str]) -> list[str]:
    """Return what is wrong with properties that are fine one by one, by variable and without their values.

    Clients are made as ours will be, without a broker to talk to. Tokens of OAUTHBEARER would be fetched at once, so
    those are left to the start.
    """
    if faults := [*_group_faults(properties), *_never(properties)]:
        return faults
    if not properties or any(
        "oauthbearer" in value.lower() for name, value in properties.items() if name.startswith("sasl.mechanism")
    ):
        return []
    quiet = {name: value for name, value in properties.items() if name != "debug"}
    kafka = KafkaSettings(bootstrap_servers="", properties=quiet)
    makers: tuple[tuple[Callable[[dict[str, Any]], Any], Mapping[str, Any]], ...] = (
        (AdminClient, kafka.client()),
        (Producer, producer_properties(kafka)),
        (_consumer, {**group_properties(kafka), "group.id": "none"}),
    )
    found = [_fault(make, config, properties) for make, config in makers]
    return list(dict.fromkeys(fault for fault in found if fault))


def _group_faults(properties: Mapping[str, str]) -> list[str]:
    if properties.get("group.protocol", "").lower() != "consumer":
        return []
    return [
        f"{variable_of(name)}: not a client's to say with KAFKA_GROUP_PROTOCOL=consumer: {who}; leave it out"
        for name, who in _BROKERS_DECIDE.items()
        if name in properties
    ]


def _never(properties: Mapping[str, str]) -> list[str]:
    name = "transactional.id"
    return [f"{variable_of(name)}: our records are of no transaction; leave it out"] if name in properties else []


def _consumer(config: dict[str, Any]) -> None:
    Consumer(config).close()


def _fault(
    make: Callable[[dict[str, Any]], Any], config: Mapping[str, Any], properties: Mapping[str, str]
) -> str | None:
    """Make a client; return why it can't be, by the properties that the reason names, else by all that are set."""
    known = {name: value for name, value in config.items() if name != "bootstrap.servers"}
    try:
        make(known)
    except KafkaException as error:
        named = [name for name in _NAME.findall(error.args[0].str()) if name in KNOWN_PROPERTIES | known.keys()]
        set_here = _variables(name for name in named if name in properties) or _variables(properties)
        others = [name for name in dict.fromkeys(named) if name not in properties]
        beside = f" and with {' and '.join(others)} as it is" if others else ""
        return f"{set_here}: Kafka's client can't work with this{beside}; correct it or leave it out"
    return None


def _variables(names: Iterable[str]) -> str:
    return ", ".join(variable_of(name) for name in dict.fromkeys(names))
