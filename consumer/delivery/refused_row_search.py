"""Find the rows that a platform refuses a call for, where it does not say which: pure, and without any call."""

from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Probe:
    """Rows to be sent next, by their positions.

    A sample is made of rows of which nothing is known: whether it is taken says how frequent bad rows are. Any other
    probe is one half of rows that were refused together, and `rest` is the other half: if `rows` are taken, one of
    `rest` is bad.
    """

    rows: Sequence[int]
    rest: Sequence[int] = ()
    is_sample: bool = True


@dataclass(slots=True)
class Search:
    """A search among the rows of one call, which the platform refuses as a whole.

    Ask for `next`, send its rows, and note how that ended: `taken`, `refused`, or `named` where the platform said which
    rows it does not want. A row is bad once it was refused alone. A row that was taken, named or found bad is never
    sent again; all others are open.

    The order of the probes gets as many good rows through as the calls allow:

    1. Samples go through all rows. The first has `step` rows, all of them if that is not given. The next is twice as
    large after one that was taken, half as large after one that was refused. So about half of them are taken, whether
    bad rows are rare or frequent.
    2. Then the largest refused sample is cut into halves, and so on until a bad row is alone. Where a first half is
    refused, nothing is known of the second one any more: its rows are unknown again. Samples of unknown rows go on as
    soon as there are as many as the next sample takes, or as the largest refused sample has.

    So a bad row costs about as many calls as its sample can be halved, and holds up only the rows beside it.
    """

    size: int
    step: int = 0
    bad: list[int] = field(default_factory=list)
    _unknown: Sequence[int] = field(init=False)
    """A range while nothing was refused: Python's collector of cycles would go through a list of all rows."""
    _refused: list[Sequence[int]] = field(default_factory=list, init=False)
    """Rows that hold a bad one, the largest last."""
    _done: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.step = min(self.step or self.size, self.size)
        self._unknown = range(self.size)
        self._done = bytearray(self.size)

    @property
    def open(self) -> list[int]:
        """Rows that were neither taken nor found bad, in order."""
        return [row for row in range(self.size) if not self._done[row]]

    def next(self) -> Probe | None:
        """Return what to send next, None where nothing is open; ask again only after saying how it ended."""
        while True:
            if self._unknown and (not self._refused or len(self._unknown) >= min(self.step, len(self._refused[-1]))):
                return Probe(self._unknown[: self.step])
            if not self._refused:
                return None
            rows = self._refused.pop()
            if len(rows) > 2 * self.step:  # one of so many is bad anyway, so that they were refused says nothing
                self._put_back(rows)
                continue
            middle = (len(rows) + 1) // 2
            return Probe(rows[:middle], rows[middle:], is_sample=False)

    def taken(self, probe: Probe) -> None:
        """Note that the platform took these rows."""
        self._leave(probe)
        self._settle(probe.rows)
        if probe.is_sample and len(probe.rows) == self.step:
            self.step = min(self.size, self.step * 2)
        if probe.rest:
            self._suspect(probe.rest)

    def refused(self, probe: Probe) -> None:
        """Note that the platform refused these rows without saying which of them it does not want."""
        self._leave(probe)
        if probe.is_sample:
            self.step = max(1, len(probe.rows) // 2)
        if len(probe.rows) == 1:
            self.bad += probe.rows
            self._settle(probe.rows)
        else:
            self._suspect(probe.rows)
        self._put_back(probe.rest)

    def named(self, probe: Probe, bad: Collection[int]) -> None:
        """Note that the platform refused these rows for some that it named; of the others nothing is known."""
        self._leave(probe)
        self._settle(bad)
        others = (row for row in probe.rows if not self._done[row])
        self._unknown = [*others, *self._unknown]
        self._put_back(probe.rest)

    def handed_over(self, probe: Probe) -> None:
        """Note that these rows are seen to elsewhere."""
        self._leave(probe)
        self._settle(probe.rows)
        self._put_back(probe.rest)

    def _leave(self, probe: Probe) -> None:
        if probe.is_sample:
            self._unknown = self._unknown[len(probe.rows) :]

    def _put_back(self, rows: Sequence[int]) -> None:
        if rows:
            self._unknown = [*self._unknown, *rows]

    def _suspect(self, rows: Sequence[int]) -> None:
        insort(self._refused, rows, key=len)

    def _settle(self, rows: Collection[int]) -> None:
        for row in rows:
            self._done[row] = 1
