"""Write records to Kafka and know when all in-sync replicas have them."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.records import Origin
from streams.client.errors import (
    KafkaStalledError,
    KafkaUnreachableError,
    NotAcknowledgedError,
    ProducerFailedError,
    QueueFullError,
    RecordRefusedError,
    RecordTooLargeError,
)
from streams.client.refusals import Refusal, Refusals, refusal_of, words_of
from streams.client.rights import Rights, ask_again
from streams.client.settings import KafkaSettings
from streams.processes.watched_threads import watched_thread
from streams.write.queue_space import QueueSpace, Reservation
from streams.write.stall_detector import StallDetector

log = structlog.get_logger()

POLL = 0.1
PROBE = 1.0
FLUSH_LIMIT = 10.0
SAID_AFTER = 1.0
"""Seconds from which it is said what an end waits for."""

MESSAGE_TIMEOUT = 20.0
"""Seconds until a record counts as not acknowledged: longer than an election, less than clients of ours wait."""

_DEFAULTS: dict[str, Any] = {
    "linger.ms": 1,
    "compression.type": "zstd",
    "partitioner": "murmur2_random",
    "topic.metadata.refresh.interval.ms": 30_000,  # a topic that changes is seen as soon as readers see it
}
_REQUIRED: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "delivery.report.only.error": False,
    "queue.buffering.max.kbytes": 2**31 - 1,  # ours is the bound: see reserve
    "queue.buffering.max.messages": 10_000_000,
}

_AUTHORITATIVE = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"""What waiting does not mend of a connection."""

SURELY_SMALL = 16 * 1024
"""Bytes of a record up to which a refusal for size is about the request that it was sent in with others."""

PARTITIONER = -1
"""Lets the client's partitioner choose."""

_Report = tuple["asyncio.Future[Origin]", str, int, KafkaError | None, Origin | None]


class Writer:
    """An idempotent producer. Records are acknowledged by all in-sync replicas before `send` returns.

    To be used in one event loop. After a fatal error of the client, which is logged, it stays unreachable and
    `failure` raises: start the process again.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        max_queued_bytes: int = 96 * 1024 * 1024,
        message_timeout: float = MESSAGE_TIMEOUT,
        on_acknowledged: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Begin with nothing sent; `on_acknowledged` is told for each record after how many seconds Kafka had it."""
        callbacks = {"error_cb": kafka.on_error_after(self._on_error)}
        self._config = producer_properties(kafka, message_timeout) | callbacks
        self._rights = Rights(kafka)
        self._refusals = Refusals()
        self._room = QueueSpace(max_queued_bytes)
        self._on_acknowledged = on_acknowledged
        self._stall_detector = StallDetector()
        self._reports: deque[_Report] = deque()
        self._is_woken = False
        self._is_down = threading.Event()
        self._failure: str | None = None
        """What the client failed by for good, in words."""
        self._fatal: KafkaError | None = None
        self._doubt: str | None = None
        """What keeps brokers from answering, in Kafka's word, where waiting does not mend it."""
        self._stop = threading.Event()
        self._next_probe = 0.0

    async def __aenter__(self) -> "Writer":
        """Return within about a second, whether a broker answers or not; see `is_reachable`."""
        self._loop = asyncio.get_running_loop()
        self._has_failed = asyncio.Event()
        self._producer = Producer(self._config)
        self._is_down.set()  # until the first probe has found a broker
        await asyncio.to_thread(self._probe)
        self._thread = watched_thread("kafka-producer", self._poll, self._break)
        self._thread.start()
        self._asking = asyncio.create_task(ask_again(self._rights, self._refusals))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """1. Refuse new records. 2. Wait for acknowledgements, within a limit. 3. Fail what has none yet."""
        self._stop.set()
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        await asyncio.to_thread(self._finish)
        self._drain()

    def _finish(self) -> None:
        self._thread.join()
        if self._flush(SAID_AFTER):
            log.info("Waiting for Kafka to confirm records.", records=len(self._producer), seconds_left=FLUSH_LIMIT)
            self._flush(FLUSH_LIMIT)
        self._producer.purge()
        self._flush(1)

    def _flush(self, limit: float) -> int:
        """Wait for acknowledgements; return how many records have none."""
        try:
            self._producer.flush(limit)
        except Exception as error:
            self._break(error)
        return len(self._producer)

    async def failure(self) -> None:
        """Wait until the client fails for good, without end where it does not. Raises ProducerFailedError."""
        await self._has_failed.wait()
        raise ProducerFailedError(self._failure)

    async def _cause(self) -> str | None:
        """Return what the client failed by, which only its thread is told: a moment later than `produce` refuses."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAID_AFTER):
                await self._has_failed.wait()
        return self._failure

    @property
    def is_reachable(self) -> bool:
        """False from the moment that all brokers are down until one answers, and while none acknowledges."""
        return self._is_open and not self._stall_detector.is_stalled(time.monotonic())

    @property
    def _is_open(self) -> bool:
        return not self._is_down.is_set() and self._failure is None and not self._stop.is_set()

    @property
    def failure_reason(self) -> str | None:
        """What the client failed by for good, None where it did not."""
        return self._failure

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written, in Kafka's word where it has one; None where it can."""
        if self._failure is not None:
            return f"the producer failed for good ({self._failure}): the process ends"
        if not self._is_open:
            return f"Kafka can't be reached ({self._doubt})" if self._doubt else "Kafka can't be reached"
        if not self.is_reachable:
            return "Kafka acknowledges nothing"
        return None

    @property
    def queued_bytes(self) -> int:
        """Bytes of records that Kafka has not acknowledged yet, and room that is reserved for more."""
        return self._room.used

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """What Kafka refuses to take, by topic."""
        return self._refusals.standing

    def reserve(self, size: int) -> Reservation:
        """Keep room for `size` bytes in the queue; when nothing else is in it, any size fits.

        Hand the reservation to `send`, else the bytes of its records count twice meanwhile.
        Raises KafkaUnreachableError, KafkaStalledError, QueueFullError; nothing was sent then.
        """
        if self._failure is not None:
            raise ProducerFailedError(self._failure)
        if not self._is_open:
            raise KafkaUnreachableError
        if self._stall_detector.is_stalled(time.monotonic()):
            raise KafkaStalledError
        if not self._room.fits(size):
            raise QueueFullError
        return Reservation(self._room, size)

    async def send(
        self,
        topic: str,
        key: str | bytes,
        value: bytes | None,
        headers: Mapping[str, bytes] | None = None,
        *,
        reservation: Reservation | None = None,
        partition: int | None = None,
    ) -> Origin:
        """Write one record, None to delete a key; return where it stands once all in-sync replicas have it.

        Its partition is that of the key among those that the topic has now, unless another one is named.
        Its bytes count as queued until Kafka has answered, even where the caller is cancelled; the record may
        be written then. Raises NotAcknowledgedError, after which it may or may not be written; QueueFullError
        KafkaUnreachableError (the writer is closed or failed) and RecordRefusedError, after which it is not.
        """
        if self._stop.is_set():
            raise KafkaUnreachableError("The writer is closed: nothing was sent.")
        acknowledged: asyncio.Future[Origin] = self._loop.create_future()
        size = len(key) + len(value or b"")

        def report(error: KafkaError | None, message: Message) -> None:
            self._report(acknowledged, topic, size, error, message)

        try:
            place = PARTITIONER if partition is None else partition
            self._producer.produce(topic, value, key, place, headers=list((headers or {}).items()), on_delivery=report)
        except BufferError as error:
            raise QueueFullError from error
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:
                raise ProducerFailedError(await self._cause()) from error
            raise self._unacknowledged(error.args[0], topic, size) from error
        if reservation is not None:
            reservation.release(size)
        self._room.used += size
        begun = time.monotonic()
        self._stall_detector.sent(begun)
        origin = await acknowledged
        self._on_acknowledged(time.monotonic() - begun)
        return origin

    def _report(
        self, acknowledged: "asyncio.Future[Origin]", topic: str, size: int, error: KafkaError | None, message: Message
    ) -> None:
        origin = None
        if error is None:
            self._is_down.clear()
            if message.offset() is not None:  # without one, the client takes a later record's success for this one's
                origin = Origin(topic=message.topic(), partition=message.partition(), offset=message.offset())
        self._reports.append((acknowledged, topic, size, error, origin))
        if not self._is_woken and not self._loop.is_closed():
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._is_woken = False  # before draining: a report that comes from here on wakes us again
        while self._reports:
            acknowledged, topic, size, error, origin = self._reports.popleft()
            self._room.used -= size
            self._note(error)
            failure = NotAcknowledgedError()  # stays where the client only guesses: nobody knows where, or whether
            if error is not None:
                failure = self._unacknowledged(error, topic, size)
                failure.__cause__ = KafkaException(error)
            elif origin is not None:
                self._refusals.taken(topic, size)
            if acknowledged.done():
                continue
            if origin is not None:
                acknowledged.set_result(origin)
            else:
                acknowledged.set_exception(failure)

    def _note(self, error: KafkaError | None) -> None:
        if error is not None and error.code() == KafkaError._MSG_TIMED_OUT:
            self._stall_detector.timed_out()
        else:
            self._stall_detector.answered(time.monotonic())

    def _unacknowledged(self, error: KafkaError, topic: str, size: int) -> NotAcknowledgedError:
        """Return what Kafka's error means for a record of so many bytes, and take down what it refuses for good."""
        refusal = refusal_of(error, topic, size) or (self._fatal and refusal_of(self._fatal, topic, size))
        if refusal is None:
            return NotAcknowledgedError()
        self._refusals.note(refusal)
        if not refusal.is_of_size:
            return RecordRefusedError(refusal)
        is_for_good = size > SURELY_SMALL or self._refusals.lasts(topic)
        return RecordTooLargeError(refusal) if is_for_good else NotAcknowledgedError()

    def _poll(self) -> None:
        """Serve the client until the end, also when it has failed: who waits for a report still gets one."""
        while not self._stop.is_set():
            try:
                self._producer.poll(POLL)
            except Exception as error:  # what is fatal to the client is raised here, and no `error_cb` is called
                self._break(error)
                self._stop.wait(POLL)
            if self._is_down.is_set() and time.monotonic() >= self._next_probe:
                self._probe()

    def _break(self, error: BaseException) -> None:
        """Take nothing more, for good."""
        if self._failure is not None:
            return
        self._fatal = error.args[0] if isinstance(error, KafkaException) else None
        self._failure = words_of(error)
        log.error("The producer failed for good; the process must be started again.", error=self._failure)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._has_failed.set)

    def _probe(self) -> None:
        self._next_probe = time.monotonic() + PROBE
        try:
            self._producer.list_topics(timeout=PROBE)
        except KafkaException:
            return
        self._doubt = None
        self._is_down.clear()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._is_down.set()
        elif error.code() in _AUTHORITATIVE:
            self._doubt = error.name()


def producer_properties(kafka: KafkaSettings, message_timeout: float = MESSAGE_TIMEOUT) -> dict[str, Any]:
    """Return the properties of a writer's client: ours, under the user's, under those that must be."""
    limit = {"message.timeout.ms": int(message_timeout * 1000)}
    return _DEFAULTS | kafka.client(**_REQUIRED, **limit)
