"""Where a record stands in the order of its audience, as its delivery has to know."""

from collections.abc import Callable
from dataclasses import dataclass

from consumer.ordering.log_position import LogPosition

NEVER = float("-inf")


def _by_nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A record's place, and what may have happened around it.

    Late is one that came by a pointer, a replay or after an unclean take-over: later records of its audience may have
    gone before. Who is late leaves out those about whom a later record decides, and settles afterwards what its calls
    may have undone.
    """

    place: LogPosition
    is_late: bool = False
    is_suspect: bool = False
    """Whether another process may have sent it, and died: calls of it, and of what it owed, may have come last."""
    has_turn: bool = False
    """Whether removals after it wait for it, and are sent again when no call of a dead process can come any more.

    Where no removal of its audience is known once it was sent, nobody needs to wait until `calls_until`.
    """
    calls_until: float = NEVER
    """Until when calls of its earlier tries may take effect, by the caller's clock."""
    is_awaited: Callable[[], bool] = _by_nobody
    """Tells whether later records of its partition still wait for it, a removal that was postponed.

    Then none of them has gone yet, so that none decides about anybody: it may fail when it goes.
    """
