"""The ids that rejected users have in the log."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from cli.log_records import Content, content_of
from cli.settings.config import Config
from cli.undecodable import Undecodable
from ledger.rejected_csv import Ids
from ledger.resources import UserRejection
from schemas.avro.codec import decode_batch_receipt
from schemas.avro.framing import Framing
from schemas.records import AudienceBatch, Origin, is_of_log
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import scan


async def edge_tag_ids(rejected: Collection[UserRejection], config: Config, warn: Callable[[str], object]) -> Ids:
    """Return the ids of these users from the log, where they have one and it is still there.

    Where it is not, `warn` gets a sentence. Raises KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    wanted: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for rejection in rejected:
        wanted[rejection.batch_id, rejection.part].add(rejection.index)
    kafka, framing = config.kafka, config.framing
    found: dict[tuple[str, int], str] = {}
    for place, origin in (await _origins(wanted, kafka, config.names, framing, warn)).items():
        (batch_id, part), content = place, await content_of(origin, kafka, framing)
        ids = _ids_in(content.batch, batch_id, wanted[place])
        found |= {(batch_id, index): text for index, text in ids.items()}
        if trouble := _trouble(content, batch_id, len(wanted[place]) - len(ids)):
            warn(f"Part {part} of batch {batch_id}: {trouble}")
    return found


def _ids_in(batch: AudienceBatch | None, batch_id: str, indexes: Collection[int]) -> Mapping[int, str]:
    """Return the ids of these users as far as they stand in a record: what names them may be anybody's."""
    if batch is None or batch.batch_id.lower() != batch_id:
        return {}
    here = range(batch.first_index, batch.first_index + len(batch.users))
    return {index: batch.users[index - batch.first_index].edge_tag_id or "" for index in indexes if index in here}


def _trouble(content: Content, batch_id: str, missing: int) -> str | None:
    """Return why there are not as many ids as rejected users, None where there are."""
    if content.batch is None:
        return content.trouble
    if content.batch.batch_id.lower() != batch_id:
        return "Another batch stands where its receipt says."
    return f"{missing} rejected users do not stand in it." if missing else None


async def _origins(
    wanted: Collection[tuple[str, int]],
    kafka: KafkaSettings,
    names: TopicNames,
    framing: Framing,
    warn: Callable[[str], object],
) -> Mapping[tuple[str, int], Origin]:
    """Return where these parts of batches stand, by their receipts in the log that there is. Raises NotAllReadError."""
    found: dict[tuple[str, int], Origin] = {}
    topic = names.batches
    present = await log_id(kafka, topic)
    undecodable = Undecodable("receipts", framing)

    def take(record: Record) -> None:
        receipt = decode_batch_receipt(record.value, framing)
        place = (receipt.batch_id or "").lower(), receipt.part or 1
        is_here = receipt.origin.topic == topic and is_of_log(receipt.log_id, present)
        if place in wanted and receipt.verdict == "valid" and is_here:
            found[place] = receipt.origin

    await scan(kafka, names.receipts, undecodable.counted(take))
    for line in undecodable.lines():
        warn(line)
    undecodable.check()
    return found
