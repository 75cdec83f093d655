"""What batches of a session amount to, and what a new one is beside them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.arrivals import Contradiction, Misfit, Retry, judge_arrival
from ledger.session_runs import SeenBatch, differences, runs_of

START = datetime(2026, 11, 24, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def batch(sequence: int, minutes: float = 0, content: str = "", **changes: object) -> SeenBatch:
    """Return a batch of a session of three batches with ten users each."""
    given_fields = {
        "batch_id": f"{sequence}@{minutes}{content}",
        "sequence": sequence,
        "total_batches": 3,
        "total_users": 30,
        "users": 10,
        "parts": 1,
        "parts_seen": 1,
        "content_hash": f"{sequence}{content}".encode(),
        "disable_prefix": False,
        "channels": None,
        "at": START + minutes * MINUTE,
        **changes,
    }
    return SeenBatch(**given_fields)  # type: ignore[arg-type] # a builder takes any field


@pytest.mark.parametrize("sequences", [(0, 1, 2), (1, 2, 3), (3, 1, 2), (2, 0, 1)])
def test_a_series_from_0_or_from_1_in_any_order_is_whole(sequences: Sequence[int]) -> None:
    (run,) = runs_of([batch(number, minute) for minute, number in enumerate(sequences)])
    assert (run.is_whole, run.missing, run.users) == (True, [], 30)


@pytest.mark.parametrize(
    ("sequences", "missing"), [((1, 3), [2]), ((0, 2), [1]), ((1,), [2, 3]), ((0,), [1, 2]), ((2,), [1, 3])]
)
def test_what_is_missing_is_named(sequences: Sequence[int], missing: list[int]) -> None:
    (run,) = runs_of([batch(number) for number in sequences])
    assert (run.is_whole, run.missing) == (False, missing)


def test_of_very_many_missing_batches_the_first_are_named() -> None:
    (run,) = runs_of([batch(2, total_batches=2**53)])
    assert run.missing == [1, *range(3, 102)]
    assert not run.has_all


def test_a_batch_with_missing_parts_is_missing() -> None:
    (run,) = runs_of([batch(1), batch(2, parts=2, parts_seen=1), batch(3)])
    assert run.missing == [2]


def test_a_missing_batch_that_comes_late_makes_the_session_whole_and_is_marked() -> None:
    (run,) = runs_of([batch(1), batch(3, 1), batch(2, 30)])
    assert run.is_whole
    assert run.marks == {"2@30": "late"}


def test_the_same_batch_within_the_window_is_repeated_and_counts_once() -> None:
    (run,) = runs_of([batch(1), batch(1, 1), batch(2, 2), batch(3, 3)])
    assert (run.is_whole, run.users, run.marks) == (True, 30, {"1@1": "repeated"})


def test_another_batch_of_the_same_sequence_within_the_window_is_contradictory_while_the_run_lacks_some() -> None:
    (run,) = runs_of([batch(1), batch(1, 1, "other")])
    assert run.marks == {"1@1other": "contradictory"}


def test_a_sequence_that_comes_again_after_the_window_begins_a_new_run() -> None:
    runs = runs_of([batch(1), batch(2), batch(1, 11), batch(2, 11), batch(3, 11)])
    assert [run.is_whole for run in runs] == [False, True]


def test_a_whole_run_is_followed_by_a_new_one_whatever_its_content() -> None:
    one = {"total_batches": 1, "total_users": 10}
    runs = runs_of([batch(1, 0, "a", **one), batch(1, 1, "b", **one), batch(1, 2, "c", **one)])
    assert [run.is_whole for run in runs] == [True, True, True]


def test_a_client_whose_totals_are_wrong_is_let_in_once_it_has_sent_every_sequence() -> None:
    one = {"total_batches": 1, "total_users": 9}
    assert arrival(batch(1, 1, "b", **one), batch(1, 0, "a", **one)) is None
    runs = runs_of([batch(1, 0, "a", **one), batch(1, 1, "b", **one)])
    assert [(run.has_all, run.is_whole) for run in runs] == [(True, False)] * 2


def test_totals_that_do_not_agree_make_no_whole_session() -> None:
    (run,) = runs_of([batch(1), batch(2), batch(3, users=9)])
    assert (run.missing, run.are_totals_right, run.is_whole) == ([], False, False)
    (run,) = runs_of([batch(1), batch(2, total_batches=4)])
    assert not run.are_totals_right


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 30), st.sampled_from("ab")), max_size=30))
def test_every_batch_is_in_one_run_in_the_order_of_the_log(steps: list[tuple[int, float, str]]) -> None:
    ordered = [batch(number, at, f"{content}{place}") for place, (number, at, content) in enumerate(steps)]
    runs = runs_of(ordered)
    assert [one for run in runs for one in run.batches] == ordered
    for run in runs:
        taken = [one.sequence for one in run.batches if run.marks.get(one.batch_id) in (None, "late")]
        assert len(taken) == len(set(taken))


def arrival(new: SeenBatch, *before: SeenBatch, is_good: bool = True) -> object:
    runs = runs_of(before)
    return judge_arrival(new, runs[-1] if runs else None, lambda _: is_good)


def test_the_same_batch_within_the_window_is_a_retry_unless_it_failed_or_lacks_parts() -> None:
    assert arrival(batch(1, 9), batch(1)) == Retry(batch(1))
    assert arrival(batch(1, 9), batch(1), is_good=False) is None
    assert arrival(batch(1, 9), batch(1, parts=2)) is None
    assert arrival(batch(1, 11), batch(1)) is None
    assert arrival(batch(1, 9), batch(1), batch(2), batch(3)) == Retry(batch(1))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content_hash": b"other"}, "users"),
        ({"total_users": 31}, "totalUsers"),
        ({"total_batches": 4}, "totalBatches"),
        ({"disable_prefix": True, "content_hash": b"other"}, "disablePrefix"),
        ({"channels": ("facebook",), "content_hash": b"other"}, "channels"),
    ],
)
def test_other_content_for_a_sequence_of_a_moment_ago_is_a_contradiction_that_names_the_field(
    changes: dict[str, object], field: str
) -> None:
    new = batch(1, 5, "", **changes)
    assert arrival(new, batch(1)) == Contradiction(batch(1), [field])
    assert arrival(batch(1, 11, "", **changes), batch(1)) is None


def test_clients_that_always_send_the_same_session_and_sequence_are_let_in() -> None:
    one = {"total_batches": 1, "total_users": 10}
    assert arrival(batch(1, 1, "b", **one), batch(1, 0, "a", **one)) is None


def test_without_a_content_hash_nothing_is_the_same() -> None:
    assert differences(batch(1, content_hash=None), batch(1, content_hash=None)) == ["users"]


def test_what_comes_again_behind_another_mode_is_no_retry_and_begins_a_run_of_its_own() -> None:
    one: dict[str, Any] = {"total_batches": 1, "total_users": 10}
    first, again = batch(1, **one), batch(1, 1, **one)
    cut_off = batch(1, 1, other_mode_at=START + 0.5 * MINUTE, **one)
    assert arrival(again, first) == Retry(first)
    assert arrival(cut_off, first) is None
    assert [run.marks for run in runs_of([first, again])] == [{"1@1": "repeated"}]
    assert [(run.is_whole, run.marks) for run in runs_of([first, cut_off])] == [(True, {})] * 2


def test_another_mode_before_both_changes_nothing_and_at_the_same_moment_may_be_between() -> None:
    first = batch(1, 1)
    assert arrival(batch(1, 2, other_mode_at=START), first) == Retry(first)
    assert arrival(batch(1, 2, other_mode_at=first.at), first) is None
    incomplete = arrival(batch(1, 2, other_mode_at=START + 1.5 * MINUTE), first)
    assert incomplete is None, "no contradiction, as it is the same"


def resumed(sequence: int, minutes: float = 0, content: str = "", **changes: object) -> SeenBatch:
    return batch(sequence, minutes, content, is_resumed=True, **changes)


DAY = 24 * 60


def test_a_resumed_batch_that_stands_is_a_retry_however_long_ago_that_was() -> None:
    assert arrival(resumed(1, DAY), batch(1), batch(2)) == Retry(batch(1))
    assert arrival(resumed(1, DAY), batch(1), batch(2), batch(3)) == Retry(batch(1))


def test_a_resumed_batch_that_failed_or_lacks_parts_is_written_again() -> None:
    assert arrival(resumed(1, DAY), batch(1), is_good=False) is None
    assert arrival(resumed(1, DAY), batch(1, parts=2)) is None


def test_a_resumed_batch_that_came_in_parts_first_and_whole_then_is_a_retry_of_the_whole_one() -> None:
    in_parts, whole = batch(1, parts=2), resumed(1, 30, parts=2, parts_seen=2)
    assert arrival(resumed(1, DAY, parts=2, parts_seen=2), in_parts, whole) == Retry(whole)


def test_a_resumed_batch_that_stands_before_another_mode_keeps_its_place_even_where_it_failed() -> None:
    cut_off = resumed(1, DAY, other_mode_at=START + MINUTE)
    assert arrival(cut_off, batch(1)) == Retry(batch(1))
    assert arrival(cut_off, batch(1), is_good=False) == Retry(batch(1))
    assert arrival(cut_off, batch(1, parts=2)) is None, "it was never told to stand"


def test_other_content_for_a_sequence_that_stands_is_a_contradiction_however_long_ago_that_was() -> None:
    assert arrival(resumed(1, DAY, "other"), batch(1)) == Contradiction(batch(1), ["users"])
    assert arrival(resumed(1, DAY, "other"), batch(1), batch(2), batch(3)) == Contradiction(batch(1), ["users"])


def test_a_resumed_batch_fills_the_newest_run_and_where_there_is_none_begins_one() -> None:
    assert arrival(resumed(1)) is None
    assert arrival(resumed(2, DAY), batch(1), batch(3)) is None
    assert arrival(resumed(2, DAY), *(batch(n) for n in (1, 2, 3)), batch(1, 20)) is None


def test_a_resumed_batch_has_no_place_in_a_run_that_lacks_nothing_or_says_other_totals() -> None:
    whole = [batch(number) for number in (1, 2, 3)]
    assert arrival(resumed(0, DAY), *whole) == Misfit(batch(3), [])
    assert arrival(resumed(2, DAY, total_batches=4, total_users=40), batch(1)) == Misfit(
        batch(1), ["totalBatches", "totalUsers"]
    )


def test_what_is_resumed_is_of_the_run_before_it_whatever_two_nodes_wrote() -> None:
    steps = [batch(1), batch(3), resumed(1, DAY), resumed(2, DAY, other_mode_at=START), resumed(2, 2 * DAY)]
    (run,) = runs_of([*steps, resumed(3, 2 * DAY, "other")])
    assert run.is_whole
    assert list(run.marks.values()) == ["repeated", "repeated", "contradictory"]
    again = [batch(number, 3 * DAY) for number in (1, 2, 3)]
    assert [one.is_whole for one in runs_of([*steps, *again])] == [True, True]


def test_a_batch_that_is_sent_again_as_parts_of_it_are_missing_takes_its_place_in_the_run() -> None:
    in_parts, whole = batch(2, parts=2, users=5), batch(2, 1, parts=2, parts_seen=2)
    (run,) = runs_of([batch(1), in_parts, batch(3), whole])
    assert (run.is_whole, run.users) == (True, 30)
    assert run.marks == {in_parts.batch_id: "repeated"}


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 3 * DAY), st.sampled_from("ab")), min_size=1, max_size=30))
def test_whatever_is_resumed_a_session_has_one_run(steps: list[tuple[int, float, str]]) -> None:
    ordered = [resumed(number, at, f"{content}{place}") for place, (number, at, content) in enumerate(steps)]
    (run,) = runs_of(ordered)
    assert run.batches == ordered
