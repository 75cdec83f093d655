"""The state column: what is folded is what the full computation says, whatever came and in whichever order."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from test_view import START, completion, opened, place, receipt, view

from ledger.queries import Choice, Filters, Queries
from ledger.resources import SessionSummary, State, TargetState
from ledger.states.column import FoldedState, StateFilter
from ledger.states.folding import StateFolder, StateRules
from ledger.status import target_of
from ledger.view import SessionKey, View
from schemas.records import AccountState, BatchCompletion, BatchReceipt, Counts
from schemas.target import Target

__all__ = ["view"]

FACEBOOK, TIKTOK, EU = Target("facebook"), Target("tiktok"), Target("facebook", "eu")
RULES = StateRules(targets=(FACEBOOK, TIKTOK, EU), window=timedelta(minutes=10))
MINUTE = timedelta(minutes=1)
OFFSETS = st.integers(0, 4)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A view and which of its accounts are blocked."""

    view: View
    blocked: frozenset[Target] = frozenset()

    def queries(self) -> Queries:
        """Return what is asked of it."""
        return Queries(
            view=self.view, targets=RULES.targets, state_of=self.state_of, now=lambda: START, window=RULES.window
        )

    def states_of(self, session: SessionSummary) -> tuple[State, dict[str, TargetState]]:
        """Return the state of a session's newest run and of its accounts, by all that is told of it."""
        chosen = Choice(name=session.name, type=session.type, mode=session.mode)
        status = self.queries().session(session.session_id, chosen)
        assert status is not None
        return status.runs[0].state, {str(target_of(target)): target.state for target in status.runs[0].targets}

    def state_of(self, target: Target) -> AccountState | None:
        if target not in self.blocked:
            return None
        return AccountState(provider=target.provider, account=target.account, state="blocked", changed_at=START)

    def check(self) -> None:
        """Compare each filter by state with the states that are computed of all."""
        queries = self.queries()
        sessions = queries.sessions(Filters(), None, 1_000).sessions
        for one in sessions:
            assert (one.state, one.targets) == self.states_of(one), "counted is other than read one by one"
        batches = queries.batches(Filters(), None, 1_000).batches
        for state in get_args(State):
            chosen = Filters(state=state)
            assert queries.sessions(chosen, None, 1_000).sessions == [one for one in sessions if one.state == state]
            assert queries.batches(chosen, None, 1_000).batches == [one for one in batches if one.state == state]
        for state, keys in queries.newest_in(get_args(State), START - MINUTE, 1_000).items():
            wanted = [one for one in sessions if one.state == state]
            assert keys == [SessionKey(one.session_id, one.name, one.type, one.mode) for one in wanted]

    def check_folded(self) -> None:
        """Compare, where no row is stale, so that all comes by the column."""
        StateFolder(view=self.view, rules=RULES).fold_all()
        assert self.view.stale("sessions", 1) == self.view.stale("batches", 1) == []
        self.check()


@st.composite
def receipts(draw: st.DrawFn) -> tuple[BatchReceipt, bool]:
    """Return a receipt of one of few places, and whether it is the ledger's: most are of whole sessions."""
    offset = draw(OFFSETS)
    told = receipt(
        offset,
        batch_id=f"batch {draw(st.sampled_from([offset, offset, offset, 0]))}",
        part=draw(st.sampled_from([1, 1, 2])),
        parts=draw(st.sampled_from([1, 1, 1, 2])),
        session_id=draw(st.sampled_from(["7", "7", "7", "8", None])),
        sequence=draw(st.integers(1, 2)),
        total_batches=draw(st.sampled_from([None, None, None, 1, 2])),
        total_users=None,
        mode=draw(st.sampled_from(["add", "add", "add", "remove"])),
        channels=draw(st.sampled_from([None, None, ("facebook",), ("tiktok",), ("klaviyo",)])),
        content_hash=draw(st.sampled_from([b"x", b"x", b"y"])),
        timestamp=START + draw(st.sampled_from([0, offset, offset, 3, 15])) * MINUTE,
        verdict=draw(st.sampled_from(["valid"] * 7 + ["invalid"])),
    )
    return told, draw(st.booleans())


@st.composite
def completions(draw: st.DrawFn) -> list[BatchCompletion]:
    """Return what one account, or each of them in the same words, says of a record."""
    received = draw(st.integers(1, 3))
    rejected = draw(st.sampled_from([0, 0, 1, received]))
    told = completion(
        draw(OFFSETS),
        draw(st.sampled_from(["retrying", "failed", "skipped", "partial", "partial", "delivered", "delivered"])),
        draw(st.integers(0, 5)),
        delivery=draw(st.sampled_from(["live", "live", "live", "r-1", "r-2"])),
        mode=draw(st.sampled_from(["add", "remove"])),
        counts=Counts(
            received=received,
            accepted=draw(st.sampled_from([0, received - rejected])),
            rejected=rejected,
            superseded=draw(st.sampled_from([0, 0, 1])),
        ),
        rejected_reasons={"email: not_an_email": rejected} if rejected else {},
    )
    speaking = draw(st.sampled_from([RULES.targets, *((one,) for one in RULES.targets)]))
    return [structs.replace(told, provider=one.provider, account=one.account) for one in speaking]


steps = st.one_of(receipts(), completions(), completions(), st.sampled_from(["fold", "fold", "drop", "check"]))


@given(st.lists(steps, min_size=4, max_size=25), st.frozensets(st.sampled_from(RULES.targets)))
@settings(max_examples=100, deadline=None)
def test_a_folded_state_is_what_the_full_computation_says_whatever_came(
    told: Sequence[object], blocked: frozenset[Target]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(view=opened(Path(folder) / "view"), blocked=blocked)
        for number, one in enumerate(told):
            _take(asked, one, number)
        asked.check()
        asked.check_folded()
        asked.view.close()


def _take(asked: Asked, one: object, number: int) -> None:
    if isinstance(one, list):
        asked.view.fold_completions([(each, place(number)) for each in one], {}, "completions")
    elif isinstance(one, tuple):
        told, is_ledgers = one
        asked.view.fold_receipts([(told, place(number) if is_ledgers else None)], {}, "receipts")
    elif one == "drop":
        asked.view.drop_before({1: number // 2}, {1: number // 2})
    elif one == "fold":
        asked.check_folded()
    else:
        asked.check()


def uploaded(view: View, offset: int, minute: int, **changes: object) -> None:
    """Let a batch of a session be told that has one, and that an account of each platform delivered it."""
    at = START + minute * MINUTE
    told = receipt(offset, batch_id=f"batch {offset}", total_batches=1, total_users=2, timestamp=at, **changes)
    view.fold_receipts([(told, place(offset))], {}, "receipts")


def ended(
    view: View, offset: int, status: str, targets: Sequence[Target] = RULES.targets, delivery: str = "live"
) -> None:
    """Let accounts say how a record ended."""
    for number, target in enumerate(targets):
        told = completion(
            offset,
            status,
            1,
            provider=target.provider,
            account=target.account,
            delivery=delivery,
            counts=Counts(received=2, accepted=2 * (status == "delivered")),
        )
        view.fold_completions([(told, place(100 * number + offset))], {}, "completions")


def in_state(view: View, state: str, rules: StateRules = RULES) -> list[str]:
    """Return the sessions that the column has in a state, without looking at stale ones."""
    StateFolder(view=view, rules=rules).fold_all()
    wanted = StateFilter(state=state, unfinished=["", *view.unfinished_sets("sessions")])
    rows = view.newest_sessions(None, None, None, None, 9, wanted)
    return [key.session_id for _, key in rows]


def test_a_removal_that_is_told_late_between_two_uploads_changes_the_state_of_their_session(view: View) -> None:
    uploaded(view, 1, 0)
    uploaded(view, 3, 4)
    ended(view, 1, "failed")
    ended(view, 3, "delivered")
    assert in_state(view, "failed") == ["7"]
    removal = receipt(2, batch_id="batch 2", session_id=None, mode="remove", timestamp=START + 2 * MINUTE)
    view.fold_receipts([(removal, None)], {}, "")
    assert in_state(view, "delivered") == ["7"]
    view.fold_receipts([(structs.replace(removal, verdict="invalid"), place(2))], {}, "receipts")
    assert in_state(view, "failed") == ["7"]


def test_what_left_the_topics_leaves_the_states(view: View) -> None:
    uploaded(view, 1, 0)
    uploaded(view, 3, 4)
    ended(view, 1, "failed")
    ended(view, 3, "delivered")
    assert in_state(view, "failed") == ["7"]
    view.drop_before({1: 2}, {})
    assert in_state(view, "delivered") == ["7"]
    view.drop_before({}, {1: 1_000})
    assert in_state(view, "in_progress") == ["7"]


def test_a_replay_s_success_settles_a_session_and_its_failure_leaves_what_was_delivered(view: View) -> None:
    uploaded(view, 1, 0)
    uploaded(view, 2, 0, session_id="8")
    for offset, (first, again) in {1: ("failed", "delivered"), 2: ("delivered", "failed")}.items():
        ended(view, offset, first)
        assert str(offset + 6) in in_state(view, first)
        ended(view, offset, again, delivery="r-1")
    assert in_state(view, "delivered") == ["8", "7"]
    Asked(view=view).check_folded()


def test_a_batch_that_the_ledger_finds_invalid_leaves_its_session_and_is_listed_by_itself(view: View) -> None:
    told = receipt(1, total_batches=1, total_users=2)
    view.fold_receipts([(told, None)], {}, "")
    assert in_state(view, "in_progress") == ["7"]
    view.fold_receipts([(structs.replace(told, verdict="invalid", reason="users: none"), place(1))], {}, "receipts")
    assert in_state(view, "in_progress") == []
    assert [one.state for one in Asked(view=view).queries().batches(Filters(state="failed"), None, 9).batches] == [
        "failed"
    ]
    Asked(view=view).check_folded()


def test_states_are_folded_anew_where_other_accounts_are_configured(view: View) -> None:
    uploaded(view, 1, 0)
    ended(view, 1, "delivered", RULES.targets[:1])
    few = StateRules(targets=RULES.targets[:1])
    StateFolder(view=view, rules=few).begin()
    assert in_state(view, "delivered", few) == ["7"]
    StateFolder(view=view, rules=few).begin()
    assert view.stale("sessions", 1) == [], "nothing is folded again where nothing changed"
    StateFolder(view=view, rules=RULES).begin()
    assert in_state(view, "delivered") == []
    assert view.unfinished_sets("sessions") == ["facebook/eu tiktok"]


def test_a_state_that_was_folded_before_the_last_change_is_not_put(view: View) -> None:
    uploaded(view, 1, 0)
    ((changes, key),) = view.stale("sessions", 9)
    ended(view, 1, "failed")
    view.put_states("sessions", [(changes, key, FoldedState(state="in_progress", unfinished="facebook"))])
    assert in_state(view, "failed") == ["7"]


def test_pages_of_a_state_hold_each_session_once_though_some_are_stale(view: View) -> None:
    asked = Asked(view=view, blocked=frozenset({TIKTOK, EU}))
    for number in range(40):
        uploaded(view, number, number, session_id=str(number))
        ended(view, number, "delivered", RULES.targets[: number % 4])
        if number == 30:
            StateFolder(view=view, rules=RULES).fold_all()
    for state, wanted in (("blocked", {1, 2}), ("in_progress", {0}), ("delivered", {3}), ("failed", set())):
        found, cursor = list[str](), None
        while True:
            page = asked.queries().sessions(Filters(state=state), cursor, 3)
            found += [one.session_id for one in page.sessions]
            if (cursor := page.next) is None:
                break
        assert found == [str(number) for number in range(39, -1, -1) if number % 4 in wanted]
