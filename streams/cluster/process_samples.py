"""How a process of ours stands with Kafka, as its metrics tell it."""

from collections.abc import Iterator

from schemas.metrics.definitions import KAFKA_QUEUED, KAFKA_REACHABLE, READY
from schemas.metrics.registry import Sample
from streams.cluster.readiness import Readiness
from streams.write.writer import Writer


def process_samples(writer: Writer, *, is_ready: bool) -> Iterator[Sample]:
    """Yield how a process stands that writes."""
    yield Sample(READY, is_ready)
    yield Sample(KAFKA_REACHABLE, writer.trouble is None)
    yield Sample(KAFKA_QUEUED, writer.queued_bytes)


def member_samples(readiness: Readiness) -> Iterator[Sample]:
    """Yield how a member of a group stands, of Kafka nothing before it has begun to write."""
    if readiness.writer is None:
        yield Sample(READY, False)
    else:
        yield from process_samples(readiness.writer, is_ready=readiness.why_not() is None)
