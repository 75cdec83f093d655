"""What changed, in its order, as far back as a listener may go on from: the newest change of each thing, bounded."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from msgspec import Struct

KEPT = 10_000
"""Things whose last change is remembered; whoever was away for more of them asks anew."""

Reset = Literal["foreign", "too_old"]
"""Why a listener can't go on: its id is of another node or an earlier start of this one, or too much changed since."""


class Change(Struct, frozen=True, gc=False):
    """Something changed: a batch by its id, an account by its name, or a loss by its account and place."""

    kind: Literal["batch", "account", "loss"]
    key: str


@dataclass(slots=True, kw_only=True)
class ChangeLog:
    """The newest change of each thing, numbered. An event's id is this log's name and a number.

    `name` makes a name that no other log has, of this node or another, now or later.
    """

    name: Callable[[], str]
    most: int
    last: int = 0
    """The number of the newest change."""
    floor: int = 0
    """The number up to which changes may be forgotten: who knows less of them can't go on."""
    _named: str = field(init=False)
    _changes: "OrderedDict[Change, int]" = field(default_factory=OrderedDict, init=False)

    def __post_init__(self) -> None:
        self._named = self.name()

    def note(self, change: Change) -> None:
        """Number a change; an earlier one of the same thing is forgotten, as a listener is told how it stands now."""
        self.last += 1
        self._changes[change] = self.last
        self._changes.move_to_end(change)
        if len(self._changes) > self.most:
            _, self.floor = self._changes.popitem(last=False)

    def since(self, position: int) -> list[tuple[int, Change]] | None:
        """Return the changes after a number in their order, each with its own; None where some are forgotten."""
        if position < self.floor:
            return None
        newest = takewhile(lambda item: item[1] > position, reversed(self._changes.items()))
        return [(number, change) for change, number in newest][::-1]

    def begin_anew(self) -> None:
        """Forget everything, as changes were missed: nobody can go on from before, in this log or by its ids."""
        self._changes.clear()
        self._named = self.name()
        self.last += 1
        self.floor = self.last

    def id_of(self, position: int) -> str:
        """Return the id from which a listener goes on behind a number."""
        return f"{self._named}-{position}"

    def position_of(self, event_id: str) -> int | Reset:
        """Return the number that an id names, or why nobody can go on from it."""
        named, _, digits = event_id.rpartition("-")
        if named != self._named or not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(self.last)):
            return "foreign"
        position = int(digits)
        if position > self.last:
            return "foreign"
        return "too_old" if position < self.floor else position
