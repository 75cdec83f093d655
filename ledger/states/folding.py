"""Fold the states of what changed, a little at a time: by the same rules as the status that is told of one."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ledger.final_outcomes import counted, last_words
from ledger.resources import State, TargetState
from ledger.session_runs import WINDOW, runs_of
from ledger.states.column import KEYS, UNKNOWN, FoldedState, RowKey, Table
from ledger.states.rule import (
    OPEN,
    state_of_states,
    target_state,
)
from ledger.states.run_states import states_of_run
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
    states = states_of_run(view, key, run, rules.targets)
    return _folded(states.of_all, states.of_each)


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
