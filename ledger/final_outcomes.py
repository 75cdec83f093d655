"""The last word on a record: what all deliveries of it to one account, live and replayed, amount to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, combinations, groupby
from operator import attrgetter

from msgspec import structs

from ledger.states.rule import EndCounts
from ledger.view import EndRow

SUCCESSES = frozenset({"delivered", "partial", "skipped"})

LONG_AGO = datetime.min.replace(tzinfo=UTC)

MOST_WORDS = 8
"""Different reasons that are looked at in all combinations."""

Standing = Mapping[str, Mapping[str, int]]
"""Of each delivery the reasons for which users that it rejected are rejected still, and how many."""


def added_up(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts by their names."""
    total: dict[str, int] = {}
    for some in counts:
        for name, count in some.items():
            total[name] = total.get(name, 0) + count
    return {name: count for name, count in total.items() if count > 0}


@dataclass(frozen=True, slots=True)
class LastWord:
    """How a record stands, and which of the rejections that completions list stand."""

    end: EndRow
    standing: Standing

    def stands(self, delivery: str, reason: str) -> bool:
        """Tell whether a user that this delivery rejected for this reason, `field: reason`, is rejected still."""
        return reason in self.standing.get(delivery, ())


def last_words(ends: Iterable[EndRow]) -> list[LastWord]:
    """Return the last word of each account on each record."""
    place = attrgetter("origin", "target")
    return [last_word(list(some)) for _, some in groupby(sorted(ends, key=place), key=place)]


def counted(ends: Sequence[EndRow]) -> EndCounts:
    """Return what the last words of one account amount to."""
    return EndCounts(
        words=len(ends),
        failed=sum(end.status == "failed" for end in ends),
        retrying=sum(end.status == "retrying" for end in ends),
        skipped=sum(end.status == "skipped" for end in ends),
        in_vain=sum(end.is_in_vain for end in ends),
        with_rejected=sum(end.rejected > 0 for end in ends),
    )


def last_word(ends: Sequence[EndRow]) -> LastWord:
    """Return what the deliveries of one record to one account, at least one, amount to.

    A success by any of them settles the record. Of several the last that sent all its users counts, and those after
    it that sent some again, which were among the rejected ones. Without any, a live delivery that goes on counts,
    else the last failure.
    """
    first, *again = _that_count(ends)
    word = LastWord(first, {first.delivery: first.reasons})
    for end in again:
        word = _added(word, end)
    return word


def _that_count(ends: Sequence[EndRow]) -> Sequence[EndRow]:
    if len(ends) == 1:
        return ends
    successes = sorted((end for end in ends if end.status in SUCCESSES), key=_order)
    if not successes:
        return [max(ends, key=lambda end: (_goes_on(end), end.status == "failed", _order(end)))]
    all_users = max(end.received for end in successes)
    newest = max(number for number, end in enumerate(successes) if end.received == all_users)
    return successes[newest:]


def _goes_on(end: EndRow) -> bool:
    return end.delivery == "live" and end.status == "retrying"


def _order(end: EndRow) -> tuple[bool, datetime, str]:
    return end.status != "skipped", end.finished_at or LONG_AGO, end.delivery


def _added(word: LastWord, again: EndRow) -> LastWord:
    """Return the word with what came of some of its rejected users when they were sent again."""
    before = word.end
    left = {} if again.received >= before.rejected else _without(word.standing, again.received)
    standing = {**left, again.delivery: again.reasons}
    rejected = max(0, before.rejected - again.received) + again.rejected
    ends = (before, again)
    matched = [end.matched for end in ends if end.matched is not None]
    end = structs.replace(
        again,
        received=before.received,
        status="partial" if rejected else "delivered",
        accepted=before.accepted + again.accepted,
        rejected=rejected,
        matched=sum(matched) if matched else None,
        reasons=added_up(standing.values()),
        repaired=added_up([before.repaired, again.repaired]),
        dropped=added_up([before.dropped, again.dropped]),
        removed=sum(removed) if (removed := [end.removed for end in ends if end.removed is not None]) else None,
        superseded=sum(end.superseded for end in ends),
        other_identifiers_unknown=sum(end.other_identifiers_unknown for end in ends),
        shared_calls=tuple(dict.fromkeys(call for end in ends for call in end.shared_calls)),
        shared_unplaced=sum(end.shared_unplaced for end in ends),
    )
    return LastWord(end, standing)


def _without(standing: Standing, users: int) -> Standing:
    """Return what stands when so many users were sent again, all that were rejected for some of the reasons.

    For which only the count tells; where it fits several choices of them, nobody is taken for sent again.
    """
    reasons_of_all = added_up(standing.values())
    words = added_up({_word(reason): count} for reason, count in reasons_of_all.items())
    sizes = range(1, len(words) + 1) if len(words) <= MOST_WORDS else range(1, 2)
    choices = chain.from_iterable(combinations(words, size) for size in sizes)
    found = [set(choice) for choice in choices if sum(words[word] for word in choice) == users]
    if len(found) != 1:
        return standing
    return {
        delivery: {reason: count for reason, count in reasons.items() if _word(reason) not in found[0]}
        for delivery, reasons in standing.items()
    }


def _word(reason: str) -> str:
    return reason.rpartition(": ")[2]
