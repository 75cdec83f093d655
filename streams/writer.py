"""Write records to Kafka and know when all in-sync replicas have them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.records import Origin
from streams.errors import (
    KafkaStalledError,
    KafkaUnreachableError,
    NotAcknowledgedError,
    ProducerFailedError,
    QueueFullError,
    RecordTooLargeError,
)
from streams.progress import Progress
from streams.settings import KafkaSettings

log = structlog.get_logger()

POLL = 0.1
PROBE = 1.0
FLUSH_LIMIT = 10.0
SAID_AFTER = 1.0
"""Seconds from which it is said what an end waits for."""

MESSAGE_TIMEOUT = 20.0
"""Seconds until a record counts as not acknowledged: longer than an election, less than clients of ours wait."""

_DEFAULTS: dict[str, Any] = {"linger.ms": 1, "compression.type": "zstd", "partitioner": "murmur2_random"}
_REQUIRED: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "delivery.report.only.error": False,
    "queue.buffering.max.kbytes": 2**31 - 1,  # ours is the bound: see reserve
    "queue.buffering.max.messages": 10_000_000,
}

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

SURELY_SMALL = 16 * 1024
"""Bytes of a record up to which a refusal for size is about the request that it was sent in with others."""

_Report = tuple["asyncio.Future[Origin]", int, KafkaError | None, Origin | None]


class _Room:
    """Bytes of the queue that are reserved or on their way."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def fits(self, size: int) -> bool:
        """Tell whether there is room; alone, anything fits."""
        return not self.used or self.used + size <= self._limit


class Reservation:
    """Room in the queue towards Kafka that nobody else gets; a context manager that gives back the rest."""

    def __init__(self, room: _Room, size: int) -> None:
        self._room = room
        self.size = size
        room.used += size

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release(self.size)

    def release(self, size: int) -> None:
        """Give back some bytes, at most what is left."""
        size = min(size, self.size)
        self.size -= size
        self._room.used -= size


class Writer:
    """An idempotent producer. Records are acknowledged by all in-sync replicas before `send` returns.

    To be used in one event loop. After a fatal error of the client, which is logged, it stays unreachable:
    start the process again.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        max_queued_bytes: int = 96 * 1024 * 1024,
        message_timeout: float = MESSAGE_TIMEOUT,
    ) -> None:
        limits = {"message.timeout.ms": int(message_timeout * 1000), "error_cb": kafka.on_error_after(self._on_error)}
        self._config = _DEFAULTS | kafka.client(**_REQUIRED, **limits)
        self._room = _Room(max_queued_bytes)
        self._progress = Progress()
        self._reports: deque[_Report] = deque()
        self._is_woken = False
        self._is_down = threading.Event()
        self._broken = threading.Event()
        self._stop = threading.Event()
        self._next_probe = 0.0

    async def __aenter__(self) -> "Writer":
        """Return within about a second, whether a broker answers or not; see `is_reachable`."""
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(self._config)
        self._is_down.set()  # until the first probe has found a broker
        await asyncio.to_thread(self._probe)
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """1. Refuse new records. 2. Wait for acknowledgements, within a limit. 3. Fail what has none yet."""
        self._stop.set()
        await asyncio.to_thread(self._finish)
        self._drain()

    def _finish(self) -> None:
        self._thread.join()
        if self._producer.flush(SAID_AFTER):
            log.info("Waiting for Kafka to confirm records.", records=len(self._producer), seconds_left=FLUSH_LIMIT)
            self._producer.flush(FLUSH_LIMIT)
        self._producer.purge()
        self._producer.flush(1)

    async def failure(self) -> None:
        """Wait until the client fails for good, without end where it does not. Raises ProducerFailedError."""
        while not self._broken.is_set():
            await asyncio.sleep(PROBE)
        raise ProducerFailedError

    @property
    def is_reachable(self) -> bool:
        """False from the moment that all brokers are down until one answers, and while none acknowledges."""
        return self._is_open and not self._progress.is_stalled(time.monotonic())

    @property
    def _is_open(self) -> bool:
        return not self._is_down.is_set() and not self._broken.is_set() and not self._stop.is_set()

    def reserve(self, size: int) -> Reservation:
        """Keep room for `size` bytes in the queue; when nothing else is in it, any size fits.

        Hand the reservation to `send`, else the bytes of its records count twice meanwhile.
        Raises KafkaUnreachableError, KafkaStalledError, QueueFullError; nothing was sent then.
        """
        if not self._is_open:
            raise KafkaUnreachableError
        if self._progress.is_stalled(time.monotonic()):
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
    ) -> Origin:
        """Write one record, None to delete a key; return where it stands once all in-sync replicas have it.

        Its bytes count as queued until Kafka has answered, even where the caller is cancelled; the record may
        be written then. Raises NotAcknowledgedError, after which it may or may not be written; QueueFullError
        KafkaUnreachableError (the writer is closed) and RecordTooLargeError, after which it is not.
        """
        if self._stop.is_set():
            raise KafkaUnreachableError("The writer is closed: nothing was sent.")
        acknowledged: asyncio.Future[Origin] = self._loop.create_future()
        size = len(key) + len(value or b"")

        def report(error: KafkaError | None, message: Message) -> None:
            self._report(acknowledged, size, error, message)

        try:
            self._producer.produce(topic, value, key, headers=list((headers or {}).items()), on_delivery=report)
        except BufferError as error:
            raise QueueFullError from error
        except KafkaException as error:
            raise _refusal(error.args[0], size) from error
        if reservation is not None:
            reservation.release(size)
        self._room.used += size
        self._progress.sent(time.monotonic())
        return await acknowledged

    def _report(
        self, acknowledged: "asyncio.Future[Origin]", size: int, error: KafkaError | None, message: Message
    ) -> None:
        origin = None
        if error is None:
            self._is_down.clear()
            origin = Origin(topic=message.topic(), partition=message.partition(), offset=message.offset())
        self._reports.append((acknowledged, size, error, origin))
        if not self._is_woken and not self._loop.is_closed():
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._is_woken = False  # before draining: a report that comes from here on wakes us again
        while self._reports:
            acknowledged, size, error, origin = self._reports.popleft()
            self._room.used -= size
            self._note(error)
            if acknowledged.done():
                continue
            if origin is not None:
                acknowledged.set_result(origin)
            else:
                failure = _refusal(error, size)
                failure.__cause__ = KafkaException(error)
                acknowledged.set_exception(failure)

    def _note(self, error: KafkaError | None) -> None:
        if error is not None and error.code() == KafkaError._MSG_TIMED_OUT:
            self._progress.timed_out()
        else:
            self._progress.answered(time.monotonic())

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(POLL)
            if self._is_down.is_set() and time.monotonic() >= self._next_probe:
                self._probe()

    def _probe(self) -> None:
        self._next_probe = time.monotonic() + PROBE
        try:
            self._producer.list_topics(timeout=PROBE)
        except KafkaException:
            return
        self._is_down.clear()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._is_down.set()
        if error.code() == KafkaError._FATAL or error.fatal():
            log.error("The producer failed for good; the process must be started again.", error=error.name())
            self._broken.set()


def _refusal(error: KafkaError | None, size: int) -> NotAcknowledgedError:
    """Return what Kafka's error means for a record of so many bytes."""
    is_too_large = error is not None and error.code() in _TOO_LARGE and size > SURELY_SMALL
    return RecordTooLargeError() if is_too_large else NotAcknowledgedError()
