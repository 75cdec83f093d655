"""What a consumer tells of its account to Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from consumer.records.retry_schedule import Schedule
from providers.kit.rate_limiter import Pace
from schemas.metrics.definitions import (
    ASSIGNED_PARTITIONS,
    ATTEMPTS,
    DELIVERED_USERS,
    FAILED_RECORDS,
    IN_FLIGHT_BYTES,
    IN_FLIGHT_RECORDS,
    LAG_RECORDS,
    LAG_SECONDS,
    OK,
    OLDEST_UNDELIVERED,
    QUARANTINED_RECORDS,
    RECORDS,
    REJECTED_USERS,
    RETRY_POINTERS,
    STATUSES,
    THROTTLE,
    word_of,
)
from schemas.metrics.registry import Metrics, Sample
from schemas.records import TERMINAL, BatchCompletion
from schemas.target import Target
from streams.read.group_reader import GroupReader


def labels_of(target: Target) -> tuple[str, str]:
    """Return the labels of an account: its platform, and its name in the configuration."""
    return target.provider, str(target)


class AccountCounters:
    """Counts what comes of an account's records and calls; it outlasts topics that are made anew."""

    def __init__(self, metrics: Metrics, target: Target) -> None:
        self._account = labels_of(target)
        self._records = metrics.counted(RECORDS)
        self._delivered = metrics.counted(DELIVERED_USERS)
        self._rejected = metrics.counted(REJECTED_USERS)
        self._failed = metrics.counted(FAILED_RECORDS)
        self._quarantined = metrics.counted(QUARANTINED_RECORDS)
        self._attempts = metrics.counted(ATTEMPTS)
        self._begin()

    def _begin(self) -> None:
        for status in STATUSES:
            self._records.begin(*self._account, status)
        for counted in (self._delivered, self._quarantined):
            counted.begin(*self._account)
        self._attempts.begin(*self._account, OK)

    def called(self, result: str) -> None:
        """Count a call by how it ended."""
        self._attempts.add(*self._account, result if result == OK else word_of(result))

    def reported(self, completion: BatchCompletion) -> None:
        """Count a record that is through; of one that is tried again nothing is counted yet."""
        if completion.status not in TERMINAL:
            return
        self._records.add(*self._account, completion.status)
        self._delivered.add(*self._account, amount=completion.counts.accepted)
        self._count_rejected(completion.rejected_reasons)
        if completion.status == "failed":
            self._failed.add(*self._account, word_of(completion.error_code))
        if completion.error_code == "quarantined":
            self._quarantined.add(*self._account)

    def _count_rejected(self, reasons: Mapping[str, int]) -> None:
        """Count by the reason's word, which stands behind the field that is at fault."""
        for reason, users in reasons.items():
            self._rejected.add(*self._account, word_of(reason.rpartition(": ")[2]), amount=users)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBacklog:
    """What one process of an account has yet to do, read when somebody scrapes."""

    target: Target
    reader: GroupReader
    pointers: GroupReader
    schedule: Schedule
    pace: Pace
    ends: Callable[[], Mapping[int, int]]
    """Where each partition of the log ends, as far as that is known."""

    def samples(self) -> Iterator[Sample]:
        """Yield how things stand."""
        account, reader = labels_of(self.target), self.reader
        in_log, postponed = _age(reader.oldest_in_flight), _age(self.schedule.oldest())
        values = {
            LAG_RECORDS: reader.unfinished(self.ends()),
            LAG_SECONDS: in_log,
            ASSIGNED_PARTITIONS: len(reader.partitions),
            IN_FLIGHT_RECORDS: reader.records_in_flight,
            IN_FLIGHT_BYTES: reader.bytes_in_flight,
            RETRY_POINTERS: self.pointers.records_in_flight,
            OLDEST_UNDELIVERED: max(in_log, postponed),
            THROTTLE: self.pace.held_in_all,
        }
        return (Sample(metric, value, account) for metric, value in values.items())


def _age(time: datetime | None) -> float:
    return 0.0 if time is None else max(0.0, (datetime.now(UTC) - time).total_seconds())
