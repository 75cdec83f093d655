"""The runs of a session, each a pass through its sequences: a pure fold of its batches in the order of the log."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

Mark = Literal["repeated", "contradictory", "late"]

MOST_MISSING = 100
"""Missing sequences that are named: a client may say that there are 2^53."""

WINDOW = timedelta(minutes=10)
"""For how long the same sequence is taken for the same batch sent again, unless a setting says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBatch:
    """A batch of a session as far as its records stand in the log; `users` counts those of the parts seen."""

    batch_id: str
    sequence: int
    total_batches: int | None
    total_users: int | None
    users: int
    parts: int
    parts_seen: int
    content_hash: bytes | None
    disable_prefix: bool
    channels: tuple[str, ...] | None
    at: datetime
    """When its first record was appended."""
    other_mode_at: datetime | None = None
    """When the last record of another mode of its audience before it was appended, None where there is none."""
    is_resumed: bool = False
    """Whether it was sent as one of the newest run, however long ago that was."""

    @property
    def is_whole(self) -> bool:
        """Whether all its parts stand in the log."""
        return self.parts_seen >= self.parts

    def is_cut_off_from(self, first: "SeenBatch") -> bool:
        """Whether something of another mode of their audience stands between: the same again has an effect then."""
        return self.other_mode_at is not None and self.other_mode_at >= first.at


@dataclass(slots=True)
class Run:
    """One pass of a client through a session's sequences, in the order of the log."""

    batches: list[SeenBatch] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    """What is odd about a batch, by its id; nothing about most."""
    _firsts: dict[int, SeenBatch] = field(default_factory=dict)

    def first(self, sequence: int) -> SeenBatch | None:
        """Return the batch that had a sequence first."""
        return self._firsts.get(sequence)

    def add(self, batch: SeenBatch, mark: Mark | None) -> None:
        """Note a batch; one that contradicts takes no sequence, nor one that repeats unless the first lacks parts."""
        first = self._firsts.get(batch.sequence)
        if mark == "repeated" and first is not None and batch.is_whole and not first.is_whole:
            self.marks[first.batch_id], mark = "repeated", self.marks.get(first.batch_id)
        self.batches.append(batch)
        if mark is not None:
            self.marks[batch.batch_id] = mark
        if mark in (None, "late"):
            self._firsts[batch.sequence] = batch

    @property
    def total_batches(self) -> int | None:
        """How many batches the newest one says that there are."""
        return self.batches[-1].total_batches

    @property
    def total_users(self) -> int | None:
        """How many users the newest one says that there are."""
        return self.batches[-1].total_users

    @property
    def users(self) -> int:
        """Users of the sequences seen, each sequence once."""
        return sum(batch.users for batch in self._firsts.values())

    @property
    def missing(self) -> list[int]:
        """The first MOST_MISSING sequences not seen, of a series from 0 if that number is there, else from 1."""
        start = 0 if 0 in self._firsts else 1
        wanted = range(start, start + (self.total_batches or 0))
        return list(islice((number for number in wanted if not self._has(number)), MOST_MISSING))

    def _has(self, sequence: int) -> bool:
        first = self._firsts.get(sequence)
        return first is not None and first.is_whole

    @property
    def are_totals_right(self) -> bool:
        """Whether all batches name the same totals and, once none is missing, as many users came as they say."""
        named = {(batch.total_batches, batch.total_users) for batch in self._firsts.values()}
        if len(named) > 1:
            return False
        return bool(self.missing) or self.total_users in (None, self.users)

    @property
    def has_all(self) -> bool:
        """Whether every sequence was seen, whatever the totals: what comes then begins anew."""
        return self.total_batches is not None and len(self._firsts) >= self.total_batches and not self.missing

    @property
    def is_whole(self) -> bool:
        """Whether every sequence was seen and the totals agree."""
        return self.has_all and self.are_totals_right


def runs_of(batches: Iterable[SeenBatch], window: timedelta = WINDOW) -> list[Run]:
    """Return the runs of a session from its batches in the order of the log, oldest first.

    A sequence that comes again begins a new run, unless it comes within the window with the same content and nothing
    of another mode of the audience came between (`repeated`), or with another content while the run lacks a sequence
    (`contradictory`). A batch is `late` where it comes after the window from the newest one before. One that is resumed
    begins a run only where there is none.
    """
    runs: list[Run] = []
    for batch in batches:
        run = runs[-1] if runs else None
        mark = _mark(batch, run, window) if run is not None else None
        if run is None or mark == "new":
            run, mark = Run(), None
            runs.append(run)
        run.add(batch, mark)
    return runs


def _mark(batch: SeenBatch, run: Run, window: timedelta) -> 'Mark | Literal["new"] | None':
    first = run.first(batch.sequence)
    if batch.is_resumed:
        return _mark_of_resumed(batch, first, run, window)
    if first is None:
        is_late = batch.at - run.batches[-1].at > window
        return "new" if run.has_all else "late" if is_late else None
    if batch.at - first.at > window:
        return "new"
    if not differences(first, batch):
        return "new" if batch.is_cut_off_from(first) else "repeated"
    return "new" if run.has_all else "contradictory"


def _mark_of_resumed(batch: SeenBatch, first: SeenBatch | None, run: Run, window: timedelta) -> Mark | None:
    """Return what is odd about a resumed batch: where nodes know of each other's it contradicts nothing."""
    if first is not None:
        return "contradictory" if differences(first, batch) else "repeated"
    if run.has_all:
        return "contradictory"
    return "late" if batch.at - run.batches[-1].at > window else None


def differences(first: SeenBatch, other: SeenBatch) -> list[str]:
    """Return in which fields two batches of one sequence differ, by the names that clients use; none: the same."""
    named = (
        ("totalBatches", first.total_batches == other.total_batches),
        ("totalUsers", first.total_users == other.total_users),
        ("disablePrefix", first.disable_prefix == other.disable_prefix),
        ("channels", first.channels == other.channels),
    )
    found = [name for name, is_same in named if not is_same]
    is_same_content = first.content_hash is not None and first.content_hash == other.content_hash
    return found if found or is_same_content else ["users"]
