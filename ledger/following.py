"""Keep a view up to date from the topics, and wake whoever waits for a batch."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from ledger.view import View
from schemas.codec import decode_batch_completion, decode_batch_receipt
from schemas.framing import Framing, UndecodableError
from schemas.records import BatchReceipt, Origin
from streams.patience import patiently
from streams.settings import KafkaSettings
from streams.tail import Tail, cluster_id, end_offsets, first_offsets
from streams.thread import Record
from streams.topics import TopicNames

log = structlog.get_logger()

PRUNE_EVERY = 600.0
"""Seconds between looks at what has left the topics."""

AT_ONCE = 100
"""Records that are folded in one go: some milliseconds."""

LONGEST_REST = 0.05
"""Seconds between two goes at most, where much is to be folded."""

WAITING = 4 * 1024 * 1024
"""Bytes of records that wait to be folded, some 20,000 of them: many more would keep the garbage collector busy."""

T = TypeVar("T")


@dataclass(slots=True)
class Changes:
    """Who waits for which batch: in memory only, whoever asks again is answered from the view."""

    _waiting: defaultdict[str, set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))
    _any: set[asyncio.Event] = field(default_factory=set)

    @contextmanager
    def watched(self, batch_ids: Collection[str] | None) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever one of these batches, None for any, has changed in the view."""
        event = asyncio.Event()
        places = [self._any] if batch_ids is None else [self._waiting[batch_id] for batch_id in batch_ids]
        for place in places:
            place.add(event)
        try:
            yield event
        finally:
            for place in places:
                place.discard(event)
            for batch_id in batch_ids or ():
                if not self._waiting.get(batch_id, True):
                    del self._waiting[batch_id]

    def tell(self, batch_ids: Iterable[str | None]) -> None:
        """Wake who waits for these batches."""
        for batch_id in batch_ids:
            for event in self._waiting.get(batch_id or "", ()):
                event.set()
        for event in self._any:
            event.set()

    def tell_all(self) -> None:
        """Wake everybody, as an account's state has changed."""
        for event in [*self._any, *(event for events in self._waiting.values() for event in events)]:
            event.set()


@dataclass(slots=True, kw_only=True)
class Following:
    """A view that is kept up to date; see `followed_view`. `tasks` never end well."""

    view: View
    changes: Changes
    kafka: KafkaSettings
    names: TopicNames
    framing: Framing
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    _wanted: dict[str, int] = field(default_factory=dict)
    _ends: dict[str, dict[int, int]] = field(default_factory=dict)
    _left: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of each topic and partition how many offsets are still to be read of those that stood there at the start."""

    @property
    def progress(self) -> float:
        """How much of what stood in the topics at the start is folded, from 0 to 1; 1 means up to date."""
        wanted = sum(self._wanted.values())
        left = sum(sum(partitions.values()) for partitions in self._left.values())
        return 1.0 if not left else min(0.99, 1 - left / max(1, wanted))

    @property
    def is_ready(self) -> bool:
        """Whether all that stood in the topics at the start is folded."""
        return not any(left for partitions in self._left.values() for left in partitions.values())

    async def accept(self, receipts: Sequence[BatchReceipt]) -> None:
        """Fold in what this process itself has written, before the ledger's receipts come."""
        await asyncio.to_thread(self.view.fold_receipts, [(receipt, None) for receipt in receipts], {}, "")
        self.changes.tell({receipt.batch_id for receipt in receipts})

    def begin(self, topic: str, tail: Tail) -> None:
        """Note how much of a topic is to be read until the view is up to date."""
        self._ends[topic] = {number: end for number, (_, end) in tail.spans.items()}
        left = {number: max(0, end - first) for number, (first, end) in tail.spans.items()}
        self._left[topic], self._wanted[topic] = left, sum(left.values())

    async def follow(self, topic: str, tail: Tail, fold: Callable[[Sequence[Record]], set[str | None]]) -> None:
        """Fold what comes, without end, a little at a time, with as long a rest: requests need the file meanwhile."""
        what, clock = "The view can't be kept up to date", asyncio.get_running_loop().time
        async for records in tail.batches():
            for start in range(0, len(records), AT_ONCE):
                some, begun = records[start : start + AT_ONCE], clock()
                changed = await patiently(lambda: asyncio.to_thread(fold, some), what)  # noqa: B023 -- awaited here
                for partition, following in _read(some).items():
                    self._left[topic][partition] = max(0, self._ends[topic][partition] - following)
                self.changes.tell(changed)
                if len(some) == AT_ONCE:
                    await asyncio.sleep(min(LONGEST_REST, clock() - begun))

    def fold_receipts(self, records: Sequence[Record]) -> set[str | None]:
        """Fold receipts; return the batches that they are of. Raises RegistryUnavailableError."""
        found = list(self._decoded(decode_batch_receipt, records))
        self.view.fold_receipts(found, _read(records), self.names.receipts)
        return {receipt.batch_id and receipt.batch_id.lower() for receipt, _ in found}

    def fold_completions(self, records: Sequence[Record]) -> set[str | None]:
        """Fold completions; return the batches that they are of. Raises RegistryUnavailableError."""
        found = list(self._decoded(decode_batch_completion, records))
        self.view.fold_completions(found, _read(records), self.names.completions)
        return {completion.batch_id and completion.batch_id.lower() for completion, _ in found}

    def _decoded(self, decode: Callable[[bytes, Framing], T], records: Iterable[Record]) -> Iterator[tuple[T, Origin]]:
        for record in records:
            try:
                yield decode(record.value, self.framing), record.origin
            except UndecodableError:
                log.warning("A record is undecodable and left out of the view.", origin=str(record.origin))

    async def prune(self) -> None:
        """Drop what has left the topics, again and again."""
        while True:
            await patiently(self._prune_once, "The view can't be pruned")
            await asyncio.sleep(PRUNE_EVERY)

    async def _prune_once(self) -> None:
        receipts = await self._first_offsets(self.names.receipts)
        completions = await self._first_offsets(self.names.completions)
        dropped = await asyncio.to_thread(self.view.drop_before, receipts, completions)
        if dropped:
            log.info("What left the topics is dropped from the view.", records=dropped)

    async def _first_offsets(self, topic: str) -> dict[int, int]:
        """Return where each partition begins; what came before need not be waited for, if it was to be read."""
        found = dict(enumerate(await first_offsets(self.kafka, topic)))
        for partition, left in self._left[topic].items():
            self._left[topic][partition] = min(left, max(0, self._ends[topic][partition] - found[partition]))
        return found


def _read(records: Iterable[Record]) -> dict[int, int]:
    """Return the offset that is next in each partition."""
    return {record.origin.partition: record.origin.offset + 1 for record in records}


@asynccontextmanager
async def followed_view(
    path: Path, kafka: KafkaSettings, names: TopicNames, framing: Framing
) -> AsyncIterator[Following]:
    """Open the view at a path and keep it up to date while the block is entered, which begins at once.

    1. Throw away a file that is broken, of another version or of other topics. 2. Begin anew where the topics
    end before what was read of them. 3. Read on from the offsets that the file holds. `is_ready` tells when it
    has come to the end. Raises KafkaUnreachableError, ReaderFailedError.
    """
    identity = f"{await cluster_id(kafka)}/{names.prefix}"
    view = await asyncio.to_thread(View, path, identity, names.batches)
    found = Following(view=view, changes=Changes(), kafka=kafka, names=names, framing=framing)
    topics = {names.receipts: found.fold_receipts, names.completions: found.fold_completions}
    for topic in topics:
        ends, known = await end_offsets(kafka, topic), view.positions(topic)
        if any(position > (ends[number] if number < len(ends) else 0) for number, position in known.items()):
            log.warning("A topic ends before what was read of it: the view is built anew.", topic=topic)
            await asyncio.to_thread(view.forget_all)
    try:
        async with AsyncExitStack() as stack:
            for topic, fold in topics.items():
                tail = await stack.enter_async_context(
                    Tail(kafka, topic, start=view.positions(topic), max_waiting_bytes=WAITING)
                )
                found.begin(topic, tail)
                found.tasks.append(asyncio.create_task(found.follow(topic, tail, fold)))
            found.tasks.append(asyncio.create_task(found.prune()))
            stack.push_async_callback(_end, found.tasks)
            yield found
    finally:
        view.close()


async def _end(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
