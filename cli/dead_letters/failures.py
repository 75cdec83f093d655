"""Dead letters: which failures stand, a pure fold of completions in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from schemas.records import BatchCompletion, Status, is_of_log
from schemas.target import Target

SETTLED: frozenset[Status] = frozenset({"delivered", "partial", "skipped"})
"""Nothing is left to do, whatever failed before or is told later."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
PAGE = 1024

Lane = tuple[str, int, str, str | None]
"""Topic and partition of an origin, provider, account."""


class Offsets:
    """A set of offsets, a bit for each where they lie close together."""

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}

    def add(self, offset: int) -> None:
        """Put an offset in."""
        page, bit = divmod(offset, PAGE)
        self._pages[page] = self._pages.get(page, 0) | 1 << bit

    def __contains__(self, offset: int) -> bool:
        page, bit = divmod(offset, PAGE)
        return bool(self._pages.get(page, 0) >> bit & 1)


@dataclass(slots=True)
class DeadLetters:
    """Folds completions by origin and account; keeps the failures, and a bit for what is settled.

    Live or replayed is all the same: what a replay got through is no dead letter any more.
    """

    log_id: str | None = None
    """The log's; what is of another one, which had its name before, is no letter."""
    _failed: dict[tuple[Lane, int], BatchCompletion] = field(default_factory=dict)
    _settled: dict[Lane, Offsets] = field(default_factory=dict)

    def take(self, completion: BatchCompletion, written_at: datetime | None = None) -> None:
        """Fold one more completion; the time at which Kafka took it stands in for a missing end."""
        if not is_of_log(completion.log_id, self.log_id):
            return
        lane, offset = _lane(completion), completion.origin.offset
        if completion.status in SETTLED:
            self._settled.setdefault(lane, Offsets()).add(offset)
            self._failed.pop((lane, offset), None)
        elif completion.status == "failed" and offset not in self._settled.get(lane, ()):
            letter = _slim(completion, written_at)
            before = self._failed.get((lane, offset))
            if before is None or failed_at(before) <= failed_at(letter):
                self._failed[lane, offset] = letter

    def standing(self) -> list[BatchCompletion]:
        """Return the failures that stand, the newest first, without the list of rejected users."""
        return sorted(self._failed.values(), key=lambda letter: (failed_at(letter), letter.origin), reverse=True)


def _lane(completion: BatchCompletion) -> Lane:
    origin = completion.origin
    return origin.topic, origin.partition, completion.provider, completion.account


def _slim(completion: BatchCompletion, written_at: datetime | None) -> BatchCompletion:
    finished_at = completion.finished_at or written_at
    return msgspec.structs.replace(completion, rejected_users=[], finished_at=finished_at)


def failed_at(letter: BatchCompletion) -> datetime:
    """Return when a delivery failed; long ago where nothing says so."""
    return letter.finished_at or LONG_AGO


def target_of(letter: BatchCompletion) -> Target:
    """Return the account that failed."""
    return Target(letter.provider, letter.account or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters to show; what is empty or None leaves nothing out. A bare provider means all its accounts."""

    providers: Sequence[str] = ()
    reasons: Sequence[str] = ()
    session_id: str | None = None
    age: timedelta | None = None

    def has(self, letter: BatchCompletion, now: datetime) -> bool:
        """Tell whether a letter is one of them."""
        return (
            target_of(letter).is_meant_by(self.providers or None)
            and (not self.reasons or letter.error_code in self.reasons)
            and (self.session_id is None or letter.session_id == self.session_id)
            and (self.age is None or now - failed_at(letter) <= self.age)
        )
