"""Fold the states of what changed, a little at a time: by the same rules as the status that is told of one."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ledger.final_outcomes import counted, last_words
from ledger.resources import State, TargetState
from ledger.session_runs import WINDOW, SeenBatch, runs_of
from ledger.states.column import KEYS, UNKNOWN, FoldedState, RowKey, Table
from ledger.states.rule import (
    NONE,
    OPEN,
    EndCounts,
    state_of_run,
    state_of_states,
    target_state,
    worst_of_each,
)
from ledger.states.run_counts import RunCounts
from ledger.view import EndRow, RecordRow, SessionKey, View
from schemas.target import Target

AT_ONCE = 50
"""Rows that are folded in one go at most."""

BUDGET = 0.02
"""Seconds after which a go begins no other row."""

REST, SHORTEST_REST = 4, 0.5
"""Times as long as a go took until the next one, and seconds at least: folding what comes and requests go before it.

A session under way is stale again with each record of it: each look folds it once, and costs as much where nothing is.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRules:
    """What states go by beside the view's rows: the accounts that are configured here, and the window of retries."""

    targets: Sequence[Target] = ()
    window: timedelta = WINDOW

    @property
    def text(self) -> str:
        """What these rules are known by in the file."""
        return f"{self.window.total_seconds():g} s, {' '.join(map(str, self.targets))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFolder:
    """Keeps the states in a view up to date."""

    view: View
    rules: StateRules

    def begin(self) -> None:
        """Take all states for stale that were folded by other rules."""
        self.view.fold_states_by(self.rules.text)

    async def keep(self, is_ready: Callable[[], bool]) -> None:
        """Fold what is stale, without end; not while the view is being built, as most would be stale at once again."""
        while True:
            begun = time.monotonic()
            if is_ready():
                await asyncio.to_thread(self.fold_some)
            await asyncio.sleep(max(SHORTEST_REST, REST * (time.monotonic() - begun)))

    def fold_all(self) -> None:
        """Fold all that is stale."""
        while self.fold_some():
            pass

    def fold_some(self) -> int:
        """Fold some of what is stale, the newest first; return how many rows that were."""
        return sum(self._fold(table) for table in KEYS)

    def _fold(self, table: Table) -> int:
        found: list[tuple[int, RowKey, FoldedState]] = []
        until = time.monotonic() + BUDGET
        with self.view.snapshot():
            for changes, key in self.view.stale(table, AT_ONCE):
                if found and time.monotonic() > until:
                    break
                found.append((changes, key, self._folded(table, key)))
        if found:
            self.view.put_states(table, found)
        return len(found)

    def _folded(self, table: Table, key: RowKey) -> FoldedState:
        if table == "batches":
            return folded_batch(self.view, key[0], self.rules.targets)
        return folded_session(self.view, SessionKey(*key), self.rules)


def folded_session(view: View, key: SessionKey, rules: StateRules) -> FoldedState:
    """Return the state of a session's newest run."""
    runs = runs_of(view.session_batches(key), rules.window)
    if not runs:
        return FoldedState(state=UNKNOWN)
    run = runs[-1]
    if not (run.is_whole or run.total_batches is None):
        return FoldedState(state="incomplete")
    counts = view.run_counts(key, [batch.batch_id for batch in run.batches])
    replayed = _read(view, key, counts)
    states = {batch.batch_id: _states(batch, rules.targets, counts, replayed) for batch in run.batches}
    worst = worst_of_each(states.values())
    batches = (_state_of_batch(batch, states[batch.batch_id].values(), counts) for batch in run.batches)
    return _folded(state_of_run(worst.values(), batches, is_whole=True), worst)


def _states(
    batch: SeenBatch, targets: Iterable[Target], counts: RunCounts, replayed: Mapping[tuple[str, str], EndCounts]
) -> dict[str, TargetState]:
    """Return the states of the accounts that a batch is meant for, by their names."""
    records, ends = counts.records[batch.batch_id].records, counts.ends.get(batch.batch_id, {})
    return {
        (name := str(target)): target_state(
            replayed.get((batch.batch_id, name)) or ends.get(name, NONE), records, is_blocked=False
        )
        for target in targets
        if target.is_meant_by(batch.channels)
    }


def _state_of_batch(batch: SeenBatch, states: Iterable[TargetState], counts: RunCounts) -> State:
    if counts.records[batch.batch_id].parts < batch.parts:
        return "incomplete"
    return state_of_states(list(states))


def _read(view: View, key: SessionKey, counts: RunCounts) -> dict[tuple[str, str], EndCounts]:
    """Return what accounts did with batches that were sent again, by batch and account: it takes reading their ends."""
    if not counts.replayed:
        return {}
    records = [one for some in view.records_of_batches(counts.replayed).values() for one in some]
    batch_of = {one.origin: one.batch_id for one in records if one.verdict == "valid" and one.is_of(key)}
    ends: dict[tuple[str, str], list[EndRow]] = {}
    for word in last_words(view.ends_of(batch_of)):
        ends.setdefault((batch_of[word.end.origin], word.end.target), []).append(word.end)
    return {place: counted(some) for place, some in ends.items()}


def folded_batch(view: View, batch_id: str, targets: Sequence[Target]) -> FoldedState:
    """Return the state of a batch, whatever session its records are of."""
    records = view.records_of(batch_id)
    if not records:
        return FoldedState(state=UNKNOWN)
    first = records[0]
    if first.verdict != "valid":
        return FoldedState(state="failed")
    if len({record.part for record in records}) < first.parts:
        return FoldedState(state="incomplete")
    states = _states_of_records(view, records, targets)
    return _folded(state_of_states(list(states.values())), states)


def _states_of_records(view: View, records: Sequence[RecordRow], targets: Iterable[Target]) -> dict[str, TargetState]:
    ends: dict[str, list[EndRow]] = {}
    for word in last_words(view.ends_of(record.origin for record in records)):
        ends.setdefault(word.end.target, []).append(word.end)
    return {
        (name := str(target)): target_state(counted(ends.get(name, [])), len(records), is_blocked=False)
        for target in targets
        if target.is_meant_by(records[0].channels)
    }


def _folded(state: State, states: Mapping[str, TargetState]) -> FoldedState:
    if state != "in_progress":
        return FoldedState(state=state)
    return FoldedState(state=state, unfinished=" ".join(sorted(name for name, one in states.items() if one in OPEN)))
