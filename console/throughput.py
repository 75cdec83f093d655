"""How fast an account went in the last minutes, as a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

STEP = timedelta(seconds=10)
STEPS = 60
"""Ten minutes."""

WIDTH, HEIGHT = 120, 28
"""The line's own units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Users per second of each step, the oldest first."""

    per_second: Sequence[float]

    @property
    def latest(self) -> float:
        """Users per second in the last minute."""
        return sum(self.per_second[-6:]) / 6

    @property
    def peak(self) -> float:
        """Users per second in the fastest step."""
        return max(self.per_second, default=0)

    @property
    def points(self) -> str:
        """The line's points; a still account's is at the bottom."""
        top = self.peak or 1
        return " ".join(
            f"{WIDTH * at / (len(self.per_second) - 1):.1f},{HEIGHT - 1 - (HEIGHT - 3) * value / top:.1f}"
            for at, value in enumerate(self.per_second)
        )


def since(now: datetime) -> datetime:
    """Return when the first step begins: steps stand still, so that the line moves by whole ones."""
    step = int(STEP.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // step * step, now.tzinfo) - STEP * (STEPS - 1)


def throughput(users: Mapping[int, int]) -> Throughput:
    """Return the line of users by step."""
    return Throughput(per_second=[users.get(at, 0) / STEP.total_seconds() for at in range(STEPS)])
