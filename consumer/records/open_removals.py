"""The removals of an account that are tried again later: no later record of their audience goes before them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from schemas.avro.framing import Framing
from schemas.records import OpenRemoval, Origin, is_of_log
from schemas.target import Target
from streams.tables.account_states import States
from streams.tables.removals import delete_entry, write_entry
from streams.write.writer import Writer


@dataclass(slots=True, kw_only=True)
class OpenRemovals:
    """Entries of the topic of accounts, of one account and log. Writing waits for Kafka, however long it takes."""

    target: Target
    states: States
    writer: Writer
    topic: str
    framing: Framing
    log: str
    """Topic of the log."""
    log_id: str | None
    time: Time
    clock: Callable[[], datetime]
    _known: dict[int, dict[int, str]] | None = field(default=None, init=False)
    """Audiences by partition and offset, None where entries came or went since."""

    def __post_init__(self) -> None:
        self.states.removals.listen(self._forget)

    def _forget(self) -> None:
        self._known = None

    def of(self, partition: int) -> Mapping[int, str]:
        """Return the audiences of a partition's open removals by their offsets."""
        if self._known is None:
            self._known = defaultdict(dict)
            for entry in self.states.removals.open_removals(self.target):
                if is_of_log(entry.log_id, self.log_id):
                    self._known[entry.origin.partition][entry.origin.offset] = entry.audience
        return self._known.get(partition, {})

    def before(self, audience: str, origin: Origin) -> int | None:
        """Return the offset of the first open removal of an audience that comes before a record, None for none."""
        open_here = self.of(origin.partition)
        return min((one for one, of in open_here.items() if one < origin.offset and of == audience), default=None)

    async def caught_up(self) -> None:
        """Return when all is known that stands in Kafka now."""
        await self._keep_trying(self.states.caught_up, "What is open is not known yet")

    async def open(self, origin: Origin, audience: str) -> None:
        """Let all processes know that a removal is postponed; return once this one has read that, too."""
        entry = self._entry(origin, audience)
        await self._keep_trying(
            lambda: write_entry(self.writer, self.topic, entry, self.framing), "A removal is not acknowledged as open"
        )
        await self.caught_up()

    async def close(self, origin: Origin) -> None:
        """Let all processes know that a removal has ended."""
        entry = self._entry(origin, "")
        await self._keep_trying(
            lambda: delete_entry(self.writer, self.topic, entry), "A removal is not acknowledged as ended"
        )

    async def close_before(self, partition: int, offset: int) -> None:
        """End the removals that have left the log: nobody can carry them out any more."""
        for gone in [one for one in self.of(partition) if one < offset]:
            await self.close(Origin(topic=self.log, partition=partition, offset=gone))
            if self._known is not None:
                self._known[partition].pop(gone, None)

    def _entry(self, origin: Origin, audience: str) -> OpenRemoval:
        return OpenRemoval(
            provider=self.target.provider,
            account=self.target.account or None,
            origin=origin,
            log_id=self.log_id,
            audience=audience,
            written_at=self.clock(),
        )

    async def _keep_trying(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        await keep_trying(work, what, self.time, account=str(self.target))
