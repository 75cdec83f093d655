"""Records of the log, as commands fetch them one by one."""

from dataclasses import dataclass

from schemas.avro.codec import decode_audience_batch
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import AudienceBatch, Origin
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.read.record_fetcher import fetch_record


@dataclass(frozen=True, slots=True)
class Content:
    """The batch of a record, or a sentence that says why it can't be shown."""

    trouble: str | None = None
    batch: AudienceBatch | None = None


async def content_of(origin: Origin, kafka: KafkaSettings, framing: Framing) -> Content:
    """Fetch the record at an origin. Raises RegistryUnavailableError."""
    try:
        record = await fetch_record(kafka, origin)
    except KafkaUnreachableError as error:
        return Content(str(error))
    if record is None:
        return Content("The record has left the log, and its users with it.")
    if record.error is not None:
        return Content(f"The client can't read the record ({record.error}).")
    try:
        return Content(batch=decode_audience_batch(record.value, framing))
    except UndecodableError as error:
        return Content(f"The record has {len(record.value)} bytes and can't be decoded: {error}.")
