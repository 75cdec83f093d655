"""The ids that rejected users have in the log."""

import sys
from collections import defaultdict
from collections.abc import Collection, Mapping

from cli.dead_letters.reader import DeadLetterReader
from cli.printing.tables import print_lines
from cli.settings.config import Config
from cli.undecodable import Undecodable
from ledger.rejected_csv import Ids
from ledger.resources import RejectedTold
from schemas.avro.codec import decode_batch_receipt
from schemas.records import Origin
from streams.read.consumer_thread import Record
from streams.read.tail import scan


async def edge_tag_ids(rejected: Collection[RejectedTold], config: Config) -> Ids:
    """Return the ids of these users from the log, where they have one and it is still there."""
    wanted: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for told in rejected:
        wanted[told.batch_id, told.part].add(told.index)
    reader = DeadLetterReader(kafka=config.kafka, names=config.names, framing=config.framing)
    found: dict[tuple[str, int], str] = {}
    for (batch_id, part), origin in (await _origins(wanted, reader)).items():
        content = await reader.content(origin)
        batch = content.batch
        if batch is None:
            print_lines([f"Part {part} of batch {batch_id}: {content.trouble}"], sys.stderr)
            continue
        for index in wanted[batch_id, part]:
            user = batch.users[index - batch.first_index]
            found[batch_id, index] = user.edge_tag_id or ""
    return found


async def _origins(wanted: Collection[tuple[str, int]], reader: DeadLetterReader) -> Mapping[tuple[str, int], Origin]:
    """Return where these parts of batches stand, by their receipts. Raises NotAllReadError."""
    found: dict[tuple[str, int], Origin] = {}
    undecodable = Undecodable("receipts", reader.framing)

    def take(record: Record) -> None:
        receipt = decode_batch_receipt(record.value, reader.framing)
        place = (receipt.batch_id or "").lower(), receipt.part or 1
        if place in wanted and receipt.verdict == "valid":
            found[place] = receipt.origin

    await scan(reader.kafka, reader.names.receipts, undecodable.counted(take))
    print_lines(undecodable.lines(), sys.stderr)
    undecodable.check()
    return found
