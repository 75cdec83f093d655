"""Whose turn it is among the records of a partition, as the event loop meets them."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from consumer.ordering.account_order import AccountOrder
from consumer.ordering.log_position import Verb
from consumer.ordering.standing import NEVER
from consumer.ordering.turns import Rest, Turns
from consumer.records.open_removals import OpenRemovals
from streams.read.consumer_thread import Assignment, Record


@dataclass(slots=True, eq=False, kw_only=True)
class Lane:
    """The records of one audience and partition, and those that wait for their turn."""

    turns: Turns
    audience: str
    partition: int
    clock: Callable[[], float]
    waiting: "dict[int, asyncio.Future[int | None]]" = field(default_factory=dict)

    def decide(self) -> None:
        """Wake those about which it is decided: by None who may go, by a removal's offset who is to go behind that."""
        if not self.waiting:
            return
        now = self.clock()
        decided = self.turns.decide(now)
        for offset in decided.go:
            self._release(offset, None)
        for offset, behind in decided.postpone.items():
            self._release(offset, behind)
        if decided.ask_at is not None:
            asyncio.get_running_loop().call_later(max(0.01, decided.ask_at - now), self.decide)

    def _release(self, offset: int, behind: int | None) -> None:
        waiter = self.waiting.pop(offset, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(behind)

    def end(self) -> None:
        """Let all go: the partition is another process's, as they find out."""
        for offset in list(self.waiting):
            self._release(offset, None)


@dataclass(slots=True, eq=False, kw_only=True)
class Turn:
    """The turn of one record of the log that is in flight."""

    lane: Lane
    offset: int
    verb: Verb
    waits: "asyncio.Future[int | None] | None"
    go_on: Callable[[Lane], None]
    """Decides about the others once this one has ended or was postponed."""

    async def come(self) -> int | None:
        """Return when it is this one's turn; the offset of the removal behind which it is to be postponed, if any."""
        return None if self.waits is None else await self.waits

    def goes_again(self) -> bool:
        """Tell whether, begun now, it is to go once more, as calls of a dead process may come after it."""
        return self.verb == "remove" and self.seconds_of_dead() > 0

    def seconds_of_dead(self) -> float:
        """Return for how long calls of a dead process may still take effect."""
        return max(0.0, self.lane.turns.calls_of_dead_until - self.lane.clock())

    def begun(self) -> None:
        """Note that its calls begin, all of them."""
        self.lane.turns.begun(self.offset, self.lane.clock())

    def cut(self, until: float) -> None:
        """Note until when calls may take effect that ended without an answer."""
        if until > NEVER:
            self.lane.turns.cut(self.offset, until)

    def rest(self) -> Rest | None:
        """Return what it waits for before it has ended, None for nothing."""
        return self.lane.turns.rest(self.offset, self.lane.clock())

    def ended(self) -> None:
        """Note that it is through, and finished."""
        self.lane.turns.ended(self.offset, self.lane.clock())
        self.go_on(self.lane)

    def postponed(self) -> None:
        """Note that its pointer is acknowledged, and its offset finished."""
        self.lane.turns.postponed(self.offset, self.verb, self.lane.clock())
        self.go_on(self.lane)


@dataclass(slots=True, kw_only=True)
class AudienceOrder:
    """The turns of all partitions that an account's process holds.

    An audience is named as its platform names it. What nobody needs to know any more is let go of.
    """

    open_removals: OpenRemovals
    clock: Callable[[], float]
    longest_call: float
    """Seconds for which calls of whoever held a partition before may take effect."""
    _order: AccountOrder = field(default_factory=AccountOrder)
    _lanes: dict[int, dict[str, Lane]] = field(default_factory=dict)
    _assignments: dict[int, Assignment] = field(default_factory=dict)
    _calls_until: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open_removals.states.removals.listen(self.look_elsewhere)

    async def know(self, records: Collection[Record]) -> None:
        """Take up what is to be known of the partitions of records, before the first of an assignment is met."""
        found = {one.assignment for one in records if one.assignment is not None}
        fresh = [one for one in found if self._assignments.get(one.partition) is not one]
        if fresh:
            await self.open_removals.caught_up()
        for one in fresh:
            await self.open_removals.close_before(one.partition, one.first_offset)

    def met(self, record: Record, audience: str, verb: Verb) -> Turn:
        """Take a record up that is held; to be called in the order of the log, before anything is waited for."""
        self.begin(record.assignment)
        lane = self._lane(record.origin.partition, audience)
        offset = record.origin.offset
        is_free = lane.turns.met(offset, verb)
        waits = None
        if not is_free:
            waits = lane.waiting[offset] = asyncio.get_running_loop().create_future()
            lane.decide()
        return Turn(lane=lane, offset=offset, verb=verb, waits=waits, go_on=self._go_on)

    def begin(self, assignment: Assignment | None) -> None:
        """Begin a partition anew with the first record of an assignment."""
        if assignment is None or self._assignments.get(assignment.partition) is assignment:
            return
        partition = assignment.partition
        self._forget(partition)
        now = self.clock()
        until = NEVER if assignment.is_clean else now + self.longest_call
        self._assignments[partition], self._calls_until[partition] = assignment, until
        self._order.assigned(partition, until)
        for offset, audience in self.open_removals.of(partition).items():
            self._lane(partition, audience).turns.postponed(offset, "remove", now)

    def calls_until(self, record: Record) -> float:
        """Return until when calls may take effect that a process before us made for a record; NEVER for none."""
        assignment = record.assignment
        if assignment is None or record.origin.offset >= assignment.end:
            return NEVER
        return self._calls_until.get(assignment.partition, NEVER)

    def given_up(self, assignments: Collection[Assignment]) -> None:
        """Forget partitions, which are another process's; whoever waits finds that out."""
        for assignment in assignments:
            if self._assignments.get(assignment.partition) is assignment:
                self._forget(assignment.partition)

    def _forget(self, partition: int) -> None:
        self._assignments.pop(partition, None)
        self._calls_until.pop(partition, None)
        self._order.given_up(partition)
        for lane in self._lanes.pop(partition, {}).values():
            lane.end()

    def stop(self) -> None:
        """Let all go who wait: in our process none of them is begun any more."""
        for lanes in self._lanes.values():
            for lane in lanes.values():
                lane.end()

    def look_elsewhere(self) -> None:
        """Let go on who waits for removals that have ended, wherever that was."""
        for lanes in self._lanes.values():
            for lane in list(lanes.values()):
                self._look_elsewhere(lane)

    def _look_elsewhere(self, lane: Lane) -> None:
        if not (waited_for := lane.turns.ends_elsewhere()):
            return
        if ended := waited_for.difference(self.open_removals.of(lane.partition)):
            for offset in ended:
                lane.turns.ended_elsewhere(offset)
            lane.decide()

    def _lane(self, partition: int, audience: str) -> Lane:
        lanes = self._lanes.setdefault(partition, {})
        lane = lanes.get(audience)
        if lane is None:
            turns = self._order.turns(audience, partition)
            lane = lanes[audience] = Lane(turns=turns, audience=audience, partition=partition, clock=self.clock)
        return lane

    def _go_on(self, lane: Lane) -> None:
        """See to those that wait in a lane; forget it where nothing of it needs to be known."""
        self._look_elsewhere(lane)
        lane.decide()
        lanes = self._lanes.get(lane.partition, {})
        if lanes.get(lane.audience) is lane and lane.turns.is_idle(self.clock()):
            del lanes[lane.audience]
            self._order.let_go(lane.audience, lane.partition, self.clock())
