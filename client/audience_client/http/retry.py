"""When a request is sent again, and for how long: pure decisions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Why = Literal["unreachable", "no_room", "too_slow", "proxy"]
"""`no_room` is any 503 of the server, whose words say more; `proxy` an error of what stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often the same request is sent again. Times are seconds.

    `give_up_after` counts from the first try; None is for ever. Its default is less than the server's
    `AUDIENCE_RETRY_WINDOW`, after which a batch sent again without `resume` would begin a new run.
    """

    give_up_after: float | None = 300.0
    first_pause: float = 0.5
    longest_pause: float = 60.0


STANDARD = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitNotice:
    """A request is sent again in so many `seconds`; `attempt` is the number of tries so far, `words` says why."""

    why: Why
    words: str
    seconds: float
    attempt: int
    waited: float


OnWait = Callable[[WaitNotice], None]
