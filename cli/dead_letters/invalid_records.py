"""`audience dead-letters list --invalid`: records of the log that break a rule or cannot be decoded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cli.dead_letters.listing import Listing
from cli.printing.tables import moment_text
from cli.undecodable import Undecodable
from schemas.avro.codec import decode_batch_receipt
from schemas.avro.framing import Framing
from schemas.records import BatchReceipt, Origin, is_of_log
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import scan

COLUMNS = ("origin", "verdict", "reason", "source", "name", "session", "batch", "came at")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReceipts:
    """Which receipts to show; None leaves nothing out."""

    session_id: str | None = None
    age: timedelta | None = None

    def has(self, receipt: BatchReceipt, now: datetime) -> bool:
        """Tell whether a receipt is one of them."""
        return self.session_id in (None, receipt.session_id) and (
            self.age is None or now - receipt.timestamp <= self.age
        )


@dataclass(slots=True)
class InvalidRecords:
    """Receipts of what is not valid, one for each origin."""

    framing: Framing
    log_id: str | None = None
    """The log's; receipts of another one, which had its name before, are left out."""
    _by_origin: dict[Origin, BatchReceipt] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Note one more receipt. Raises UndecodableError, RegistryUnavailableError."""
        receipt = decode_batch_receipt(record.value, self.framing)
        if receipt.verdict != "valid" and is_of_log(receipt.log_id, self.log_id):
            self._by_origin[receipt.origin] = receipt

    def newest_first(self) -> list[BatchReceipt]:
        """Return the receipts."""
        return sorted(self._by_origin.values(), key=lambda receipt: (receipt.timestamp, receipt.origin), reverse=True)


async def list_invalid(
    kafka: KafkaSettings, names: TopicNames, framing: Framing, wanted: WantedReceipts, now: datetime, *, as_json: bool
) -> None:
    """Print the records that are not valid, the newest first, and how many they are on standard error.

    Raises KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    found = InvalidRecords(framing, await log_id(kafka, names.batches))
    undecodable = Undecodable("receipts", framing)
    await scan(kafka, names.receipts, undecodable.counted(found.take))
    standing = found.newest_first()
    chosen = [receipt for receipt in standing if wanted.has(receipt, now)]
    listing = Listing(columns=COLUMNS, cells=cells, summary=summary, counted=counted)
    listing.show(chosen, len(standing), undecodable, as_json=as_json)


def cells(receipt: BatchReceipt) -> list[str]:
    """Return a receipt as a row of COLUMNS."""
    known = (
        str(receipt.origin),
        receipt.verdict,
        receipt.reason,
        receipt.source,
        f"{receipt.name} (removal)" if receipt.mode == "remove" else receipt.name,
        receipt.session_id,
        receipt.batch_id,
        moment_text(receipt.timestamp),
    )
    return ["-" if fact is None else str(fact) for fact in known]


def summary(receipt: BatchReceipt) -> dict[str, object]:
    """Return a receipt as an object of the list."""
    return {
        "origin": str(receipt.origin),
        "verdict": receipt.verdict,
        "reason": receipt.reason,
        "source": receipt.source,
        "name": receipt.name,
        "type": receipt.type,
        "mode": None if receipt.verdict == "undecodable" else receipt.mode,
        "sessionId": receipt.session_id,
        "batchId": receipt.batch_id,
        "users": receipt.users,
        "at": receipt.timestamp,
    }


def counted(chosen: Sequence[BatchReceipt], standing: int) -> Iterator[str]:
    """Say how many records of which verdict there are, of all that are not valid."""
    counts = Counter(receipt.verdict for receipt in chosen)
    if chosen:
        listed = ", ".join(f"{verdict}: {count}" for verdict, count in sorted(counts.items()))
        yield f"Records that are not valid: {len(chosen)} ({listed})."
    elif standing:
        yield f"No record is meant by these filters; without them there are {standing} that are not valid."
    else:
        yield "No record of the log is invalid."
