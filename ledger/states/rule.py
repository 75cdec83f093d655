"""One word for what accounts did with records, by counts alone: pure, and the same however they were counted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ledger.resources import State, TargetState

WORST: tuple[TargetState, ...] = ("failed", "blocked", "retrying", "waiting", "partial", "delivered", "skipped")
"""What is told of an account over several batches: the first of these that one of them is in."""

OPEN: frozenset[TargetState] = frozenset({"waiting", "retrying", "blocked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCounts:
    """How many records one account said a last word on, and of which kinds."""

    words: int = 0
    failed: int = 0
    retrying: int = 0
    skipped: int = 0
    in_vain: int = 0
    """Records in which nobody had an effect."""
    with_rejected: int = 0
    """Records of which users were rejected."""


NONE = EndCounts()


def target_state(ends: EndCounts, records: int, *, is_blocked: bool) -> TargetState:
    """Return one word for all records of an account; a failure is told as soon as there is one."""
    if ends.failed:
        return "failed"
    if ends.words - ends.retrying < records:
        return "blocked" if is_blocked else "retrying" if ends.retrying else "waiting"
    if ends.skipped == records:
        return "skipped"
    if ends.in_vain == ends.words:
        return "failed"
    return "partial" if ends.with_rejected else "delivered"


def state_of_states(states: Collection[TargetState]) -> State:
    """Return one word for all accounts: what is over, by the worst of them, else what is under way.

    Where no account is meant, or all skipped it, nobody got it.
    """
    found = set(states) - {"skipped"}
    if not found:
        return "nobody"
    if still := found & OPEN:
        return "blocked" if still == {"blocked"} else "in_progress"
    if "failed" in found:
        return "failed"
    return "partial" if "partial" in found else "delivered"


def state_of_run(states: Collection[TargetState], batches: Iterable[State], *, is_whole: bool) -> State:
    """Return a run's state by that of its accounts; where a batch reached nobody it is not delivered as a whole."""
    if not is_whole:
        return "incomplete"
    state = state_of_states(states)
    return "partial" if state == "delivered" and "nobody" in batches else state


def worst_of_each(batches: Iterable[Mapping[str, TargetState]]) -> dict[str, TargetState]:
    """Return of each account its worst state in these batches, by its name."""
    worst: dict[str, TargetState] = {}
    for batch in batches:
        for name, state in batch.items():
            worst[name] = min(worst.get(name, state), state, key=WORST.index)
    return worst
