"""The search for rows that a platform refuses, as pure code: who is taken, who is found, at what cost."""

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.platform_outcome import PlatformOutcome, Within, join, left
from consumer.delivery.refused_row_search import Search
from providers.kit.provider import Rejection, Sent
from providers.kit.rows.rows_per_call import RowGroup
from schemas.records import Progress, Span

REFUSED = Rejection(None, "refused_by_platform")


@dataclass
class Platform:
    """Takes calls without a bad row; names the bad ones of a refused call, as many as it is told to."""

    bad: frozenset[int]
    names: int = 0
    held: list[int] = field(default_factory=list)
    calls: int = 0

    def play(self, search: Search, budget: int, rows: list[int] | None = None) -> None:
        """Let a search go on for so many calls at most."""
        rows = rows or list(range(search.size))
        for _ in range(budget):
            probe = search.next()
            if probe is None:
                return
            assert probe.rows, "an empty call"
            self.calls += 1
            refused = [row for row in probe.rows if rows[row] in self.bad]
            if not refused:
                self.held += (rows[row] for row in probe.rows)
                search.taken(probe)
            elif self.names:
                search.named(probe, refused[: self.names])
            else:
                search.refused(probe)


lists = st.integers(1, 400).flatmap(
    lambda size: st.tuples(st.just(size), st.frozensets(st.integers(0, size - 1), max_size=size))
)


@given(lists, st.integers(0, 120), st.integers(0, 50), st.integers(0, 3))
def test_no_bad_row_is_taken_no_good_one_is_found_bad_and_nothing_is_sent_again_that_was_taken(
    given_list: tuple[int, frozenset[int]], budget: int, step: int, names: int
) -> None:
    size, bad = given_list
    search, platform = Search(size, step), Platform(bad, names)
    platform.play(search, budget)
    assert platform.calls <= budget
    assert len(platform.held) == len(set(platform.held))
    assert not bad & set(platform.held)
    assert set(search.bad) <= bad
    known = {*platform.held, *search.bad}
    if not names:
        assert sorted([*known, *search.open]) == list(range(size))
    assert not known & set(search.open)


@given(lists, st.integers(0, 50))
def test_a_search_ends_and_costs_little_more_than_the_bad_rows_doublings(
    given_list: tuple[int, frozenset[int]], step: int
) -> None:
    size, bad = given_list
    search, platform = Search(size, step), Platform(bad)
    platform.play(search, 10 * size + 100)
    assert search.next() is None
    assert set(platform.held) == set(range(size)) - bad
    assert set(search.bad) == bad
    per_bad = math.log2(size / len(bad)) + 4 if bad else 0
    assert platform.calls <= 2 * math.log2(size + 1) + 2 + len(bad) * per_bad + (size / step if step else 0)


@given(lists, st.integers(1, 30))
@settings(max_examples=50)
def test_tries_with_a_small_budget_get_everybody_through_all_the_same(
    given_list: tuple[int, frozenset[int]], budget: int
) -> None:
    size, bad = given_list
    platform, rows, step = Platform(bad), list(range(size)), 0
    for _ in range(20 * size + 20):
        search = Search(len(rows), step)
        platform.play(search, budget, rows)
        rows, step = [rows[row] for row in search.open], search.step
        if not rows:
            break
    assert set(platform.held) == set(range(size)) - bad
    assert len(platform.held) == len(set(platform.held))


@pytest.mark.parametrize(("size", "bad", "taken"), [(2000, 40, 1850), (2000, 20, 1980), (10_000, 300, 2300)])
def test_scattered_bad_rows_do_not_starve_the_good_ones(size: int, bad: int, taken: int) -> None:
    """Halving the largest piece first leaves some 200 of 2,000 with 40 bad open, and 8,500 of 10,000 with 300 bad."""
    for seed in range(5):
        chosen = frozenset(random.Random(seed).sample(range(size), bad))
        platform = Platform(chosen)
        platform.play(Search(size), 300)
        assert len(platform.held) >= taken


def test_a_platform_that_names_all_bad_rows_costs_two_calls_and_one_that_names_one_a_call_each() -> None:
    bad = frozenset(range(0, 2000, 100))
    for names, calls in ((20, 2), (1, 21)):
        search, platform = Search(2000), Platform(bad, names)
        platform.play(search, 300)
        assert platform.calls == calls
        assert len(platform.held) == 1980


spans = st.lists(st.integers(1, 20), min_size=2, max_size=30)


@given(st.integers(0, 1000), st.integers(1, 100), st.sets(st.integers(0, 99)))
def test_what_is_left_of_a_span_is_all_but_what_was_settled(first: int, count: int, outcome: set[int]) -> None:
    cut = sorted(first + place for place in outcome if place < count)
    found = left(Span(first=first, count=count), cut)
    indexes = [index for span in found for index in range(span.first, span.first + span.count)]
    assert indexes == [index for index in range(first, first + count) if index not in set(cut)]
    assert all(low.first + low.count < high.first for low, high in pairwise(found))
    assert [index for index in range(first - 1, first + count + 1) if index in Within(found)] == indexes


@given(spans, st.integers(1, 20), st.sets(st.integers(0, 600)))
def test_too_many_spans_are_joined_over_the_smallest_gaps(lengths: list[int], most: int, dear: set[int]) -> None:
    """Lengths are those of a span, a gap, a span and so on."""
    parts, first = [], 0
    for place, length in enumerate(lengths):
        if place % 2 == 0:
            parts.append(Span(first=first, count=length))
        first += length
    joined, closed = join([parts], most, dear)
    assert len(joined) <= most
    assert len(joined) + len(closed) == len(parts)
    assert sum(span.count for span in joined) == sum(span.count for span in [*parts, *closed])


@given(st.data())
def test_every_user_is_counted_once_over_all_tries_however_many_spans_a_pointer_has_room_for(
    data: st.DataObject,
) -> None:
    size = data.draw(st.integers(1, 60))
    most = data.draw(st.integers(1, 5))
    span = Span(first=7, count=size)
    progress: Progress | None = None
    for _ in range(4):
        open_before = progress.open if progress else [span]
        rows = [index for part in open_before for index in range(part.first, part.first + part.count)]
        outcome = PlatformOutcome.after(progress)
        chosen = sorted(data.draw(st.sets(st.sampled_from(rows)))) if rows else []
        cut = data.draw(st.integers(0, len(chosen)))
        unplaced = data.draw(st.integers(0, cut))
        outcome.take(RowGroup([None] * cut, chosen[:cut]), Sent(unplaced={REFUSED: unplaced} if unplaced else {}))  # type: ignore[list-item] # rows are only counted
        for index in chosen[cut:]:
            outcome.refuse(index, REFUSED)
        progress = outcome.progress(open_before, 0, most)
        assert len(progress.open) <= max(most, len(open_before))
        is_open = sum(part.count for part in progress.open)
        assert progress.accepted + sum(progress.rejected_reasons.values()) + is_open == size
        assert progress.accepted >= 0
        open_now = {index for part in progress.open for index in range(part.first, part.first + part.count)}
        assert open_now >= set(rows) - set(chosen)
        assert not open_now & {user.index for user in progress.rejected_users}
