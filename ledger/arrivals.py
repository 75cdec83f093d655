"""What a batch is that arrives in a session: new, a retry, a contradiction or a misfit. Pure decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ledger.session_runs import WINDOW, Run, SeenBatch, differences

TOTALS = ("totalBatches", "totalUsers")


@dataclass(frozen=True, slots=True)
class Retry:
    """The batch was sent before and is being delivered or done: nothing is to be written, the answer is that one's."""

    batch: SeenBatch


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The same sequence came a moment ago with something else."""

    batch: SeenBatch
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A resumed batch has no place in the newest run: that has all it lacked, or says other totals in these fields."""

    newest: SeenBatch
    fields: Sequence[str]


Verdict = Retry | Contradiction | Misfit | None
"""What a new batch is beside those before it; None: one to be accepted."""


def judge_arrival(
    new: SeenBatch, run: Run | None, is_good: Callable[[str], bool], window: timedelta = WINDOW
) -> Verdict:
    """Return what a new batch is beside the newest run of its session.

    `is_good` tells of a batch id whether every target is under way with it or had success; a batch that failed
    somewhere may be sent again, and one behind which something of another mode of the audience stands is.
    """
    if run is None:
        return None
    if new.is_resumed:
        return _judge_resumed(new, run, is_good)
    known = [batch for batch in run.batches if batch.sequence == new.sequence and new.at - batch.at <= window]
    same = _same(new, known)
    if same is not None:
        is_retry = same.is_whole and not new.is_cut_off_from(same) and is_good(same.batch_id)
        return Retry(same) if is_retry else None
    if known and not run.has_all:
        return Contradiction(known[0], differences(known[0], new))
    return None


def _judge_resumed(new: SeenBatch, run: Run, is_good: Callable[[str], bool]) -> Verdict:
    """Judge by the run alone, whenever that was.

    What stands before something of another mode of the audience keeps its place: to write it again would undo that.
    """
    known = [batch for batch in run.batches if batch.sequence == new.sequence]
    same = _same(new, known)
    if same is not None:
        return Retry(same) if same.is_whole and (new.is_cut_off_from(same) or is_good(same.batch_id)) else None
    if known:
        return Contradiction(known[0], differences(known[0], new))
    newest = next(batch for batch in reversed(run.batches) if run.marks.get(batch.batch_id) != "contradictory")
    others = [name for name in differences(newest, new) if name in TOTALS]
    return Misfit(newest, others) if others or run.has_all else None


def _same(new: SeenBatch, known: Sequence[SeenBatch]) -> SeenBatch | None:
    """Return the newest batch with the same content, of those with all parts if there is one."""
    same = [batch for batch in known if not differences(batch, new)]
    return max(reversed(same), key=lambda batch: batch.is_whole, default=None)
