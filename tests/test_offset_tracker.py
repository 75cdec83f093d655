import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.read.offset_tracker import MAX_SPAN, OffsetTracker, decode_offsets, encode_offsets

starts = st.integers(0, 2**40)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[OffsetTracker, list[int], set[int]]:
    """A window, the offsets added to it (with gaps), and those of them that were finished, in any order."""
    start = draw(starts)
    gaps = draw(st.lists(st.integers(1, 50), max_size=60))
    offsets = [start + sum(gaps[: place + 1]) - 1 for place in range(len(gaps))]
    finished = draw(st.lists(st.sampled_from(offsets), unique=True)) if offsets else []
    tracker = OffsetTracker(start)
    for offset in offsets:
        assert tracker.add(offset)
    for offset in finished:
        assert tracker.finish(offset)
    return tracker, offsets, set(finished)


@given(journeys())
def test_what_may_be_committed_is_the_first_unfinished_record_or_the_end(
    journey: tuple[OffsetTracker, list[int], set[int]],
) -> None:
    tracker, offsets, finished = journey
    unfinished = [offset for offset in offsets if offset not in finished]

    assert tracker.committable == (unfinished[0] if unfinished else tracker.next_offset)
    assert tracker.unfinished == len(unfinished)


@given(journeys())
def test_a_restart_skips_exactly_what_was_finished(journey: tuple[OffsetTracker, list[int], set[int]]) -> None:
    tracker, offsets, finished = journey

    restored = OffsetTracker(tracker.committable, tracker.metadata())
    again = [offset for offset in offsets if restored.add(offset)]

    assert again == [offset for offset in offsets if offset not in finished]
    assert restored.committable == tracker.committable


@given(journeys())
def test_finishing_the_rest_lets_everything_be_committed(journey: tuple[OffsetTracker, list[int], set[int]]) -> None:
    tracker, offsets, finished = journey
    for offset in set(offsets) - finished:
        assert tracker.finish(offset)

    assert tracker.committable == tracker.next_offset
    assert tracker.metadata() == ""


@given(starts, st.sets(st.integers(0, 3 * MAX_SPAN), max_size=300))
def test_metadata_fits_and_holds_all_within_the_span(start: int, places: set[int]) -> None:
    text = encode_offsets(start, {start + place for place in places})

    assert len(text) <= 4000
    assert decode_offsets(start, text) == {start + place for place in places if place < MAX_SPAN}


def test_metadata_of_a_full_window_fits() -> None:
    assert len(encode_offsets(7, range(7, 7 + MAX_SPAN))) <= 4000


@given(starts, st.text())
def test_metadata_of_others_is_no_offsets(start: int, text: str) -> None:
    assert decode_offsets(start, text) == set()


@pytest.mark.parametrize("text", ["1:", "1:!", "1:ü", "1:AAAA", "1:" + base64.b64encode(b"x" * 50).decode()])
def test_broken_metadata_is_no_offsets(text: str) -> None:
    assert decode_offsets(5, text) == set()


def test_metadata_that_was_committed_with_another_offset_is_no_offsets() -> None:
    assert decode_offsets(6, encode_offsets(5, {8})) == set()


def test_a_record_that_comes_again_needs_no_work_twice() -> None:
    tracker = OffsetTracker(3)

    assert tracker.add(3)
    assert not tracker.add(3)
    assert tracker.unfinished == 1


def test_an_offset_that_is_not_open_cannot_be_finished() -> None:
    tracker = OffsetTracker(3)
    tracker.add(3)
    tracker.finish(3)

    assert not tracker.finish(3)
    assert not tracker.finish(4)


def test_a_gap_before_the_first_record_blocks_nothing() -> None:
    tracker = OffsetTracker(0)
    tracker.add(10)
    tracker.finish(10)

    assert tracker.committable == 11


def test_the_window_is_full_when_metadata_could_not_say_more() -> None:
    tracker = OffsetTracker(0)
    for offset in range(MAX_SPAN):
        tracker.add(offset)
    for offset in range(1, MAX_SPAN):
        tracker.finish(offset)

    assert tracker.is_full
    tracker.finish(0)
    assert not tracker.is_full


def test_skipping_counts_what_was_not_finished() -> None:
    before = OffsetTracker(5)
    for offset in range(5, 9):
        before.add(offset)
    before.finish(7)
    tracker = OffsetTracker(before.committable, before.metadata())

    assert tracker.skip_to(9) == 3
    assert tracker.committable == 9


def test_what_is_in_hand_while_the_log_is_cut_can_still_be_finished() -> None:
    tracker = OffsetTracker(5)
    tracker.add(5)

    assert tracker.skip_to(9) == 3
    assert tracker.committable == 5
    assert tracker.finish(5)
    assert tracker.committable == 9
