"""Read which deliveries failed."""

from dataclasses import dataclass

from cli.dead_letters.failures import DeadLetters
from cli.undecodable import Undecodable
from schemas.avro.codec import decode_batch_completion
from schemas.avro.framing import Framing
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import scan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterReader:
    """Reads the topic of completions."""

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
