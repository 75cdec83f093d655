"""How far an upload is, for who shows it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Users and batches that stand in the log, of how many; `stood` are users that an earlier try had sent."""

    users: int
    total_users: int
    batches: int
    total_batches: int
    stood: int = 0
    seconds: float = 0.0
    """Since the first batch of this try went out."""

    @property
    def rows_per_second(self) -> float:
        """Users a second of this try; 0 before any is known."""
        return (self.users - self.stood) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_to_go(self) -> float | None:
        """Seconds that are left at that pace; None where there is no pace yet."""
        pace = self.rows_per_second
        return (self.total_users - self.users) / pace if pace else None


OnProgress = Callable[[Progress], None]
"""Called in the event loop whenever something changes; it must not block."""
