"""Whether a member of a group can be sure that it still is one, having been paused."""

import time
from collections.abc import Iterable

from confluent_kafka import Consumer

from streams.read.commits import COMMIT_EVERY, Commits
from streams.read.in_flight import InFlight


class Membership:
    """Tells whether what is in flight is surely ours.

    The group gives a member's partitions to others when its session has ended without a word of it, as while its
    process is stopped. Back again, it goes on as before until the client has heard of that. So once its thread was
    still for half a session nothing is sure until Kafka, which takes commits of members alone, has taken another one.
    """

    def __init__(self, in_flight: InFlight, commits: Commits, session: float) -> None:
        self._in_flight = in_flight
        self._commits = commits
        self._longest_gap = session / 2
        self._unsure: set[int] = set()
        self._is_asked = False
        self._next = 0.0
        self._ticked = time.monotonic()

    def is_sure(self, partition: int) -> bool:
        """Tell whether a partition is surely held, if it is held. To be called on any thread."""
        is_late = time.monotonic() - self._ticked > self._longest_gap
        return not is_late and partition not in self._unsure

    def tick(self, consumer: Consumer) -> None:
        """Look whether the thread was still, and ask Kafka where it was. On the consumer's thread, as all below."""
        now = time.monotonic()
        if now - self._ticked > self._longest_gap:
            self._unsure, self._is_asked = set(self._in_flight.partitions()), False
        self._ticked = now  # only now: who asks meanwhile is told of either
        if self._unsure and self._commits.are_answered and now >= self._next:
            self._ask(consumer, now)

    def _ask(self, consumer: Consumer, now: float) -> None:
        """Commit all once more; what Kafka has taken of that before is ours."""
        if self._is_asked:
            self._unsure = {partition for partition in self._unsure if not self._commits.are_known(partition)}
        if self._unsure:
            self._next, self._is_asked = now + COMMIT_EVERY, True
            self._commits.forget(self._unsure)
            self._commits.commit(consumer, self._unsure)
        else:
            self._next = 0.0

    def forget(self, partitions: Iterable[int]) -> None:
        """Know nothing more of partitions, which are given up, or not held any longer in this round."""
        self._unsure = self._unsure.difference(partitions)
