"""Who waits for something to change in the view."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class ViewWatchers:
    """Who waits for which batch: in memory only, whoever asks again is answered from the view."""

    _waiting: defaultdict[str, set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))
    _any: set[asyncio.Event] = field(default_factory=set)
    _listeners: list[Callable[[Collection[str]], None]] = field(default_factory=list)

    @contextmanager
    def watched(self, batch_ids: Collection[str] | None) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever one of these batches, None for any, has changed in the view."""
        event = asyncio.Event()
        watchers = [self._any] if batch_ids is None else [self._waiting[batch_id] for batch_id in batch_ids]
        for one in watchers:
            one.add(event)
        try:
            yield event
        finally:
            for one in watchers:
                one.discard(event)
            for batch_id in batch_ids or ():
                if not self._waiting.get(batch_id, True):
                    del self._waiting[batch_id]

    def listen(self, listener: Callable[[Collection[str]], None]) -> None:
        """Call a function with the batches of every change from now on; with none where it is of no batch."""
        self._listeners.append(listener)

    def notify(self, batch_ids: Iterable[str | None]) -> None:
        """Wake who waits for these batches."""
        changed = [batch_id for batch_id in batch_ids if batch_id]
        for batch_id in changed:
            for event in self._waiting.get(batch_id, ()):
                event.set()
        for event in self._any:
            event.set()
        for listener in self._listeners:
            listener(changed)

    def notify_all(self) -> None:
        """Wake everybody, as an account's state has changed, or the view is away."""
        for event in [*self._any, *(event for events in self._waiting.values() for event in events)]:
            event.set()
        for listener in self._listeners:
            listener(())
