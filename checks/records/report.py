"""What came of a run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

LONGEST_GOOD = 30.0
"""Seconds that a good record may take until it is delivered everywhere; it takes one, on a busy machine some more."""


@dataclass(slots=True)
class Report:
    """What came of a run."""

    sent: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """How long each good record took, in their order."""
    replayed: Counter[str] = field(default_factory=Counter)
    """Ends of the replay of everything, by account and status."""
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The number of the first record that had a fault, and what was done to it."""

    def note(self, fault: str, where: str = "") -> None:
        """Count a fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, where)

    def note_good(self, seconds: float, where: str) -> None:
        """Note how long a good record took."""
        self.seconds.append(seconds)
        if seconds > LONGEST_GOOD:
            self.note(f"a good record took more than {LONGEST_GOOD:.0f} s", f"{where}: {seconds:.1f} s")

    def lines(self) -> Iterator[str]:
        """Yield what a person is told, the faults last."""
        yield from (f"{count} x {verdict}" for verdict, count in self.verdicts.most_common())
        if self.seconds:
            each = " ".join(f"{seconds:.1f}" for seconds in self.seconds)
            yield f"seconds until each good record was delivered everywhere: {each}"
            yield (
                f"good records: {len(self.seconds)}; median {median(self.seconds):.1f} s, "
                f"longest {max(self.seconds):.1f} s of at most {LONGEST_GOOD:.0f} s"
            )
        yield from (f"replayed, {end}: {count}" for end, count in sorted(self.replayed.items()))
        yield from (f"{count} x {fault}; first: {self.first[fault]}" for fault, count in self.faults.most_common())
