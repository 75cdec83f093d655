"""Which records a replay sends to which account: pure decisions over receipts and completions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from consumer.replay.replayer import Wish
from schemas.records import (
    TERMINAL,
    AudienceBatch,
    AudienceType,
    BatchCompletion,
    BatchReceipt,
    Mode,
    Origin,
    RejectedUser,
    is_of_log,
)
from schemas.target import Target

Only = Literal["all", "failed", "rejected"]

CALL = 1.0
"""Seconds that a call takes, as a rule of thumb."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Choice(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a replay is to send; what is None or empty leaves nothing out. Times are the broker's."""

    session_id: str | None = None
    name: str | None = None
    type: AudienceType | None = None
    mode: Mode | None = None
    """Only additions, or only removals."""
    batch_id: str | None = None
    origin: Origin | None = None
    """One record by its place; being named, it is tried even where it was no valid one so far."""
    since: datetime | None = None
    until: datetime | None = None
    only: Only = "all"
    reasons: tuple[str, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """Whether this says more than `everything in the log`."""
        chosen = (self.session_id, self.name, self.batch_id, self.origin, self.since)
        return any(choice is not None for choice in chosen) or self.only != "all" or bool(self.reasons)

    @property
    def is_by_end(self) -> bool:
        """Whether it depends on how deliveries ended, so that completions must be read."""
        return self.only != "all" or bool(self.reasons)

    @property
    def is_by_name(self) -> bool:
        """Whether it names what it means, so that what is quarantined is meant, too."""
        return self.batch_id is not None or self.origin is not None

    def has(self, receipt: BatchReceipt) -> bool:
        """Tell whether a record is one of them, as far as its receipt can tell."""
        wanted = (
            (self.session_id, receipt.session_id),
            (self.name, receipt.name),
            (self.type, receipt.type),
            (self.mode, receipt.mode),
            (self.batch_id, (receipt.batch_id or "").lower()),
            (self.origin, receipt.origin),
        )
        return (
            (receipt.verdict == "valid" or self.origin is not None)
            and all(wish in (None, fact) for wish, fact in wanted)
            and (self.since is None or receipt.timestamp >= self.since)
            and (self.until is None or receipt.timestamp <= self.until)
        )


class Chosen(Struct, frozen=True, kw_only=True):
    """What is kept of the receipt of a record that is chosen."""

    origin: Origin
    audience: str
    batch_id: str
    users: int
    channels: tuple[str, ...] | None
    mode: Mode = "add"


def chosen_of(receipt: BatchReceipt) -> Chosen:
    """Return what is to be known of a record later."""
    channels = None if receipt.channels is None else tuple(receipt.channels)
    return Chosen(
        origin=receipt.origin,
        audience=receipt.key,
        batch_id=receipt.batch_id or "",
        users=receipt.users,
        channels=channels,
        mode=receipt.mode,
    )


class End(Struct, frozen=True, kw_only=True):
    """How a record stands at an account by all its deliveries, live or replayed."""

    is_failure: bool
    at: datetime
    error_code: str | None = None
    rejected: int = 0
    listed: tuple[RejectedUser, ...] = ()
    reasons: tuple[tuple[str, int], ...] = ()
    """Words of the vocabulary and how many users were rejected for them."""

    @property
    def rank(self) -> tuple[bool, datetime, int, str]:
        """What decides between two ends: a success settles a record, whatever failed; else the later one counts."""
        return not self.is_failure, self.at, self.rejected, self.error_code or ""

    def has(self, reasons: Collection[str]) -> bool:
        """Tell whether one of these words says why it failed, or why users were rejected."""
        return not reasons or self.error_code in reasons or any(reason in reasons for reason, _ in self.reasons)


def end_of(completion: BatchCompletion, written_at: datetime | None = None) -> End:
    """Return what a completion of an end says."""
    counted = tuple((reason.rpartition(": ")[2], count) for reason, count in completion.rejected_reasons.items())
    is_failure = completion.status == "failed"
    return End(
        is_failure=is_failure,
        at=completion.finished_at or written_at or LONG_AGO,
        error_code=completion.error_code,
        rejected=0 if is_failure else completion.counts.rejected,
        listed=() if is_failure else tuple(completion.rejected_users),
        reasons=() if is_failure else counted,
    )


@dataclass(slots=True)
class Ends:
    """Folds completions in any order into how records stand, of those that are asked for and no others."""

    origins: Collection[Origin]
    without: str
    """A delivery that does not count: the replay's own, so that a resumed one chooses as it did at first."""
    log_id: str | None = None
    """The log's; completions of another one don't count either."""
    _ends: dict[tuple[Origin, Target], End] = field(default_factory=dict)

    def take(self, completion: BatchCompletion, written_at: datetime | None = None) -> None:
        """Fold one more completion."""
        is_end = completion.status in TERMINAL and completion.delivery != self.without
        if not is_end or not is_of_log(completion.log_id, self.log_id):
            return
        if completion.origin in self.origins:
            place = completion.origin, Target(completion.provider, completion.account or "")
            end, before = end_of(completion, written_at), self._ends.get(place)
            if before is None or before.rank <= end.rank:
                self._ends[place] = end

    def of(self, origin: Origin, target: Target) -> End | None:
        """Return how a record stands at an account, None where it has not ended there."""
        return self._ends.get((origin, target))


def wish_for(record: Chosen, end: End | None, choice: Choice) -> Wish | None:
    """Return what is to be sent of a record to an account, None for nothing."""
    if end is not None and end.is_failure and end.error_code == "quarantined" and not choice.is_by_name:
        return None
    everything = Wish(record.audience, is_suspect=choice.origin is not None)
    if choice.only == "all":
        return everything if not choice.reasons or (end is not None and end.has(choice.reasons)) else None
    if end is None or not end.has(choice.reasons):
        return None
    if choice.only == "failed":
        return everything if end.is_failure else None
    if not end.rejected:
        return None
    listed = [user.index for user in end.listed if not choice.reasons or user.reason in choice.reasons]
    return Wish(record.audience, frozenset(listed)) if len(listed) == _rejected(end, choice) else everything


def _rejected(end: End, choice: Choice) -> int:
    """Return how many users were rejected for what was asked for; where the list has fewer, it was cut."""
    if not choice.reasons:
        return end.rejected
    return sum(count for reason, count in end.reasons if reason in choice.reasons)


@dataclass(slots=True, kw_only=True)
class Part:
    """What a replay sends to one account, and what it can't, as it is not in the log any more."""

    target: Target
    wishes: dict[Origin, Wish] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    users: list[int] = field(default_factory=list)
    """Of each record how many are sent."""
    whole: int = 0
    """Records that go whole, because the list of those who were rejected was cut."""
    gone: list[Chosen] = field(default_factory=list)
    removals: int = 0
    """Records that take users out."""
    removed: Sequence[AudienceBatch] = ()
    """A removal of each audience with removals, whether or not it is sent."""

    def add(self, record: Chosen, wish: Wish, choice: Choice) -> None:
        """Take in what is sent of one record."""
        self.wishes[record.origin] = wish
        self.batches.add(record.batch_id)
        self.users.append(record.users if wish.only is None else len(wish.only))
        self.removals += record.mode == "remove"
        self.whole += choice.only == "rejected" and wish.only is None


def part_for(target: Target, records: Iterable[Chosen], ends: Ends, choice: Choice, firsts: Sequence[int]) -> Part:
    """Return what goes to one account, in the order of the log; `firsts` are the log's first offsets."""
    part = Part(target=target)
    for record in sorted(records, key=lambda record: record.origin):
        wish = wish_for(record, ends.of(record.origin, target), choice)
        if wish is None or not target.is_meant_by(record.channels):
            continue
        if record.origin.offset < firsts[record.origin.partition]:
            part.gone.append(record)
        else:
            part.add(record, wish, choice)
    return part


def seconds_for(calls: int, longest: int, per_second: float | None, slots: int) -> float:
    """Estimate how long an account's part takes: so many calls, and so many records of the largest audience.

    Those go one after the other. `per_second` is what the platform's documented rates leave us, None for no limit.
    """
    by_rate = 0.0 if per_second is None else calls / per_second
    return max(by_rate, calls * CALL / slots, longest * CALL)
