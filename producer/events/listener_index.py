"""Listeners by what they ask for: a change is looked at for those alone that may ask for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from producer.events.event_filter import EventFilter, Key
from producer.events.listener import Listener


@dataclass(slots=True)
class ListenerIndex:
    """Listeners that have been told as much, by their filters, and filters by what most changes are not of."""

    _by_key: dict[Key, dict[EventFilter, set[Listener]]] = field(default_factory=dict)

    def add(self, listener: Listener) -> None:
        """Put a listener in."""
        self._by_key.setdefault(listener.chosen.key, {}).setdefault(listener.chosen, set()).add(listener)

    def discard(self, listener: Listener) -> None:
        """Take a listener out; one that is not in is let be."""
        key, chosen = listener.chosen.key, listener.chosen
        filters = self._by_key.get(key, {})
        listeners = filters.get(chosen, set())
        listeners.discard(listener)
        if not listeners:
            filters.pop(chosen, None)
        if not filters:
            self._by_key.pop(key, None)

    def of(self, keys: Iterable[Key]) -> Iterator[tuple[EventFilter, set[Listener]]]:
        """Yield the filters with one of these keys, and who has them."""
        for key in keys:
            yield from self._by_key.get(key, {}).items()

    def filters(self) -> Iterator[EventFilter]:
        """Yield all filters."""
        return chain.from_iterable(self._by_key.values())

    def everybody(self) -> Iterator[tuple[EventFilter, set[Listener]]]:
        """Yield all filters, and who has them."""
        return self.of(self._by_key)

    def __bool__(self) -> bool:
        """Tell whether anybody is in."""
        return bool(self._by_key)
