"""Find whose the rows are that a platform refused of a shared call by number, without saying which."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.delivery.call_sharing.call_members import Member, by_member, spans_of
from providers.kit.provider import Rejection, Sent


@dataclass(frozen=True, slots=True)
class Placed:
    """What the platform did with the rows of one record, and how many of its call stay unplaced for good."""

    member: Member
    sent: Sent
    unplaced: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """Records whose rows the platform took in one call, and its answer."""

    members: Sequence[Member]
    sent: Sent


SendAgain = Callable[[Sequence[Member]], Awaitable[Answered | None]]
"""Sends rows once more that were taken, harmless as the platform keeps a set; None where that can't be done."""


async def placed(answered: Answered, send_again: SendAgain) -> list[Placed]:
    """Return what became of each record's rows, with counts placed by halves at the borders of records.

    A record that was sent by itself has its count for certain, as if it had never shared a call. Where a half can't be
    sent again, nobody is guessed at: its rows count as accepted, and each record of it is given the number.
    """
    members, sent = answered.members, answered.sent
    if len(members) == 1:
        return [Placed(members[0], sent)]
    own = by_member(members, sent)
    if not sent.unplaced:
        return [Placed(member, part) for member, part in zip(members, own, strict=True)]
    if _are_all_refused(answered):
        (reason,) = sent.unplaced
        counts = [len(member.rows.rows) - len(part.rejected) for member, part in zip(members, own, strict=True)]
        return [
            Placed(member, _with_count(part, {reason: count} if count else {}))
            for member, part, count in zip(members, own, counts, strict=True)
        ]
    return await _by_halves(answered, send_again)


async def _by_halves(answered: Answered, send_again: SendAgain) -> list[Placed]:
    first, second = _halves(answered)
    again = await send_again(first.members)
    if again is None:
        return _unplaced(answered, sum(answered.sent.unplaced.values()))
    found = await placed(_behind(answered, again), send_again)
    rest = _what_is_left(answered, first, second, again)
    if rest is None:
        rest = await send_again(second.members)
        if rest is None:
            left = refused_of(answered.sent) - refused_of(again.sent) - len(second.sent.rejected)
            return [*found, *_unplaced(second, max(0, left))]
        rest = _behind(answered, rest)
    return [*found, *await placed(rest, send_again)]


def _behind(answered: Answered, again: Answered) -> Answered:
    """Return a later answer with the ids of all calls that carried the rows."""
    ids = [*answered.sent.request_ids, *again.sent.request_ids]
    return Answered(again.members, replace(again.sent, request_ids=ids))


def refused_of(sent: Sent) -> int:
    """Return how many rows of a call the platform refused."""
    return len(sent.rejected) + sum(sent.unplaced.values())


def _what_is_left(answered: Answered, first: Answered, second: Answered, again: Answered) -> Answered | None:
    """Return what the second half's own answer would be, None where only the platform can tell."""
    if len(again.members) < len(first.members):
        return None  # who has left since took an unknown number along
    left = refused_of(answered.sent) - refused_of(again.sent)
    if left == len(second.sent.rejected):
        return second
    if not refused_of(again.sent) and not first.sent.rejected:
        return Answered(second.members, _with_count(second.sent, answered.sent.unplaced))
    return None


def _halves(answered: Answered) -> tuple[Answered, Answered]:
    """Return both halves with the rows that the platform named, and without any number."""
    members, sent = answered.members, answered.sent
    middle = len(members) // 2
    border = sum(len(member.rows.rows) for member in members[:middle])
    low = {position: why for position, why in sent.rejected.items() if position < border}
    high = {position - border: why for position, why in sent.rejected.items() if position >= border}
    return (
        Answered(members[:middle], Sent(rejected=low, request_ids=sent.request_ids)),
        Answered(members[middle:], Sent(rejected=high, request_ids=sent.request_ids)),
    )


def _with_count(sent: Sent, unplaced: Mapping[Rejection, int]) -> Sent:
    return Sent(rejected=sent.rejected, unplaced=unplaced, request_ids=sent.request_ids)


def _are_all_refused(answered: Answered) -> bool:
    """Tell whether no row was taken, and all for one reason but those that are named."""
    rows = sum(len(span) for _, span in spans_of(answered.members))
    return len(answered.sent.unplaced) == 1 and refused_of(answered.sent) == rows


def _unplaced(answered: Answered, count: int) -> list[Placed]:
    own = by_member(answered.members, answered.sent)
    return [Placed(member, part, count) for member, part in zip(answered.members, own, strict=True)]
