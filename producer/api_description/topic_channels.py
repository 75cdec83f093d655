"""The channels of the topics: which records stand on each, with which headers, and who writes and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from streams.cluster.topics import TopicNames

AVRO = "avro/binary"
"""What is said of records that have no header of their content's type."""

GROUP = "{group}"
"""Stands for the id of an account's consumer group in the name of its topic."""

Action = Literal["send", "receive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A kind of records on a topic; `content_type` is its header of that name, where it has one."""

    record: str
    content_type: str | None = None
    headers: Mapping[str, str] | None = None
    """Other headers, each with a description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A topic; the operations are those of this product, by name: others publish batches that it receives."""

    id: str
    topic: str
    summary: str
    messages: tuple[Message, ...]
    operations: Mapping[str, Action]


_BATCH = "application/vnd.audience.batch+avro"
_BATCH_HEADERS = {
    "audience-source": "Who wrote it; `http/resumed` puts it into the newest run of its session.",
    "traceparent": "The trace that the upload was part of, as W3C has it.",
}


def channels(names: TopicNames) -> tuple[Channel, ...]:
    """Return the channels of a deployment whose topics are called so."""
    return (
        Channel(
            id="batches",
            topic=names.batches,
            summary="The log: the only place where users stand.",
            messages=(
                Message(record="AudienceBatch", content_type=_BATCH, headers=_BATCH_HEADERS),
                Message(record="AudienceRemoval", content_type=_BATCH, headers=_BATCH_HEADERS),
            ),
            operations={"writeBatches": "send", "readBatches": "receive"},
        ),
        Channel(
            id="completions",
            topic=names.completions,
            summary="What each account did with each record of the log.",
            messages=(Message(record="BatchCompletion", content_type="application/vnd.audience.completion+avro"),),
            operations={"writeCompletions": "send", "readCompletions": "receive"},
        ),
        Channel(
            id="receipts",
            topic=names.receipts,
            summary="One for each record of the log, valid or not, whoever published it.",
            messages=(Message(record="BatchReceipt", content_type="application/vnd.audience.receipt+avro"),),
            operations={"writeReceipts": "send", "readReceipts": "receive"},
        ),
        Channel(
            id="accounts",
            topic=names.accounts,
            summary="Registrations and states of accounts, and what all processes of an account must know.",
            messages=(
                Message(record="AccountRegistration"),
                Message(record="AccountState", content_type="application/vnd.audience.account-state+avro"),
                Message(record="AccountLoss", content_type="application/vnd.audience.account-loss+avro"),
                Message(record="RemovalReader"),
                Message(record="OpenRemoval"),
                Message(record="PlatformJob"),
                Message(record="RemovedAudience"),
                Message(record="LogCreation"),
            ),
            operations={"writeAccounts": "send", "readAccounts": "receive"},
        ),
        Channel(
            id="directory",
            topic=names.directory,
            summary="Ids of audiences on platforms, and claims to create one.",
            messages=(Message(record="DirectoryEntry", content_type="application/vnd.audience.directory+avro"),),
            operations={"writeDirectory": "send", "readDirectory": "receive"},
        ),
        Channel(
            id="retries",
            topic=names.retry(GROUP),
            summary="Which records a group tries again later.",
            messages=(
                Message(
                    record="RetryPointer",
                    content_type="application/vnd.audience.retry+avro",
                    headers={"audience-log-id": "Kafka's id of the log's topic in which the pointer counts."},
                ),
            ),
            operations={"writeRetries": "send", "readRetries": "receive"},
        ),
    )
