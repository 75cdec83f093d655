"""Tells listeners what changed: read and rendered once for all that ask for the same."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ledger.view_updater import Following, ViewAwayError
from producer.events.change_log import Change, ChangeLog
from producer.events.event_filter import EventFilter
from producer.events.listener import Listener
from producer.events.listener_index import ListenerIndex
from producer.events.rendering import EventReader, mark, reset_event, with_ids
from producer.events.selection import Changes

MOMENT = 0.5
"""Seconds in which changes of one thing are one event."""

REST, LONGEST_REST = 3, 5.0
"""Times as long as reading took until it is done again, seconds at most: uploads need the processor meanwhile."""

AGAIN = 1.0
"""Seconds between looks at whether a view that is away is back."""

Group = tuple[EventFilter, int]
"""Listeners that ask for the same and have been told as much."""


@dataclass(slots=True, kw_only=True)
class Broadcast:
    """Who listens, and what they are to be told."""

    following: Following
    reader: EventReader
    changes: ChangeLog
    listeners: set[Listener] = field(default_factory=set, init=False)
    position: int = field(default=0, init=False)
    """Up to which change all have been told that are not behind."""
    is_ending: bool = field(default=False, init=False)
    _has_missed: bool = field(default=False, init=False)
    """Whether the view was away, so that nobody knows what changed."""
    _current: ListenerIndex = field(default_factory=ListenerIndex, init=False)
    _behind: set[Listener] = field(default_factory=set, init=False)
    """Those that have been told less, and those that have just come."""
    _oldest_mark: int = field(default=0, init=False)
    """No listener has an older id than this one's."""
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
        self._behind.add(listener)
        self._oldest_mark = min(self._oldest_mark, listener.marked)
        self._wake.set()

    def is_full(self, most: int) -> bool:
        """Tell whether so many listen, after those whose connections are closed were let go."""
        if len(self.listeners) >= most:
            for listener in [one for one in self.listeners if one.is_gone]:
                self.remove(listener)
        return len(self.listeners) >= most

    def remove(self, listener: Listener) -> None:
        """Let a listener go."""
        listener.end()
        self.listeners.discard(listener)
        self._behind.discard(listener)
        self._current.discard(listener)

    def asks_for_accounts(self) -> bool:
        """Tell whether anybody wants to know how accounts stand."""
        return any(listener.chosen.asks_for_accounts for listener in self.listeners)

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
        if not self._has_missed and (self._behind or self.position < self.changes.last):
            await self._send(self.changes.last)

    async def _send(self, last: int) -> None:
        """Tell of changes up to a number.

        1. See what changed for each, and whose it is. 2. Find who may ask for that: nobody else is looked at. 3. Choose
        for each. 4. Read and render what was chosen, once. 5. Hand it to each. Raises ViewAwayError.
        """
        changes = await self._changes(self._positions() - {last})
        groups = self._groups(changes)
        chosen = {group: since.chosen(group[0]) for group in groups if (since := changes[group[1]]) is not None}
        subjects = dict.fromkeys(subject for some, _ in chosen.values() for subject in some)
        events = await self.following.ask(lambda: self.reader.events(subjects)) if subjects else {}
        for group, listeners in groups.items():
            if group in chosen:
                some, position = chosen[group]
                self._offer(listeners, [events[one] for one in some if one in events], position)
            else:
                self._reset(listeners)
        self._settle(last, chain.from_iterable(groups.values()))
        self._mark_idle()

    def _positions(self) -> set[int]:
        """Return up to which numbers listeners have been told."""
        current = (self.position,) if self._current else ()
        return {*current, *(listener.position for listener in self._behind)}

    async def _changes(self, positions: Iterable[int]) -> Mapping[int, Changes | None]:
        """Return the changes since each position, None where it is too old. Raises ViewAwayError."""
        numbered = {position: self.changes.since(position) for position in positions}
        filters = chain(self._current.filters(), (listener.chosen for listener in self._behind))
        asked = numbered if any(chosen.asks_for_batches for chosen in filters) else ()
        batches = {change for position in asked for _, change in numbered[position] or () if change.kind == "batch"}
        records = await self.following.ask(lambda: self.reader.first_records(batches)) if batches else {}
        return {position: Changes(some, records) if some else None for position, some in numbered.items()}

    def _groups(self, changes: Mapping[int, Changes | None]) -> Mapping[Group, Sequence[Listener]]:
        """Return the listeners that these changes may be for, by what they ask for and have been told."""
        groups: defaultdict[Group, list[Listener]] = defaultdict(list)
        for listener in self._behind:
            if listener.position in changes:
                groups[listener.chosen, listener.position].append(listener)
        if self.position in changes:
            since = changes[self.position]
            for chosen, listeners in self._current.everybody() if since is None else self._current.of(since.keys):
                groups[chosen, self.position] += listeners
        return groups

    def _settle(self, position: int, listeners: Iterable[Listener]) -> None:
        """Note that all are told up to a number but those that are sent more, or came meanwhile."""
        self.position = position
        for listener in self.listeners.intersection(chain(listeners, self._behind)):
            if listener.position == position:
                self._behind.discard(listener)
                self._current.add(listener)
            else:
                self._current.discard(listener)
                self._behind.add(listener)
        if self._behind:
            self._wake.set()

    def _mark_idle(self) -> None:
        """Send those that got nothing for long the newest id, so that they are not taken for too old.

        Few changes go without anybody being looked at, many with everybody once.
        """
        longest = self.changes.most // 2
        if self.position - self._oldest_mark <= longest:
            return
        chunk = mark(self.changes.id_of(self.position))
        for _, listeners in self._current.everybody():
            for listener in listeners:
                if self.position - listener.marked > longest // 2:
                    listener.marked = self.position
                    listener.offer(chunk)
        self._oldest_mark = min((listener.marked for listener in self.listeners), default=self.position)

    def _offer(self, listeners: Iterable[Listener], events: Sequence[bytes], position: int) -> None:
        """Hand events to listeners, with the id from which each would have gone on before them."""
        newest = self.changes.id_of(position)
        chunks: dict[int, bytes] = {}
        for listener in listeners:
            listener.position, before = position, listener.marked
            if not events:
                continue
            if before not in chunks:
                chunks[before] = with_ids(events, self.changes.id_of(before), newest)
            listener.marked = position
            listener.offer(chunks[before])

    def _reset(self, listeners: Iterable[Listener]) -> None:
        last = self.changes.last
        chunk = reset_event(self.changes.id_of(last), "too_old")
        for listener in listeners:
            listener.position = listener.marked = last
            listener.offer(chunk)
