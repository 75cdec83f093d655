"""Batches tried in a child process: decoding and judging them."""

from functools import partial

from schemas.avro.framing import Framing
from schemas.validity import invalidity
from streams.containment.quarantine import Trial
from streams.read.batch_decoding import batch_in
from streams.read.consumer_thread import Record


def trial_of_batches(framing: Framing) -> Trial:
    """Return what tries records of the log: decoding and judging them."""
    return Trial(partial(_judged, framing=framing))


def _judged(record: Record, framing: Framing) -> str | None:
    return invalidity(batch_in(record, framing).batch)
