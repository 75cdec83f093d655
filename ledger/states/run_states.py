"""The states of a session's run and of its accounts, without reading each record of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ledger.final_outcomes import counted, last_words
from ledger.resources import State, TargetState
from ledger.session_runs import Run, SeenBatch
from ledger.states.rule import NONE, EndCounts, state_of_run, state_of_states, target_state, worst_of_each
from ledger.states.run_counts import RunCounts
from ledger.view import EndRow, SessionKey, View
from schemas.target import Target

EndsByPlace = Mapping[tuple[str, str], EndCounts]
"""What accounts did with batches that were sent again, by batch and account."""


@dataclass(frozen=True, slots=True)
class RunStates:
    """One word for a run, and one for each account that some batch of it is meant for, by its name."""

    of_all: State
    of_each: Mapping[str, TargetState]


def states_of_run(
    view: View,
    key: SessionKey,
    run: Run,
    targets: Iterable[Target],
    is_blocked: Callable[[Target], bool] = lambda _: False,
) -> RunStates:
    """Return the states of a run of a session, of which the view is to be of one moment. Raises sqlite3.Error."""
    counts = view.run_counts(key, [batch.batch_id for batch in run.batches])
    replayed = _read(view, key, counts)
    known = [(target, is_blocked(target)) for target in targets]
    states = {batch.batch_id: _states(batch, known, counts, replayed) for batch in run.batches}
    worst = worst_of_each(states.values())
    batches = (_state_of_batch(batch, states[batch.batch_id].values(), counts) for batch in run.batches)
    is_whole = run.is_whole or run.total_batches is None
    return RunStates(state_of_run(worst.values(), batches, is_whole=is_whole), worst)


def _states(
    batch: SeenBatch, targets: Iterable[tuple[Target, bool]], counts: RunCounts, replayed: EndsByPlace
) -> dict[str, TargetState]:
    """Return the states of the accounts that a batch is meant for, by their names."""
    records, ends = counts.records[batch.batch_id].records, counts.ends.get(batch.batch_id, {})
    return {
        (name := str(target)): target_state(
            replayed.get((batch.batch_id, name)) or ends.get(name, NONE), records, is_blocked=is_blocked
        )
        for target, is_blocked in targets
        if target.is_meant_by(batch.channels)
    }


def _state_of_batch(batch: SeenBatch, states: Iterable[TargetState], counts: RunCounts) -> State:
    if counts.records[batch.batch_id].parts < batch.parts:
        return "incomplete"
    return state_of_states(list(states))


def _read(view: View, key: SessionKey, counts: RunCounts) -> EndsByPlace:
    """Return what accounts did with batches that were sent again, by batch and account: it takes reading their ends."""
    if not counts.replayed:
        return {}
    records = [one for some in view.records_of_batches(counts.replayed).values() for one in some]
    batch_of = {one.origin: one.batch_id for one in records if one.verdict == "valid" and one.is_of(key)}
    ends: dict[tuple[str, str], list[EndRow]] = {}
    for word in last_words(view.ends_of(batch_of)):
        ends.setdefault((batch_of[word.end.origin], word.end.target), []).append(word.end)
    return {place: counted(some) for place, some in ends.items()}
