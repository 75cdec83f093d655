"""The records that share one call: each one's rows, and what of the call's end is its own."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from consumer.delivery.outcome import Outcome
from consumer.retries.account_gate import Caller, End, GivenUpError
from providers.kit.call_limits import Limits
from providers.kit.current_record import CurrentRecord
from providers.kit.pre_send_checks import PreSendCheck
from providers.kit.provider import Rejection, Sent
from providers.kit.rows.rows_per_call import RowGroup

MOST_RECORDS = 1000
"""Records of one call: they are cut apart at once, and each may have to be sent by itself."""

ErrorT = TypeVar("ErrorT", bound=Exception)


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """Rows of one record that wait for a call, or are in one, until it is told how that ended.

    Whoever waits for `ended` may be cancelled. Then the member has left, as has one that is not wanted any more.
    """

    caller: Caller
    rows: RowGroup
    outcome: Outcome
    place: int
    """Of the record in its partition: its offset."""
    current: CurrentRecord | None
    """The record as a provider meets it."""
    looks: tuple[PreSendCheck, ...] = ()
    """What is asked before the bytes of a call go, besides whether the record is wanted."""
    since: float
    """When it came, by the clock of the calls."""
    waited: float = 0.0
    """Seconds of that which it waited at the gate."""
    ended: "asyncio.Future[End[Sent]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def has_left(self) -> bool:
        """Whether nobody waits for how the call ends."""
        return self.ended.done()

    def resolve(self, end: End[Sent]) -> None:
        """Tell how the call ended."""
        if not self.ended.done():
            self.ended.set_result(end)

    def leave(self, why: Exception) -> None:
        """Let the call go without it, and its record end by an error."""
        if not self.ended.done():
            self.ended.set_exception(why)

    def stays(self) -> bool:
        """Tell whether it is still wanted; one that is not leaves."""
        if not self.has_left and not self.caller.is_wanted():
            self.leave(GivenUpError())
        return not self.has_left

    async def look(self) -> None:
        """Let it leave where something speaks against the call whose bytes are about to go."""
        try:
            for look in self.looks:
                await look()
        except Exception as error:
            self.leave(error)


def size_of(rows: Iterable[msgspec.Raw]) -> int:
    """Return the bytes of rows in a body, with the commas between them."""
    return sum(len(row) + 1 for row in rows)


def leaves_room(rows: RowGroup, limits: Limits) -> bool:
    """Tell whether rows fill at most half of a call: to share a fuller one would spare little."""
    return 2 * len(rows.rows) <= limits.rows and 2 * size_of(rows.rows) <= limits.body


def fitting(waiting: Iterable[Member], limits: Limits, most: int = MOST_RECORDS) -> Iterator[Member]:
    """Yield the first of those that wait which fit in one call together; the very first one in any case."""
    records = rows = size = 0
    for member in waiting:
        most = min(most, member.caller.most_records or most)
        records, rows, size = records + 1, rows + len(member.rows.rows), size + size_of(member.rows.rows)
        if records > 1 and (records > most or rows > limits.rows or size > limits.body):
            return
        yield member


def rows_of(members: Iterable[Member]) -> list[msgspec.Raw]:
    """Return the rows of a call."""
    return [row for member in members for row in member.rows.rows]


def spans_of(members: Iterable[Member]) -> Iterator[tuple[Member, range]]:
    """Yield each record of a call with the positions of its rows."""
    start = 0
    for member in members:
        end = start + len(member.rows.rows)
        yield member, range(start, end)
        start = end


def by_member(members: Sequence[Member], sent: Sent) -> list[Sent]:
    """Return what the platform did with the rows of each record, without what it placed nowhere."""
    found = rejected_by_member(members, sent.rejected)
    return [Sent(rejected=rejected, request_ids=sent.request_ids) for rejected in found]


def rejected_by_member(members: Sequence[Member], rejected: Mapping[int, Rejection]) -> list[dict[int, Rejection]]:
    """Return the rejections of each record, by the positions of its own rows."""
    found: list[dict[int, Rejection]] = []
    positions = deque(sorted(rejected))
    for _, span in spans_of(members):
        own: dict[int, Rejection] = {}
        while positions and positions[0] < span.stop:
            position = positions.popleft()
            own[position - span.start] = rejected[position]
        found.append(own)
    return found


def own_copy(error: ErrorT) -> ErrorT:
    """Return an error as one record's own, without the frames that raised it."""
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    return own
