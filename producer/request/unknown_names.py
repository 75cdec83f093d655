"""What of a request nobody knows: it is passed over, and told."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct, field

from producer.request.client_names import shown

Place = Literal["query", "parts", "batch", "users", "users.purchase"]

MOST_NAMED = 20
"""Names of one place that are told; the others are only counted."""

MOST_DISTINCT = 1_000
LONGEST = 64
"""Names of one place that are looked at, and characters of one: a hostile upload has any number of any length."""


class Ignored(Struct, frozen=True, kw_only=True):
    """A name that was passed over wherever it stood: null where it may not be repeated, or were one too many."""

    place: Place = field(name="in")
    name: str | None
    count: int
    did_you_mean: str | None = field(name="didYouMean", default=None)

    def __str__(self) -> str:
        location = f"{self.place}.{self.name}" if self.name else f"{self.place}, a name that is not shown"
        return f"{location}{self.suggestion}"

    @property
    def suggestion(self) -> str:
        """What it may have been meant for, as the rest of a sentence."""
        return f": did you mean {self.did_you_mean}?" if self.did_you_mean else ""


class NameCounter:
    """Counts names of one place that nobody knows, in bounded memory."""

    def __init__(self, place: Place, meant: Callable[[str], str | None]) -> None:
        self._place: Place = place
        self._meant = meant
        self._counts: dict[str, int] = {}
        self._others = 0

    def add(self, names: Iterable[str]) -> None:
        """Count each name once more."""
        counts = self._counts
        for name in names:
            if name in counts:
                counts[name] += 1
            elif len(counts) < MOST_DISTINCT and len(name) <= LONGEST:
                counts[name] = 1
            else:
                self._others += 1

    def found(self) -> tuple[Ignored, ...]:
        """Return what was counted: first what resembles ours, then by how often it came, last what has no name."""
        counts: Counter[tuple[str | None, str | None]] = Counter()
        for name, count in self._counts.items():
            counts[shown(name), self._meant(name)] += count
        ranked = sorted(
            counts, key=lambda key: (key[1] is None, key[0] is None, -counts[key], key[0] or "", key[1] or "")
        )
        named, others = ranked[:MOST_NAMED], [key for key in ranked[MOST_NAMED:] if key != (None, None)]
        nameless = self._others + sum(counts.pop(key) for key in others) + counts.pop((None, None), 0)
        found = [self._ignored(*key, counts[key]) for key in named if key in counts]
        return (*found, self._ignored(None, None, nameless)) if nameless else tuple(found)

    def _ignored(self, name: str | None, meant: str | None, count: int) -> Ignored:
        return Ignored(place=self._place, name=name, count=count, did_you_mean=meant)


def total(ignored: Sequence[Ignored]) -> int:
    """Return how often anything was passed over."""
    return sum(one.count for one in ignored)
