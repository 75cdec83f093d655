"""Tells listeners what changed: read and rendered once for all that ask for the same."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ledger.view_updater import Following, ViewAwayError
from producer.events.change_log import Change, ChangeLog
from producer.events.listener import Listener
from producer.events.rendering import EventReader, mark, reset_event, with_ids
from producer.events.selection import Changes

MOMENT = 0.25
"""Seconds in which changes of one thing are one event."""

REST, LONGEST_REST = 3, 5.0
"""Times as long as reading took until it is done again, seconds at most: uploads need the processor meanwhile."""

AGAIN = 1.0
"""Seconds between looks at whether a view that is away is back."""

Group = tuple[str, int]
"""Listeners that ask for the same and have been told as much."""


@dataclass(slots=True, kw_only=True)
class Broadcast:
    """Who listens, and what they are to be told."""

    following: Following
    reader: EventReader
    changes: ChangeLog
    listeners: set[Listener] = field(default_factory=set, init=False)
    is_ending: bool = field(default=False, init=False)
    _has_missed: bool = field(default=False, init=False)
    """Whether the view was away, so that nobody knows what changed."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def take(self, batch_ids: Collection[str]) -> None:
        """Note that batches have changed in the view, or that it is being built anew."""
        self._look_at_view()
        for batch_id in () if self._has_missed else batch_ids:
            self.changes.note(Change("batch", batch_id))
        self._wake.set()

    def _look_at_view(self) -> None:
        """Note that changes are missed while the view is away or being built, and begin anew once it is back."""
        if not self.following.is_ready:
            self._has_missed = True
        elif self._has_missed:
            self._has_missed = False
            self.changes.begin_anew()

    def note(self, change: Change) -> None:
        """Note what changed elsewhere than in the view."""
        self.changes.note(change)
        self._wake.set()

    def add(self, listener: Listener) -> None:
        """Tell a listener from now on."""
        self.listeners.add(listener)
        self._wake.set()

    def count(self) -> int:
        """Return how many listen, after those whose connections are closed were let go."""
        for listener in [one for one in self.listeners if one.is_gone]:
            self.remove(listener)
        return len(self.listeners)

    def remove(self, listener: Listener) -> None:
        """Let a listener go."""
        listener.end()
        self.listeners.discard(listener)

    def asks_for_accounts(self) -> bool:
        """Tell whether anybody wants to know how accounts stand."""
        return any("account" in listener.chosen.kinds for listener in self.listeners)

    def end(self) -> None:
        """End all streams, and let no new one begin."""
        self.is_ending = True
        for listener in self.listeners:
            listener.end_now()

    async def run(self) -> None:
        """Tell of what changes, a moment after it does, without end."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._wake.wait()
            await asyncio.sleep(MOMENT)
            self._wake.clear()
            begun = clock()
            try:
                await self._catch_up()
            except ViewAwayError:
                self._has_missed = True
            if self._has_missed:
                await asyncio.sleep(AGAIN)
                self._wake.set()
            else:
                await asyncio.sleep(min(LONGEST_REST, REST * (clock() - begun)))

    async def _catch_up(self) -> None:
        """Send listeners what comes next for them, a reset where the view was away. Raises ViewAwayError."""
        self._look_at_view()
        groups = {} if self._has_missed else self._groups()
        if groups:
            await self._send(groups)

    def _groups(self) -> Mapping[Group, Sequence[Listener]]:
        """Return the listeners that have not been told all, by what they need."""
        groups: dict[Group, list[Listener]] = {}
        last = self.changes.last
        for listener in self.listeners:
            if listener.position < last:
                groups.setdefault((listener.key, listener.position), []).append(listener)
        return groups

    async def _send(self, groups: Mapping[Group, Sequence[Listener]]) -> None:
        """Send each group the next changes that it asks for.

        1. See what changed for each, and whose it is. 2. Choose for each. 3. Read and render what was chosen, once.
        4. Hand it to each. Raises ViewAwayError.
        """
        changes = await self._changes(groups)
        chosen = {
            group: since.chosen(listeners[0].chosen)
            for group, listeners in groups.items()
            if (since := changes[group[1]]) is not None
        }
        subjects = dict.fromkeys(subject for some, _ in chosen.values() for subject in some)
        events = await self.following.ask(lambda: self.reader.events(subjects)) if subjects else {}
        for group, listeners in groups.items():
            if group in chosen:
                some, position = chosen[group]
                self._offer(listeners, [events[one] for one in some if one in events], position)
            else:
                self._reset(listeners)

    async def _changes(self, groups: Mapping[Group, Sequence[Listener]]) -> Mapping[int, Changes | None]:
        """Return the changes since each position of these groups, None where it is too old. Raises ViewAwayError."""
        numbered = {position: self.changes.since(position) for position in {position for _, position in groups}}
        wanted = {position for (_, position), some in groups.items() if some[0].chosen.asks_for_batches}
        batches = {change for position in wanted for _, change in numbered[position] or () if change.kind == "batch"}
        records = await self.following.ask(lambda: self.reader.first_records(batches)) if batches else {}
        return {position: Changes(some, records) if some else None for position, some in numbered.items()}

    def _offer(self, listeners: Iterable[Listener], events: Sequence[bytes], position: int) -> None:
        """Hand events to listeners; who gets none for long gets the newest id, so as not to be taken for too old."""
        if position < self.changes.last:
            self._wake.set()
        newest, longest = self.changes.id_of(position), self.changes.most // 2
        chunks: dict[int, bytes] = {}
        for listener in listeners:
            listener.position, before = position, listener.marked
            if not events and position - before <= longest:
                continue
            if before not in chunks:
                chunks[before] = with_ids(events, self.changes.id_of(before), newest) if events else mark(newest)
            listener.marked = position
            listener.offer(chunks[before])

    def _reset(self, listeners: Iterable[Listener]) -> None:
        last = self.changes.last
        chunk = reset_event(self.changes.id_of(last), "too_old")
        for listener in listeners:
            listener.position = listener.marked = last
            listener.offer(chunk)
