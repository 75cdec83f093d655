"""What a platform did with the users of one record, over all tries: counts, and who is still open."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

from providers.kit.provider import Rejection, Removed, Sent
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.rows_per_call import RowGroup
from schemas.records import Progress, RejectedUser, Span

MAX_REJECTED_USERS = 1000
"""Rejected users that are listed; with 100 bytes each a completion stays far below a record's limit."""

MAX_REQUEST_IDS = 100

MAX_SPANS = 1000
"""Spans of open users that a pointer names, some five bytes each."""


@dataclass(slots=True)
class PlatformOutcome:
    """What a platform did with users; begins with what earlier tries came to."""

    accepted: int = 0
    matched: int | None = None
    removed: int | None = 0
    """Who left by calls of a removal; None once a call did not say, or an earlier try took some."""
    reasons: Counter[str] = field(default_factory=Counter)
    listed: dict[int, Rejection] = field(default_factory=dict)
    request_ids: list[str] = field(default_factory=list)
    _taken: list[Sequence[int]] = field(default_factory=list)
    """Indexes of the users in calls that were taken in this try."""
    _refused: dict[int, str] = field(default_factory=dict)
    """What each user that was refused in this try is counted under; where only a number is known, any of its call."""

    @classmethod
    def after(cls, progress: Progress | None) -> "PlatformOutcome":
        """Return what the tries before this one came to."""
        before = progress or Progress()
        return cls(
            accepted=before.accepted,
            matched=before.matched,
            removed=None if before.accepted else 0,
            reasons=Counter(before.rejected_reasons),
            listed={user.index: Rejection(user.field, user.reason) for user in before.rejected_users},
            request_ids=list(before.request_ids),
        )

    def refuse(self, index: int, rejection: Rejection) -> None:
        """Count a user whom the platform does not want."""
        self.reasons[reason_of(rejection)] += 1
        self._refused[index] = reason_of(rejection)
        if len(self.listed) < MAX_REJECTED_USERS:
            self.listed[index] = rejection

    def forget(self, rejection: Rejection) -> None:
        """Count nobody as rejected for this any more."""
        del self.reasons[reason_of(rejection)]
        self.listed = {index: one for index, one in self.listed.items() if one != rejection}

    def take(self, group: RowGroup, sent: Sent) -> None:
        """Count what the platform did with a call that it took."""
        for position, rejection in sent.rejected.items():
            self.refuse(group.indexes[position], rejection)
        others = (index for position, index in enumerate(group.indexes) if position not in sent.rejected)
        for rejection, count in sent.unplaced.items():
            self.reasons[reason_of(rejection)] += count
            self._refused.update((index, reason_of(rejection)) for _, index in zip(range(count), others, strict=False))
        self.accepted += len(group.rows) - len(sent.rejected) - sum(sent.unplaced.values())
        if sent.matched is not None:
            self.matched = (self.matched or 0) + sent.matched
        self.note_removed(sent)
        self.request_ids.extend(sent.request_ids)
        self._taken.append(group.indexes)

    def note_removed(self, sent: Sent) -> None:
        """Add who left by a call, if the platform says so of every call."""
        said = sent.removed if isinstance(sent, Removed) else None
        self.removed = None if self.removed is None or said is None else self.removed + said

    def progress(self, open_before: Sequence[Span], step: int, most: int = MAX_SPANS) -> Progress:
        """Return what the next try needs to know.

        Where too many spans are open, neighbours are joined. Those between them were settled in this try: they count
        as open again, which is harmless, as the platform keeps a set, and leaves every user counted once.
        """
        parts = [left(span, indexes) for span, indexes in self._by_span(open_before)]
        joined, gaps = join(parts, most, self._refused)
        for index in chain.from_iterable(range(gap.first, gap.first + gap.count) for gap in gaps):
            self._reopen(index)
        matched = None if self.matched is None else min(self.matched, self.accepted)
        return Progress(
            open=joined,
            step=step,
            accepted=self.accepted,
            matched=matched,
            rejected_users=[
                RejectedUser(index=index, field=rejection.field, reason=rejection.reason)
                for index, rejection in sorted(self.listed.items(), key=lambda item: item[0])
            ],
            rejected_reasons=dict(+self.reasons),
            request_ids=self.request_ids[:MAX_REQUEST_IDS],
        )

    def _by_span(self, spans: Sequence[Span]) -> Iterator[tuple[Span, list[int]]]:
        """Yield each span with the indexes in it that were settled in this try, in order."""
        settled = sorted({*chain.from_iterable(self._taken), *self._refused})
        start = 0
        for span in spans:
            end = start
            while end < len(settled) and settled[end] < span.first + span.count:
                end += 1
            yield span, settled[start:end]
            start = end

    def _reopen(self, index: int) -> None:
        reason = self._refused.pop(index, None)
        if reason is None:
            self.accepted -= 1
        else:
            self.reasons[reason] -= 1
            self.listed.pop(index, None)


def left(span: Span, indexes: Iterable[int]) -> list[Span]:
    """Return what is left of a span without these indexes of it, which are in order."""
    cuts = [span.first - 1, *indexes, span.first + span.count]
    return [Span(first=low + 1, count=high - low - 1) for low, high in pairwise(cuts) if high - low > 1]


def join(parts: Sequence[Sequence[Span]], most: int, dear: Collection[int]) -> tuple[list[Span], list[Span]]:
    """Return spans with neighbours of one part joined, so that there are at most so many, and the gaps that closed.

    The smallest gaps close first, before any that holds somebody who is dear.
    """
    gaps = [_gap(low, high) for part in parts for low, high in pairwise(part)]
    surplus = max(0, sum(map(len, parts)) - most)
    gaps.sort(key=lambda gap: (sum(index in dear for index in range(gap.first, gap.first + gap.count)), gap.count))
    closed = gaps[:surplus]
    firsts = {gap.first for gap in closed}
    joined: list[Span] = []
    for span in chain.from_iterable(parts):
        before = joined[-1] if joined else None
        if before is not None and before.first + before.count in firsts:
            joined[-1] = Span(first=before.first, count=span.first + span.count - before.first)
        else:
            joined.append(span)
    return joined, closed


def _gap(low: Span, high: Span) -> Span:
    first = low.first + low.count
    return Span(first=first, count=high.first - first)


@dataclass(frozen=True, slots=True)
class Within:
    """Whether an index lies in one of some spans, which are in order."""

    spans: Sequence[Span]

    def __contains__(self, index: object) -> bool:
        assert isinstance(index, int)  # noqa: S101 -- for the type checker
        place = bisect_right(self.spans, index, key=lambda span: span.first) - 1
        return place >= 0 and index < self.spans[place].first + self.spans[place].count
