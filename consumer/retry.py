"""When to try again: a pure decision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter. Times are seconds."""

    attempts: int = 8
    base: float = 0.5
    cap: float = 30.0
    max_age: float = 600.0

    def wait(self, attempt: int, *, age: float, asked: float | None, chance: float) -> float | None:
        """Return how long to wait after a failed attempt, None to give up.

        `attempt` counts from 1; `age` is the time since the first one, without throttles; `asked` is the
        platform's own wait, which is always kept; `chance` is a random number from 0 to 1.
        """
        if attempt >= self.attempts:
            return None
        wait = max(asked or 0.0, chance * self.backoff(attempt))
        return wait if age + wait <= self.max_age else None

    def backoff(self, attempt: int) -> float:
        """Return the longest wait after this attempt where the platform asks for none."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
