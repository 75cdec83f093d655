"""Meet the records of the log in its order, before anything else is done with them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from consumer.delivery.in_flight_limiter import OVERHEAD
from consumer.records.audience_order import AudienceOrder, Turn
from consumer.records.partition_activity import PartitionActivity
from consumer.records.record_handler import Handler
from consumer.records.taken_record import TakenRecord
from schemas.avro.codec import is_todays_batch
from schemas.records import AudienceBatch, Origin
from schemas.validity import is_name
from streams.read.batch_decoding import head_in
from streams.read.consumer_thread import Record
from streams.read.group_reader import GroupReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Gives each record of the log its turn among those of its audience.

    For that it must be known what each says besides its users. One that is suspect is tried in a child process before.
    """

    handler: Handler
    reader: GroupReader
    order: AudienceOrder
    activity: PartitionActivity

    async def taken(self, records: Sequence[Record]) -> AsyncIterator[TakenRecord]:
        """Yield those of the records, which are in the order of the log, that are still ours."""
        await self.order.know(records)
        heads = await self._heads([record for record in records if not record.is_suspect])
        for record in records:
            is_quarantined = await self.handler.trial.ends_process(record) if record.is_suspect else None
            if is_quarantined is False:
                heads |= await self._heads([record])
            if self.reader.holds(record):
                yield self._met(record, heads.get(record.origin), is_quarantined=is_quarantined)

    async def _heads(self, records: Sequence[Record]) -> dict[Origin, AudienceBatch | None]:
        """Return what the batches in records say; on another thread where a registry may be asked, or it takes long."""

        def read() -> dict[Origin, AudienceBatch | None]:
            return {record.origin: head_in(record, self.handler.framing) for record in records}

        is_quick = all(is_todays_batch(record.value) for record in records)
        return read() if is_quick else await self.handler.decoded(read)

    def _met(self, record: Record, head: AudienceBatch | None, *, is_quarantined: bool | None) -> TakenRecord:
        self.order.begin(record.assignment)
        return TakenRecord(
            origin=record.origin,
            size=len(record.value) + OVERHEAD,
            reader=self.reader,
            read=record,
            activity=self.activity,
            turn=None if head is None else self._turn(record, head),
            is_quarantined=is_quarantined,
            calls_until=self.order.calls_until(record),
        )

    def _turn(self, record: Record, head: AudienceBatch) -> Turn | None:
        """Return the turn of a record; None for one that is for nobody here: how it ends is told later."""
        audience = self.handler.audience_of(head) if self.handler.is_meant(head) and is_name(head.name) else None
        return None if audience is None else self.order.met(record, audience, head.mode)
