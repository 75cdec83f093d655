"""One Kafka consumer on a thread of its own, which alone calls it, and its records in the event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog
from confluent_kafka import Consumer, Message

from schemas.avro.timestamps import time_of
from schemas.records import Origin
from streams.client.errors import ReaderFailedError
from streams.client.refusals import words_of
from streams.processes.watched_threads import watched_thread

log = structlog.get_logger()

POLL = 0.05
"""Seconds that a poll waits for a record; one that comes ends it at once."""

MOST_AT_ONCE = 200

MOST_HANDED_OVER = 1_000
"""Records that the event loop takes at once, so that it soon turns to others again."""

JOIN_LIMIT = 15.0

MEGABYTE = 1024 * 1024

DEFAULTS: dict[str, Any] = {
    "queued.max.messages.kbytes": 8192,  # a small prefetch, as pausing throws it away
    "fetch.max.bytes": 8 * MEGABYTE,  # of one answer; a topic's larger record still comes, alone
    "receive.message.max.bytes": 16 * MEGABYTE,  # of one answer at all, and of what a zstd batch may inflate to
    "fetch.queue.backoff.ms": 10,  # a full queue is looked at again soon: a second by default
    "fetch.wait.max.ms": 100,  # an empty topic is not asked more often
    "topic.metadata.refresh.interval.ms": 30_000,  # partitions that were added are read soon: 5 minutes by default
}
"""How much the client holds besides what is in flight; users may choose others by KAFKA_<PROPERTY>."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """That a partition is held, from one taking over to its end; offsets are those of then."""

    partition: int
    first_offset: int
    """Of the partition's first record that is left."""
    end: int
    """Before which whoever held it before may have read."""
    is_clean: bool
    """Whether who held it before, if anybody, said in leaving that nothing of it was under way."""
    unmarked: tuple[int, frozenset[int]] | None = None
    """What was committed by one who did not know removals: the offset, and those behind it that were finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a topic. `error` is set, and `value` empty, where the client can't deliver it at all."""

    origin: Origin
    key: bytes | None = None
    value: bytes = field(default=b"", repr=False)
    headers: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    timestamp: datetime | None = None
    error: str | None = None
    is_suspect: bool = False
    """Whether who held its partition before ended uncleanly, perhaps by this record; see `streams.containment`."""
    assignment: Assignment | None = field(default=None, repr=False, compare=False)
    """By which it was read, of a group's member."""


def to_record(
    message: Message, *, with_headers: bool = False, is_suspect: bool = False, assignment: Assignment | None = None
) -> Record:
    """Return what a message of the client holds, whatever that is; its headers only where somebody needs them."""
    origin = Origin(topic=message.topic(), partition=message.partition(), offset=message.offset())
    kind, millis = message.timestamp()
    return Record(
        origin=origin,
        key=message.key(),
        value=message.value() or b"",
        headers=_headers(message, origin) if with_headers else {},
        timestamp=time_of(millis) if kind and millis >= 0 else None,  # -1: whoever wrote it gave none
        is_suspect=is_suspect,
        assignment=assignment,
    )


def _headers(message: Message, origin: Origin) -> Mapping[str, bytes]:
    """Return a message's headers, none of them where the client can't hand them over.

    confluent-kafka (2.16) raises for a name that is no UTF-8. It must not be asked a second time: then it returns
    a list with a hole in it, and whoever touches that ends the process.
    """
    try:
        return {name: value or b"" for name, value in message.headers() or ()}
    except Exception as error:
        log.warning("A record's headers can't be read and are left out.", origin=str(origin), why=type(error).__name__)
        return {}


class Work(Protocol):
    """What a consumer's thread does; every method is called on that thread."""

    def open(self, consumer: Consumer) -> None:
        """Subscribe or assign."""

    def take(self, consumer: Consumer, messages: list[Message]) -> list[Record]:
        """Return the records to hand over."""

    def tick(self, consumer: Consumer) -> None:
        """Do what is due: commit, pause, resume. Called some twenty times a second at least."""

    def close(self, consumer: Consumer) -> None:
        """Do what must come before the consumer is closed."""


class ConsumerThread:
    """Owns a Consumer: confluent-kafka lets a second thread's calls starve while one polls."""

    def __init__(self, config: Mapping[str, Any], work: Work, is_closing: threading.Event | None = None) -> None:
        """Do some work; `is_closing` is set when the thread is to end, for whoever waits within a call of the work."""
        self._config = dict(config)
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ready = asyncio.Event()
        self._records: deque[Record] = deque()
        self._is_woken = False
        self._is_closing = is_closing or threading.Event()
        self._failure: BaseException | None = None
        self._is_ended = False
        self._thread = watched_thread("kafka-consumer", self._consume, self._note_failure)

    async def start(self) -> None:
        """Start the thread and return when its consumer is open; end it where that fails. Raises ReaderFailedError."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the thread, closing the consumer on it."""
        self._is_closing.set()
        await asyncio.to_thread(self._thread.join, JOIN_LIMIT)
        if self._thread.is_alive():
            log.warning("A consumer did not close in time and is left behind.", seconds=JOIN_LIMIT)

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Yield records as they come, until `end`. Raises ReaderFailedError where the thread failed."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            self._is_woken = False  # before draining: a record that comes from here on wakes us again
            records = [self._records.popleft() for _ in range(min(MOST_HANDED_OVER, len(self._records)))]
            if self._records:
                self._ready.set()
            if self._failure is not None:
                raise ReaderFailedError(words_of(self._failure)) from self._failure
            if self._is_ended:
                return
            if records:
                yield records

    def end(self) -> None:
        """Let `batches` end. To be called in the event loop."""
        self._is_ended = True
        self._ready.set()

    def _note_failure(self, error: BaseException) -> None:
        self._failure = error
        self.call_soon(self._fail)

    def _consume(self) -> None:
        consumer = Consumer(self._config)
        try:
            self._work.open(consumer)
            self.call_soon(self._open)
            while not self._is_closing.is_set():
                self._work.tick(consumer)
                self._hand_over(self._work.take(consumer, _poll(consumer)))
            self._work.close(consumer)
        finally:
            consumer.close()

    def _hand_over(self, records: list[Record]) -> None:
        if not records:
            return
        self._records.extend(records)
        if not self._is_woken:
            self._is_woken = True
            self.call_soon(self._ready.set)

    def call_soon(self, call: Callable[..., object], *args: object) -> None:
        """Have something called in the event loop, if that still runs."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *args)

    def _open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _fail(self) -> None:
        if not self._opened.done():
            failure = ReaderFailedError(words_of(self._failure) if self._failure else None)
            failure.__cause__ = self._failure
            self._opened.set_exception(failure)
        self._ready.set()


def _poll(consumer: Consumer) -> list[Message]:
    """Wait for one message and take along what is there already: `consume(n, t)` would wait its whole time."""
    first = consumer.poll(POLL)
    return [] if first is None else [first, *consumer.consume(MOST_AT_ONCE, 0)]
