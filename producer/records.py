"""From a batch to acknowledged records of the log."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from schemas.avro.blocks import UserBlock
from schemas.avro.codec import Part, content_hash, split
from schemas.avro.framing import Framing
from schemas.records import AudienceBatch, Origin
from streams.write.writer import Writer

CONTENT_TYPE = {"content-type": b"application/vnd.audience.batch+avro"}


async def encode(batch: AudienceBatch, blocks: Sequence[UserBlock], framing: Framing) -> list[Part]:
    """Encode a batch into records of an allowed size, with its content hash; `batch.users` is not looked at.

    Raises RegistryUnavailableError.
    """
    hashed = await asyncio.to_thread(content_hash, batch, blocks)
    hashed_batch = msgspec.structs.replace(batch, content_hash=hashed)
    return await asyncio.to_thread(split, hashed_batch, blocks, framing)  # may ask the registry


async def write(
    writer: Writer, topic: str, parts: Sequence[Part], headers: Mapping[str, bytes], partition: int | None
) -> list[Origin]:
    """Write all records of a batch; return where each part stands, once all in-sync replicas have all of them.

    They go to their home partition, `None` where it is not known: then to that of the key among those there are now.
    1. Keep room in the queue for all records. 2. Send them. Raises KafkaUnreachableError, QueueFullError, after
    which nothing is written, and NotAcknowledgedError, after which some records may be.
    """
    with writer.reserve(sum(len(part.value) for part in parts)) as room:
        every = {**CONTENT_TYPE, **headers}
        sends = [
            writer.send(topic, part.batch.key, part.value, every, reservation=room, partition=partition)
            for part in parts
        ]
        return await asyncio.gather(*sends)
