"""Find the rows that a platform refuses a call for, where it does not say which: pure, and without any call."""

from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Probe:
    """Rows to be sent next, by their positions.

    `rest` are those of which one must be bad where none of `rows` is. A `sample` comes from rows of which nothing is
    known, so that its end says how thick the bad ones lie.
    """

    rows: Sequence[int]
    rest: Sequence[int] = ()
    is_sample: bool = True


@dataclass(slots=True)
class Search:
    """The search among the rows of one call, of which `step` are sent at first, all unless that is given.

    Ask for `next`, send its rows, and say how that ended: `taken`, `refused`, or `named` where the platform told which
    rows it does not want. A row is bad when it was refused alone; one that was taken, named or found bad is never sent
    again; what is neither is open.

    The order brings as many good rows through as the calls allow. Samples run through all rows first, twice as large
    after each one that was taken, half as large after a refusal, so that about half of them pass, however thick the
    bad rows lie. Then each refused sample is halved until its bad row is alone, the largest first; rows of which a
    half's refusal says nothing any more go back among the unknown ones, which are sent as soon as they are as many.
    So a bad row costs about as many calls as its sample has doublings, and scattered ones hold up nobody but their
    neighbours.
    """

    size: int
    step: int = 0
    bad: list[int] = field(default_factory=list)
    _unknown: Sequence[int] = field(init=False)
    """A range as long as nothing was refused: a list of all rows is what the collector of cycles would go through."""
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
            if len(rows) > 2 * self.step:  # of so many one is bad anyway
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
