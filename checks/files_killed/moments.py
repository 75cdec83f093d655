"""When an upload is ended, and how."""

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_PASS = -1
"""Users in the log of which an upload that still reads its file tells."""

LONGEST_DELAY = 0.15
LATEST = 0.85
"""Share of the users after which no moment begins, so that each comes before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An upload is ended `delay` seconds after so many users stand in the log."""

    users: int
    delay: float
    is_kill: bool
    """By `kill -9`; else by Ctrl-C."""

    is_late: bool
    """Whether it goes on only after the server's retry window."""

    @property
    def signal(self) -> signal.Signals:
        """What the process gets."""
        return signal.SIGKILL if self.is_kill else signal.SIGINT


def make_moments(chance: random.Random, rows: int, count: int) -> Sequence[Moment]:
    """Return moments in their order: the first while the file is read, one after which the window is waited for."""
    slot = rows * LATEST / max(1, count - 1)
    users = [FIRST_PASS, *(int(slot * (number + chance.random())) for number in range(count - 1))]
    late = chance.randrange(count // 2, count)
    kills = [number % 2 == 0 for number in range(count)]
    chance.shuffle(kills)
    return [
        Moment(users=reached, delay=chance.uniform(0, LONGEST_DELAY), is_kill=kills[number], is_late=number == late)
        for number, reached in enumerate(users)
    ]
