"""Write records to Kafka and know when all in-sync replicas have them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.records import Origin
from streams.errors import KafkaUnreachableError, NotAcknowledgedError, QueueFullError
from streams.settings import KafkaSettings

POLL = 0.1
PROBE = 1.0
FLUSH_LIMIT = 10.0

_DEFAULTS: dict[str, Any] = {
    "linger.ms": 1,
    "compression.type": "zstd",
    "partitioner": "murmur2_random",
    "message.max.bytes": 1_000_000,
}

_Report = tuple["asyncio.Future[Origin]", KafkaError | None, Origin | None]


class Writer:
    """An idempotent producer. Records are acknowledged by all in-sync replicas before `send` returns."""

    def __init__(
        self, kafka: KafkaSettings, *, max_queued_bytes: int = 96 * 1024 * 1024, message_timeout: float = 30.0
    ) -> None:
        required = {
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": int(message_timeout * 1000),
            "queue.buffering.max.kbytes": 2**21 - 1,  # ours is the bound: see reserve
            "error_cb": self._on_error,
        }
        self._config = kafka.client(_DEFAULTS, required)
        self._max_queued = max_queued_bytes
        self._reserved = 0
        self._reports: deque[_Report] = deque()
        self._is_woken = False
        self._is_down = threading.Event()
        self._stop = threading.Event()
        self._next_probe = 0.0

    async def __aenter__(self) -> "Writer":
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
        """Flush what is queued, within a limit, and end the thread."""
        await asyncio.to_thread(self._producer.flush, FLUSH_LIMIT)
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    @property
    def is_reachable(self) -> bool:
        """False from the moment that all brokers are down until one answers."""
        return not self._is_down.is_set()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Keep room for `size` bytes in the queue until the block is left; alone, any size fits.

        Raises KafkaUnreachableError, QueueFullError; nothing was sent then.
        """
        if not self.is_reachable:
            raise KafkaUnreachableError
        if self._reserved and self._reserved + size > self._max_queued:
            raise QueueFullError
        self._reserved += size
        try:
            yield
        finally:
            self._reserved -= size

    async def send(
        self, topic: str, key: str | bytes, value: bytes, headers: Mapping[str, bytes] | None = None
    ) -> Origin:
        """Write one record; return where it stands once all in-sync replicas have it.

        Raises NotAcknowledgedError, after which it may or may not be written; QueueFullError, then it is not.
        """
        acknowledged: asyncio.Future[Origin] = self._loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            self._report(acknowledged, error, message)

        try:
            self._producer.produce(topic, value, key, headers=list((headers or {}).items()), on_delivery=report)
        except BufferError as error:
            raise QueueFullError from error
        except KafkaException as error:
            raise NotAcknowledgedError from error
        return await acknowledged

    def _report(self, acknowledged: "asyncio.Future[Origin]", error: KafkaError | None, message: Message) -> None:
        origin = None
        if error is None:
            self._is_down.clear()
            origin = Origin(topic=message.topic(), partition=message.partition(), offset=message.offset())
        self._reports.append((acknowledged, error, origin))
        if not self._is_woken and not self._loop.is_closed():
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._is_woken = False  # before draining: a report that comes from here on wakes us again
        while self._reports:
            acknowledged, error, origin = self._reports.popleft()
            if acknowledged.done():
                continue
            if origin is not None:
                acknowledged.set_result(origin)
            else:
                failure = NotAcknowledgedError()
                failure.__cause__ = KafkaException(error)
                acknowledged.set_exception(failure)

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
