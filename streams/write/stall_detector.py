"""Whether Kafka acknowledges what it is sent: a pure decision, which takes the time."""

from dataclasses import dataclass

STALLED_AFTER = 10.0
"""Seconds that records may wait without a single acknowledgement; a new leader is there sooner, mostly."""


@dataclass(slots=True)
class StallDetector:
    """How many records wait for Kafka, and since when nothing has come of it. Times are of one clock.

    A cluster that has lost too many brokers still answers questions, and takes no record. Once that shows,
    one record at a time goes out, until one is answered.
    """

    _waiting: int = 0
    _since: float = 0.0
    _has_timed_out: bool = False

    def sent(self, now: float) -> None:
        """Note a record that goes out."""
        if not self._waiting and not self._has_timed_out:
            self._since = now
        self._waiting += 1

    def answered(self, now: float) -> None:
        """Note that Kafka took or refused a record."""
        self._waiting -= 1
        self._since, self._has_timed_out = now, False

    def timed_out(self) -> None:
        """Note that a record was given up without an answer."""
        self._waiting -= 1
        self._has_timed_out = True

    def is_stalled(self, now: float) -> bool:
        """Tell whether more records would only wait in vain; never where none waits, so that one can try."""
        return self._waiting > 0 and now - self._since > STALLED_AFTER
