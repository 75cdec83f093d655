"""Keep a view up to date from the topics, and do without it while its disk fails."""

import asyncio
import contextlib
import errno
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ledger.states.folding import StateFolder, StateRules
from ledger.view import View
from ledger.view_watchers import ViewWatchers
from schemas.avro.codec import decode_batch_completion, decode_batch_receipt
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import BatchCompletion, BatchReceipt, Origin, is_of_log
from streams.client.errors import TopicMadeAnewError
from streams.client.settings import KafkaSettings
from streams.client.waiting import keep_trying
from streams.cluster.cluster_id import cluster_id
from streams.cluster.open_transactions import OpenTransaction
from streams.cluster.topic_ids import topic_ids
from streams.cluster.topic_watch import TopicWatch, watched_topics
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import END, Tail
from streams.read.topic_offsets import end_offsets, first_offsets

log = structlog.get_logger()

PRUNE_EVERY = 600.0
"""Seconds between looks at what has left the topics."""

AT_ONCE = 100
"""Records that are folded in one go: some milliseconds."""

LONGEST_REST = 0.05
"""Seconds between two goes at most, where much is to be folded."""

WAITING = 4 * 1024 * 1024
"""Bytes of records that wait to be folded, some 20,000 of them: many more would keep the garbage collector busy."""

VIEW_ERRORS = (sqlite3.Error, OSError)
"""What a full or failing disk under the view raises."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a view that failed is opened again: at first, and at most."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
"""Errors of a disk; others of a folder that can't be made are of the setting that names it."""


T = TypeVar("T")
ReportT = TypeVar("ReportT", BatchReceipt, BatchCompletion)


class ViewAwayError(Exception):
    """The view can't be asked, as its disk fails or it is being built again after that; the message says which."""


@dataclass(slots=True, kw_only=True)
class Following:
    """A view that is kept up to date; see `followed_view`. `tasks` never end well."""

    view: View
    changes: ViewWatchers
    kafka: KafkaSettings
    names: TopicNames
    framing: Framing
    states: StateFolder
    watch: TopicWatch | None = None
    """What is known of the topics that are followed, None before and while none are."""
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    unread: int = 0
    """Receipts and completions that can't be read here, as when another node is of a newer version."""
    _failure: str | None = None
    """Why the view could not be used; kept until it is up to date again."""
    _is_open: bool = False
    _tails_read: Sequence[Tail] = ()
    _has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    _has_failed: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: dict[str, int] = field(default_factory=dict)
    _ends: dict[str, dict[int, int]] = field(default_factory=dict)
    _left: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of each topic and partition how many offsets are still to be read of those that stood there at the start."""
    _waiting_since: dict[str, datetime] = field(default_factory=dict)
    """When the oldest record was written that waits to be folded, by topic; under no name when the view was lost."""

    @property
    def open_transactions(self) -> Sequence[OpenTransaction]:
        """The transactions of publishers that hold up the log."""
        return self.watch.open_transactions if self.watch else ()

    @property
    def log_id(self) -> str | None:
        """Kafka's id of the log, None where it is not known."""
        return self.watch.log_id if self.watch else None

    @property
    def progress(self) -> float:
        """How much of what stood in the topics at the start is folded, from 0 to 1; 1 means up to date."""
        wanted = sum(self._wanted.values())
        left = sum(sum(partitions.values()) for partitions in self._left.values())
        return 1.0 if not left else min(0.99, 1 - left / max(1, wanted))

    @property
    def building(self) -> str:
        """How far the view is that is being built."""
        return f"the view is being built, {self.progress:.0%} is done"

    @property
    def refusal(self) -> str | None:
        """What Kafka does not let us read, in its word; None where it does."""
        return next((tail.refusal for tail in self._tails_read if tail.refusal), None)

    @property
    def is_ready(self) -> bool:
        """Whether the view can be asked: all that stood in the topics at the start is folded, and its disk works."""
        return self._failure is None and not any(left for topic in self._left.values() for left in topic.values())

    @property
    def absence(self) -> str | None:
        """Why there is no view although there was to be one; None where there is, or it is built at the start."""
        if self._failure is None:
            return None
        again = f"it is being built again, {self.progress:.0%} is done"
        return f"the view is away ({self._failure}); {again if self._is_open else 'it is opened again soon'}"

    def age(self, now: datetime) -> float:
        """Return by how many seconds the view is behind: the age of what waits to be folded, or how long it is away."""
        return max(0.0, max(((now - since).total_seconds() for since in self._waiting_since.values()), default=0.0))

    async def ask(self, read: Callable[[], T]) -> T:
        """Return what is read from the view, on another thread. Raises ViewAwayError."""
        if self.absence is not None:
            raise ViewAwayError(self.absence)
        try:
            return await asyncio.to_thread(read)
        except VIEW_ERRORS as error:
            self._lose(error)
            raise ViewAwayError(self.absence) from error

    def _lose(self, error: Exception) -> None:
        """Do without the view until it is opened again, and let nobody wait for it."""
        if not self._has_failed.is_set():
            self._failure, self._is_open = _why(error), False
            self._waiting_since.setdefault("", datetime.now(UTC))
            log.error("The view can't be used: uploads are taken without it.", why=self._failure, action="retry")
        self._has_failed.set()
        self.changes.notify_all()

    async def accept(self, receipts: Sequence[BatchReceipt]) -> None:
        """Fold in what this process itself has written, before the ledger's receipts come."""
        with contextlib.suppress(ViewAwayError):
            await self.ask(lambda: self.view.fold_receipts([(receipt, None) for receipt in receipts], {}, ""))
        self.changes.notify({receipt.batch_id for receipt in receipts})

    async def keep(self) -> None:
        """Follow the topics without end; where the view's disk fails, do without and open it again, later and later.

        Raises StreamError: at the start where Kafka can't be reached, later where reading fails for good.
        """
        pause = FIRST_PAUSE
        while True:
            self._has_failed.clear()
            begun_at = asyncio.get_running_loop().time()
            try:
                await self._follow_all()
            except (*VIEW_ERRORS, TopicMadeAnewError) as error:
                self._lose(error)
            self._has_begun.set()
            lasted = asyncio.get_running_loop().time() - begun_at
            pause = FIRST_PAUSE if lasted > LONGEST_PAUSE else pause
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def begun(self) -> None:
        """Return when the topics are being followed, or are not for want of a view. Raises what `keep` raises."""
        begun = asyncio.create_task(self._has_begun.wait())
        await asyncio.wait([begun, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        for task in self.tasks:
            if task.done():
                task.result()

    async def _follow_all(self) -> None:
        """Watch the topics, and follow receipts and completions until the view fails or a topic is made anew.

        Raises OSError, sqlite3.Error, StreamError.
        """
        ids = await self._answered(self._topic_ids)
        async with watched_topics(self.kafka, self.names.batches, ids) as self.watch:
            await asyncio.to_thread(self.view.open, ids)
            await asyncio.to_thread(self.view.read_again, self.framing.reads("BatchReceipt", "BatchCompletion"))
            await asyncio.to_thread(self.states.begin)
            self.unread = await asyncio.to_thread(self.view.unread)
            if self._failure is not None:
                await asyncio.to_thread(self.view.check_writable)
            stack, tails = await self._answered(self._tails)
            async with stack:
                await self._follow_each(tails, self.watch)

    async def _follow_each(self, tails: Mapping[str, Tail], watch: TopicWatch) -> None:
        self._is_open, self._tails_read = True, tuple(tails.values())
        self._has_begun.set()
        self._note_if_back()
        folds = {self.names.receipts: self.fold_receipts, self.names.completions: self.fold_completions}
        running = [self.follow(topic, tail, folds[topic]) for topic, tail in tails.items()]
        running.append(self.states.keep(lambda: self.is_ready))
        await _first_end([*running, self.prune(), self._failed(), watch.ended()])

    async def _answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what Kafka answers; only at the start nobody waits for it. Raises StreamError."""
        return await (keep_trying(ask, "The view can't be opened again") if self._has_begun.is_set() else ask())

    async def _topic_ids(self) -> Mapping[str, str]:
        return await topic_ids(self.kafka, (self.names.batches, self.names.receipts, self.names.completions))

    async def _tails(self) -> tuple[AsyncExitStack, dict[str, Tail]]:
        """Return what reads on from where the view is, and closes it; a topic that ends before that begins anew."""
        topics = (self.names.receipts, self.names.completions)
        for topic in topics:
            ends, known = await end_offsets(self.kafka, topic), self.view.positions(topic)
            if any(position > (ends[number] if number < len(ends) else 0) for number, position in known.items()):
                log.warning("A topic ends before what was read of it: the view is built anew.", topic=topic)
                await asyncio.to_thread(self.view.forget_all)
        async with AsyncExitStack() as stack:
            tails: dict[str, Tail] = {}
            for topic in topics:
                tail = Tail(
                    self.kafka, topic, start=self.view.positions(topic), max_waiting_bytes=WAITING, with_ends=True
                )
                tails[topic] = await stack.enter_async_context(tail)
                self.begin(topic, tail)
            return stack.pop_all(), tails

    async def _failed(self) -> None:
        """Return when somebody found the view failing."""
        await self._has_failed.wait()

    def _note_if_back(self) -> None:
        if self._failure is not None and not any(left for topic in self._left.values() for left in topic.values()):
            self._failure = None
            self._waiting_since.pop("", None)
            log.info("The view is up to date again.")

    def begin(self, topic: str, tail: Tail) -> None:
        """Note how much of a topic is to be read until the view is up to date."""
        self._ends[topic] = {number: end for number, (_, end) in tail.spans.items()}
        left = {number: max(0, end - first) for number, (first, end) in tail.spans.items()}
        self._waiting_since.pop(topic, None)
        self._left[topic], self._wanted[topic] = left, sum(left.values())

    async def follow(self, topic: str, tail: Tail, fold: Callable[[Sequence[Record]], set[str | None]]) -> None:
        """Fold what comes, without end, a little at a time, with as long a rest: requests need the file meanwhile."""
        what, clock = "The view can't be kept up to date", asyncio.get_running_loop().time
        async for records in tail.batches():
            for start in range(0, len(records), AT_ONCE):
                some, begun = records[start : start + AT_ONCE], clock()
                self._waiting_since[topic] = some[0].timestamp or datetime.now(UTC)
                changed = await keep_trying(lambda: asyncio.to_thread(fold, some), what)  # noqa: B023 -- awaited here
                for partition, following in _read(some).items():
                    self._left[topic][partition] = max(0, self._ends[topic].get(partition, 0) - following)
                self._note_if_back()
                self.changes.notify(changed)
                if len(some) == AT_ONCE:
                    await asyncio.sleep(min(LONGEST_REST, clock() - begun))
            self._waiting_since.pop(topic, None)

    def fold_receipts(self, records: Sequence[Record]) -> set[str | None]:
        """Fold receipts; return the batches that they are of. Raises RegistryUnavailableError."""
        found, unread = self._decoded(decode_batch_receipt, records)
        self.view.fold_receipts(found, _read(records), self.names.receipts, unread)
        self._note_unread(unread)
        return {receipt.batch_id and receipt.batch_id.lower() for receipt, _ in found}

    def fold_completions(self, records: Sequence[Record]) -> set[str | None]:
        """Fold completions; return the batches that they are of. Raises RegistryUnavailableError."""
        found, unread = self._decoded(decode_batch_completion, records)
        self.view.fold_completions(found, _read(records), self.names.completions, unread)
        self._note_unread(unread)
        return {completion.batch_id and completion.batch_id.lower() for completion, _ in found}

    def _note_unread(self, unread: Sequence[Origin]) -> None:
        if unread:
            self.unread = self.view.unread()

    def _decoded(
        self, decode: Callable[[bytes, Framing], ReportT], records: Iterable[Record]
    ) -> tuple[list[tuple[ReportT, Origin]], list[Origin]]:
        """Return what counts, and where that stands which can't be read: it is passed over, and read again later.

        Receipts and completions count that are of the log as it is, not of one that had its name before.
        """
        counting: list[tuple[ReportT, Origin]] = []
        unread: list[Origin] = []
        for record in records:
            if record.error == END:
                continue
            try:
                found = decode(record.value, self.framing)
            except UndecodableError as error:
                text = "A record is undecodable and left out of the view."
                log.warning(text, origin=str(record.origin), reason=str(error))
                unread.append(record.origin)
                continue
            if is_of_log(found.log_id, self.log_id):
                counting.append((found, record.origin))
        return counting, unread

    async def prune(self) -> None:
        """Drop what has left the topics, again and again."""
        while True:
            await keep_trying(self._prune_once, "The view can't be pruned")
            await asyncio.sleep(PRUNE_EVERY)

    async def _prune_once(self) -> None:
        receipts = await self._first_offsets(self.names.receipts)
        completions = await self._first_offsets(self.names.completions)
        dropped = await asyncio.to_thread(self.view.drop_before, receipts, completions)
        await asyncio.to_thread(self._drop_unread, receipts, completions)
        self._note_if_back()
        if dropped:
            log.info("What left the topics is dropped from the view.", records=dropped)

    def _drop_unread(self, receipts: Mapping[int, int], completions: Mapping[int, int]) -> None:
        if self.unread:
            self.view.drop_unread(self.names.receipts, receipts)
            self.view.drop_unread(self.names.completions, completions)
            self.unread = self.view.unread()

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
    path: Path, kafka: KafkaSettings, names: TopicNames, framing: Framing, rules: StateRules | None = None
) -> AsyncIterator[Following]:
    """Open the view at a path and keep it up to date while the block is entered, which begins at once.

    1. Throw away a file that is broken, of another version or of other topics, also ones that had their names.
    2. Begin anew where the topics end before what was read of them. 3. Read on from the offsets that the file holds.
    Where a topic is made anew meanwhile all of this is done again. `is_ready` tells when it has come to the end,
    `absence` why there is no view: a disk that fails ends nothing, the view is opened again until it works. `rules` are
    what its states are folded by, for whoever asks for sessions or batches in a state.
    Raises KafkaUnreachableError, ReaderFailedError, and OSError where its folder can't be one.
    """
    identity = f"{await cluster_id(kafka)}/{names.prefix}"
    _make_folder(path.parent)
    view = View(path, identity, names.batches)
    states = StateFolder(view=view, rules=rules or StateRules())
    found = Following(view=view, changes=ViewWatchers(), kafka=kafka, names=names, framing=framing, states=states)
    found.tasks.append(asyncio.create_task(found.keep()))
    try:
        await found.begun()
        yield found
    finally:
        await _end(found.tasks)
        view.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise


def _why(error: Exception) -> str:
    """Return what an error of a disk says, without the place of the file."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


async def _first_end(running: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run these until one ends, and end the others. Raises what that one raised."""
    tasks = [asyncio.create_task(one) for one in running]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
