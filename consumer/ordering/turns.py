"""Whose turn it is among the records of one audience: additions go side by side, a removal goes alone."""

from dataclasses import dataclass, field

from consumer.ordering.log_position import Verb

_NEVER = float("-inf")


@dataclass(slots=True, kw_only=True)
class Decided:
    """What is decided of the records that wait: which go, and which are to be postponed, with the removal before each.

    `ask_at` is when time alone will change the answer, None where only the end of another record can.
    """

    go: list[int] = field(default_factory=list)
    postpone: dict[int, int] = field(default_factory=dict)
    ask_at: float | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when a record waits that has been sent, before it has ended; and whether it is sent once more then."""

    until: float
    is_again: bool


@dataclass(slots=True)
class _Record:
    verb: Verb
    is_going: bool = False
    begun_at: float = _NEVER
    doubtful_until: float = _NEVER


@dataclass(slots=True)
class Turns:
    """The records of one audience and partition that one process has in flight. Each is named by its offset.

    An addition goes when no earlier removal is open. A removal goes when nothing earlier is in flight, is being done by
    a job of the platform, or may still take effect, as a call may that ended without an answer. What is later than
    a removal that is postponed is to be postponed, too. Of removals that others postponed it learns by `postponed`.

    Times are the caller's clock. Where the caller is told to wait, it asks `decide` again when a record has ended
    or was postponed, and at `ask_at`.
    """

    calls_of_dead_until: float = _NEVER
    """Until when calls may take effect of whoever held the partition and did not leave it in order."""

    _records: dict[int, _Record] = field(default_factory=dict)
    _waiting: set[int] = field(default_factory=set)
    _removals: set[int] = field(default_factory=set)
    """Removals in flight."""
    _postponed: set[int] = field(default_factory=set)
    """Removals that are postponed and have not ended."""
    _jobs: set[int] = field(default_factory=set)
    """Additions that are postponed while the platform has a job to do of them."""
    _doubtful: dict[int, float] = field(default_factory=dict)
    """Additions that are not in flight, and until when they may take effect all the same."""

    def met(self, offset: int, verb: Verb) -> bool:
        """Take a record up, for the first time or by its pointer; True where it may go at once."""
        self._records[offset] = record = _Record(verb, doubtful_until=self._doubtful.pop(offset, _NEVER))
        self._postponed.discard(offset)
        if verb == "remove":
            self._removals.add(offset)
        elif not self._removals and not self._postponed:
            record.is_going = True
            return True
        self._waiting.add(offset)
        return False

    def decide(self, now: float) -> Decided:
        """Decide which of the records that wait go, and count as going from now on, and which are to be postponed."""
        decided = Decided()
        behind = min(self._postponed, default=None)
        for offset in sorted(self._waiting):
            if behind is not None and behind < offset:
                decided.postpone[offset] = behind
            elif min(self._removals, default=offset) < offset:
                if behind is None:
                    break  # all others are behind the same removal
            elif self._records[offset].verb == "add" or self._is_first(offset, now, decided):
                self._waiting.discard(offset)
                self._records[offset].is_going = True
                decided.go.append(offset)
        return decided

    def _is_first(self, removal: int, now: float, decided: Decided) -> bool:
        """Tell whether nothing earlier can take effect any more; note when to ask again where only time is missing."""
        if any(offset < removal for offset in self._records) or any(job < removal for job in self._jobs):
            return False
        until = max((until for offset, until in self._doubtful.items() if offset < removal), default=_NEVER)
        if until > now:
            decided.ask_at = until
        return until <= now

    def begun(self, offset: int, now: float) -> None:
        """Note that a record's calls begin, for the first time or all of them again."""
        self._records[offset].begun_at = now

    def cut(self, offset: int, until: float) -> None:
        """Note that a call ended without an answer: it may take effect until then."""
        record = self._records[offset]
        record.doubtful_until = max(record.doubtful_until, until)

    def rest(self, offset: int, now: float) -> Rest | None:
        """Return what a record whose calls have passed waits for before it has ended; None for nothing.

        A removal that began while calls of a dead process could take effect is sent again when they no longer can. It
        has not ended, either, while a call of its own may take effect: that would meet who is added after it.
        """
        record = self._records[offset]
        if record.verb == "add":
            return None
        if record.begun_at < self.calls_of_dead_until:
            return Rest(self.calls_of_dead_until, is_again=True)
        return Rest(record.doubtful_until, is_again=False) if record.doubtful_until > now else None

    def ended(self, offset: int, now: float) -> None:
        """Let go of a record that is through, delivered or failed for good: its offset is finished before.

        Otherwise a later one may be committed without it, and it would be done again after that.
        """
        self.ended_elsewhere(offset)
        self._put_down(offset, now)

    def ended_elsewhere(self, offset: int) -> None:
        """Note that a postponed record has ended in the process that had its pointer."""
        self._postponed.discard(offset)
        self._jobs.discard(offset)

    def postponed(self, offset: int, verb: Verb, now: float, *, has_job: bool = False) -> None:
        """Let go of a record whose pointer is acknowledged, or note such a pointer when a partition is taken over.

        A removal keeps later records waiting by pointer until it has ended; an addition keeps removals waiting only
        while the platform has a job to do of it.
        """
        if verb == "remove":
            self._postponed.add(offset)
        elif has_job:
            self._jobs.add(offset)
        self._put_down(offset, now)

    def _put_down(self, offset: int, now: float) -> None:
        record = self._records.pop(offset, None)
        self._waiting.discard(offset)
        self._removals.discard(offset)
        if self._doubtful:
            self._doubtful = {place: until for place, until in self._doubtful.items() if until > now}
        if record is not None and record.verb == "add" and record.doubtful_until > now:
            self._doubtful[offset] = record.doubtful_until

    def ends_elsewhere(self) -> frozenset[int]:
        """Return the postponed records that others wait for: `ended_elsewhere` is to be called when they have ended."""
        return frozenset(self._postponed | self._jobs)

    def is_quiet(self, now: float) -> bool:
        """Tell whether nothing can take effect any more, of this process or of one before it: then it leaves in order.

        Who takes over from one that did not leave in order sends removals twice.
        """
        is_over = self.calls_of_dead_until <= now
        return is_over and not self._records and all(until <= now for until in self._doubtful.values())

    def is_idle(self, now: float) -> bool:
        """Tell whether there is nothing to remember, so that this can be thrown away."""
        return self.is_quiet(now) and not self._postponed and not self._jobs
