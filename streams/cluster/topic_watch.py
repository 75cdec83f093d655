"""Look again and again at whether topics are still those that they were; and at what holds up the log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from confluent_kafka.admin import AdminClient

from streams.client.errors import KafkaUnreachableError, TopicMadeAnewError
from streams.client.settings import KafkaSettings
from streams.cluster.open_transactions import OpenTransaction, OpenTransactions
from streams.cluster.topic_ids import described

log = structlog.get_logger()

LOOK = 2.0
"""Seconds between looks; a transaction is reported when two of them found it."""


@dataclass(slots=True, kw_only=True)
class TopicWatch:
    """What a process knows of its topics; see `watched_topics`. `watching` never ends well."""

    kafka: KafkaSettings
    log: str
    """Topic of the log."""
    ids: Mapping[str, str]
    """Kafka's ids of the topics, as they were at the start."""
    watching: "asyncio.Task[None]" = field(init=False)
    _transactions: OpenTransactions = field(init=False)
    _gone: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._transactions = OpenTransactions(kafka=self.kafka, topic=self.log)

    @property
    def log_id(self) -> str | None:
        """The log's id, None where it is not known."""
        return self.ids.get(self.log)

    @property
    def open_transactions(self) -> Sequence[OpenTransaction]:
        """The first open transaction of each partition of the log that has one for longer than a moment."""
        return self._transactions.reported

    @property
    def ends(self) -> Mapping[int, int]:
        """Where each partition of the log ended at the last look, none before the first one."""
        return self._transactions.ends

    def forget(self) -> None:
        """Know of no open transactions any more, as nobody looks."""
        self._transactions.forget()

    async def ended(self) -> None:
        """Wait for what never ends well. Raises TopicMadeAnewError."""
        await asyncio.shield(self.watching)

    async def watch(self) -> None:
        """Look without end; a Kafka that does not answer is told by others. Raises TopicMadeAnewError."""
        admin = AdminClient(self.kafka.admin(error_cb=self.kafka.on_error))
        while True:
            await asyncio.sleep(LOOK)
            try:
                partitions = await self._look_at_topics(admin)
                await self._transactions.look(admin, partitions)
            except KafkaUnreachableError:
                continue

    async def _look_at_topics(self, admin: AdminClient) -> int:
        """Return how many partitions the log has, 0 where it is gone."""
        found = await described(admin, [self.log, *(name for name in self.ids if name != self.log)])
        made = sorted(name for name, (topic_id, _) in found.items() if topic_id not in (None, self.ids.get(name)))
        if any(name in self.ids for name in made):
            raise TopicMadeAnewError(
                f"{', '.join(made)}: deleted and made anew meanwhile; offsets of the old one count for nothing"
            )
        gone = frozenset(self.ids.keys() - found.keys())
        for name in sorted(gone - self._gone):
            log.error("A topic is gone: nothing is read or written until it is made again.", topic=name, action="wait")
        self._gone = gone
        return found[self.log][1] if self.log in found else 0


async def anew(work: Callable[[], Awaitable[None]]) -> None:
    """Do work on topics, again from its beginning whenever one of them was made anew. Raises what it raises besides."""
    while True:
        try:
            await work()
        except TopicMadeAnewError as error:
            log.error("A topic was made anew: all begins again with the new one.", why=str(error), action="repeat")
        else:
            return


@asynccontextmanager
async def watched_topics(kafka: KafkaSettings, log_topic: str, ids: Mapping[str, str]) -> AsyncIterator[TopicWatch]:
    """Watch the log and whatever other topics have these ids while the block is entered."""
    found = TopicWatch(kafka=kafka, log=log_topic, ids=ids)
    found.watching = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        found.watching.cancel()
        await asyncio.gather(found.watching, return_exceptions=True)
        found.forget()
