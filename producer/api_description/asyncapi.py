"""The AsyncAPI document: the topics with their policies, and their records by the Avro schemas that are written."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from producer.api_description.openapi import DISTRIBUTION
from producer.api_description.topic_channels import AVRO, GROUP, Channel, Message
from schemas.avro.framing import schema_json
from streams.cluster.topics import TopicNames, TopicSpec, layout

Json = dict[str, Any]

AVRO_FORMAT = "application/vnd.apache.avro;version=1.9.0"
KAFKA_BINDING = "0.5.0"

_KEYED = re.compile(r"\b[Kk]eyed (?:by|as) [^.;]*")

_NUMBERS = ("retention.ms", "retention.bytes", "max.message.bytes")
"""Policies that Kafka's binding has a word for, besides how a topic is cleaned up."""

_DESCRIPTION = (
    "Programs publish batches to the log, and read from completions what became of them. A value says by its first "
    "bytes which schema wrote it: Avro's single-object encoding, or an id of the schema registry where there is one."
)


def asyncapi(channels: Sequence[Channel], names: TopicNames) -> Json:
    """Return the document of a deployment whose topics are called so."""
    specs = {spec.name: spec for spec in layout(names, [GROUP])}
    messages = {message.record: _message(message) for channel in channels for message in channel.messages}
    operations = {name: one for channel in channels for name, one in _operations(channel).items()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Audience API", "version": version(DISTRIBUTION), "description": _DESCRIPTION},
        "defaultContentType": AVRO,
        "channels": {channel.id: _channel(channel, specs[channel.topic]) for channel in channels},
        "operations": operations,
        "components": {"messages": messages},
    }


def _channel(channel: Channel, spec: TopicSpec) -> Json:
    described: Json = {
        "address": channel.topic,
        "summary": channel.summary,
        "messages": {one.record: {"$ref": f"#/components/messages/{one.record}"} for one in channel.messages},
        "bindings": {
            "kafka": {
                "topic": channel.topic,
                "partitions": spec.partitions,
                "topicConfiguration": _configuration(spec.config),
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    if GROUP in channel.topic:
        described["parameters"] = {GROUP.strip("{}"): {"description": "Id of an account's consumer group."}}
    return described


def _configuration(config: Mapping[str, str]) -> Json:
    numbers = {name: int(config[name]) for name in _NUMBERS if name in config}
    return {"cleanup.policy": [config["cleanup.policy"]], **numbers}


def _operations(channel: Channel) -> Json:
    return {
        name: {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel.id}"},
            "messages": [{"$ref": f"#/channels/{channel.id}/messages/{one.record}"} for one in channel.messages],
        }
        for name, action in channel.operations.items()
    }


def _message(message: Message) -> Json:
    schema = json.loads(schema_json(message.record))
    described: Json = {
        "name": message.record,
        "summary": schema["doc"],
        "contentType": message.content_type or AVRO,
        "payload": {"schemaFormat": AVRO_FORMAT, "schema": schema},
        "bindings": {"kafka": {"key": _key(schema["doc"]), "bindingVersion": KAFKA_BINDING}},
    }
    if headers := _headers(message):
        described["headers"] = {"type": "object", "properties": headers}
    return described


def _key(purpose: str) -> Json:
    """Return the schema of a record's key by the sentence about it in what the record's schema says of itself."""
    sentence = _KEYED.search(purpose)
    if sentence is None:
        raise ValueError("a record's schema says in its doc by what it is keyed")
    return {"type": "string", "description": f"{sentence[0][0].upper()}{sentence[0][1:]}."}


def _headers(message: Message) -> Json:
    own = {"content-type": {"type": "string", "const": message.content_type}} if message.content_type else {}
    others = {name: {"type": "string", "description": text} for name, text in (message.headers or {}).items()}
    return {**own, **others}
