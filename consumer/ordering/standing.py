"""Where a record stands in the order of its audience, as its delivery has to know."""

from collections.abc import Callable
from dataclasses import dataclass

from consumer.ordering.log_position import LogPosition

NEVER = float("-inf")


def _by_nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a record stands, and what may have happened around it.

    A record is late that comes by a pointer, by a replay, or after an unclean take-over: later records of its audience
    may have gone before it. Its delivery leaves out the people about whom a later record decides. Afterwards it does
    later records again as far as its calls may have undone them.
    """

    place: LogPosition
    is_late: bool = False
    is_suspect: bool = False
    """Whether another process may have sent it and died: the last calls may be its, of this record or of later ones."""
    has_turn: bool = False
    """Whether removals after it wait for it, and are sent again when no call of a dead process can come any more.

    Where no removal of its audience is known once it was sent, nobody needs to wait until `calls_until`.
    """
    calls_until: float = NEVER
    """Until when calls of its earlier tries may take effect, by the caller's clock."""
    is_awaited: Callable[[], bool] = _by_nobody
    """Tells whether it is a removal that was postponed, for which later records of its partition still wait.

    Then none of them has gone yet, and none decides about anybody.
    """
