"""When to try again: a pure decision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InPlace:
    """Try again after so many seconds, holding on to the record."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Later:
    """Try again after so many seconds, by a pointer on the retry topic."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter. Times are seconds."""

    attempts: int = 8
    """Attempts that are made in place, of one call."""
    base: float = 0.5
    cap: float = 900.0
    max_age: float = 86_400.0
    longest_in_place: float = 10.0
    longest_alone: float = 2.0
    """The same for what is wrong with one audience: the records of others need the place."""

    def decide(
        self, attempt: int, *, age: float, asked: float | None, chance: float, is_shared: bool
    ) -> InPlace | Later | None:
        """Return what to do after a failed attempt, None to give up.

        `attempt` counts from 1 over all of a record's attempts; `age` is the time since the first one, without
        what was spent parked or throttled; `asked` is the platform's own wait, which is always kept; `chance` is a
        random number from 0 to 1; `is_shared` tells whether the failure is the account's, not one audience's.
        """
        wait = max(asked or 0.0, chance * self.backoff(attempt))
        if age + wait > self.max_age:
            return None
        longest = self.longest_in_place if is_shared else self.longest_alone
        is_short = attempt < self.attempts and wait <= longest
        return InPlace(wait) if is_short else Later(wait)

    def backoff(self, attempt: int) -> float:
        """Return the longest wait after this attempt where the platform asks for none."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
