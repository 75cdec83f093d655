"""What came of comparing a fast way with a general one."""

from dataclasses import dataclass, field

SHOWN = 10


@dataclass(slots=True)
class Verdict:
    """How many cases there were, how many of them the fast way took, and what differs."""

    cases: int = 0
    fast: int = 0
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in a line, and the first differences in a line each."""
        count = len(self.differences)
        said = f"{count} differ" if count else "all the same"
        share = 100 * self.fast / max(1, self.cases)
        return "\n  ".join([f"{self.cases:,} cases, {share:.0f} % by the fast way: {said}", *self.differences[:SHOWN]])
