"""One call that records of one audience may share, from its waiting to its end."""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain

from consumer.delivery.call_sharing.call_members import Member, fitting, own_copy
from consumer.retries.account_gate import Caller, End
from providers.kit.call_limits import Limits
from providers.kit.current_record import CurrentRecord
from providers.kit.errors import PlatformError
from providers.kit.provider import Sent
from schemas.records import AudienceType


@dataclass(frozen=True, slots=True)
class Key:
    """What calls must have in common to be one: all but their rows."""

    partition: int | None
    """Of the log: a removal there waits for all earlier records of its own partition."""
    name: str
    type: AudienceType


class SomebodyLeftError(Exception):
    """A record left the call before its bytes went: it is made anew of the others."""


@dataclass(slots=True, eq=False)
class Line:
    """The records of one key that wait. At most one of its calls has bytes that have not gone."""

    key: Key
    queue: deque[Member] = field(default_factory=deque)
    has_waiting_call: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class SharedCall:
    """One call, from its waiting to its end."""

    key: Key
    members: list[Member] = field(default_factory=list)
    line: Line | None = None
    """Whose queue it is formed of, None for one of records that were in a call before."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    has_gone: bool = False
    """Whether bytes of it have gone, so that nobody can be left out any more."""
    waited: float = 0.0
    """Seconds of waiting at the gate that its records were excused."""
    turn: asyncio.TimerHandle | None = None
    """Set while it is the one that is formed, and its bytes have not gone; lets others at last."""

    @property
    def is_shared(self) -> bool:
        return len(self.members) > 1

    @property
    def current(self) -> CurrentRecord:
        """The record that it counts as: the first one of the log, as a removal behind any of them waits for its job."""
        first = min(self.members, key=lambda member: member.place)
        return first.current or CurrentRecord(id="")

    def callers(self) -> Iterable[Caller]:
        """Return the records that it is for, as far as is known."""
        members = self.members or (self.line.queue if self.line else ())
        return (member.caller for member in members if not member.has_left)

    def form(self, limits: Limits) -> None:
        """Have those in it who have not left, and those who wait as far as they fit in."""
        if self.has_gone:
            return
        self.members = [member for member in self.members if not member.has_left]
        if self.line is None:
            return
        queue, stayed = self.line.queue, len(self.members)
        waiting = (member for member in queue if not member.has_left)
        self.members = list(fitting(chain(self.members, waiting), limits))
        joined = set(self.members[stayed:])
        while queue and (queue[0].has_left or queue[0] in joined):
            queue.popleft()

    def excuse(self, waited: float, now: float) -> None:
        """Note how long its records, and those in the queue behind it, have waited at the gate: no fault of theirs.

        `waited` counts all seconds that the call has waited there. It may have been sent back to wait once more, so
        only those since the last time are added; and to no record more seconds than it has been there.
        """
        more, self.waited = waited - self.waited, waited
        for member in (*self.members, *(self.line.queue if self.line else ())):
            member.waited += min(more, now - member.since)

    def note_shared(self) -> None:
        """Have the completions of its records name it."""
        if self.is_shared:
            for member in self.members:
                member.outcome.note_shared(self.id)

    def fail_all(self, end: End[Sent]) -> None:
        """Tell each of its records that it failed, by an error of its own."""
        for member in self.members:
            error = own_copy(end.error) if isinstance(end.error, PlatformError) else end.error
            member.resolve(replace(end, error=error, records=len(self.members), waited=member.waited))

    def leave_all(self, why: Exception) -> None:
        """Let all of its records end by an error."""
        for member in self.members:
            member.leave(why)
