"""Read dead letters, and the records that they point at."""

from dataclasses import dataclass

from cli.dead_letters.failures import DeadLetters
from cli.dead_letters.printing import Content
from cli.undecodable import Undecodable
from schemas.avro.codec import decode_audience_batch, decode_batch_completion
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.record_fetcher import RecordFetcher
from streams.read.tail import scan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterReader:
    """Reads the topics where dead letters and their records stand."""

    kafka: KafkaSettings
    names: TopicNames
    framing: Framing

    async def dead_letters(self) -> tuple[DeadLetters, Undecodable]:
        """Read all completions and fold them. Raises KafkaUnreachableError, RegistryUnavailableError."""
        found = DeadLetters(log_id=await log_id(self.kafka, self.names.batches))
        undecodable = Undecodable("completions", self.framing)

        def take(record: Record) -> None:
            found.take(decode_batch_completion(record.value, self.framing), record.timestamp)

        await scan(self.kafka, self.names.completions, undecodable.counted(take))
        return found, undecodable

    async def content(self, origin: Origin) -> Content:
        """Fetch the record of a letter. Raises RegistryUnavailableError."""
        try:
            record = await RecordFetcher(self.kafka).fetch(origin)
        except KafkaUnreachableError as error:
            return Content(str(error))
        if record is None:
            return Content("The record has left the log, and its users with it.")
        if record.error is not None:
            return Content(f"The client can't read the record ({record.error}).")
        try:
            return Content(batch=decode_audience_batch(record.value, self.framing))
        except UndecodableError as error:
            return Content(f"The record has {len(record.value)} bytes and can't be decoded: {error}.")
