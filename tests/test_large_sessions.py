"""Sessions of hundreds of batches of several parts: read as whole, bounded, and paged over all of their rejections."""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from test_view import START, completion, origin, place, receipt, view

from ledger.queries import Filters, Queries
from ledger.resources import UserRejection
from ledger.session_batch_query import MOST_BATCHES
from ledger.session_runs import SeenBatch
from ledger.view import SessionKey, View
from schemas.records import BatchReceipt, Counts, RejectedUser
from schemas.target import Target

__all__ = ["view"]

KEY = SessionKey("7", "VIP", "custom")
TARGETS = (Target("facebook"), Target("tiktok"))
HOUR = timedelta(hours=1)


def queries(of: View) -> Queries:
    """Return what is asked of a view for two accounts."""
    return Queries(view=of, targets=TARGETS, state_of=lambda _: None, now=lambda: START, window=timedelta(minutes=10))


def receipts_of_run(batches: int, parts: int, number: int = 0) -> Iterator[BatchReceipt]:
    """Yield receipts of a run, an hour after the one before; the parts of four batches at a time come mixed."""
    lanes = 4
    offset = batches * parts * number
    for first in range(0, batches, lanes):
        for part in range(1, parts + 1):
            for batch in range(first, min(batches, first + lanes)):
                yield receipt(
                    offset,
                    batch_id=f"{number}-{batch}",
                    sequence=batch + 1,
                    part=part,
                    parts=parts,
                    total_batches=batches,
                    total_users=batches * parts * 2,
                    content_hash=f"{batch}".encode(),
                    timestamp=START + number * HOUR + timedelta(milliseconds=offset),
                )
                offset += 1


def fold(into: View, told: Sequence[BatchReceipt]) -> None:
    into.fold_receipts([(one, place(one.origin.offset)) for one in told], {}, "receipts")


def deliver(into: View, offsets: Iterator[int] | range, rejected: int = 0) -> None:
    """Let both accounts deliver records, each with so many rejected users that are listed, and two that are not."""
    users = [RejectedUser(index=index, field="email", reason="not_an_email") for index in range(rejected)]
    told = [
        completion(
            offset,
            "partial" if rejected else "delivered",
            1,
            provider=target.provider,
            counts=Counts(received=2, accepted=1, rejected=rejected + 2 if rejected else 0),
            rejected_reasons={"email: not_an_email": rejected + 2} if rejected else {},
            rejected_users=users,
        )
        for offset in offsets
        for target in TARGETS
    ]
    into.fold_completions([(one, place(number)) for number, one in enumerate(told)], {}, "completions")


def test_a_session_of_500_batches_of_20_parts_is_whole_and_so_is_each_run_before(view: View) -> None:
    for number in range(3):
        fold(view, list(receipts_of_run(500, 20, number)))
    deliver(view, range(20_000, 30_000))
    told = queries(view).session("7")
    assert told is not None
    assert [(run.missing, run.are_totals_right, len(run.batches), run.users) for run in told.runs] == [
        ([], True, 500, 20_000)
    ] * 3
    assert [run.state for run in told.runs] == ["delivered", "in_progress", "in_progress"]
    assert [target.users.accepted for target in told.runs[0].targets] == [10_000, 10_000]
    (listed,) = queries(view).sessions(Filters(), None, 10).sessions
    assert (listed.state, listed.runs, listed.users, listed.missing) == ("delivered", 3, 20_000, [])


def test_a_batch_s_part_that_is_missing_in_a_large_session_is_noticed(view: View) -> None:
    fold(view, [one for one in receipts_of_run(500, 20) if (one.sequence, one.part) != (17, 20)])
    told = queries(view).session("7")
    assert told is not None
    assert [(run.state, run.missing) for run in told.runs] == [("incomplete", [17])]


def test_the_newest_batches_of_a_session_are_looked_at_whatever_it_has(view: View) -> None:
    lone = [
        receipt(offset, batch_id=f"{offset}", total_batches=1, content_hash=f"{offset}".encode())
        for offset in range(MOST_BATCHES + 500)
    ]
    fold(view, lone)
    found = view.session_batches(KEY)
    assert [batch.batch_id for batch in found] == [f"{offset}" for offset in range(500, MOST_BATCHES + 500)]
    assert [batch.batch_id for batch in view.session_batches(KEY, 2)] == [
        f"{MOST_BATCHES + 498}",
        f"{MOST_BATCHES + 499}",
    ]


def test_a_few_of_the_newest_batches_are_those_whatever_their_parts(view: View) -> None:
    fold(view, list(receipts_of_run(100, 20)))
    found = view.session_batches(KEY, 8)
    assert [batch.sequence for batch in found] == [93, 94, 95, 96, 97, 98, 99, 100]
    assert {(batch.is_whole, batch.users) for batch in found} == {(True, 40)}


def test_a_resumed_batch_is_found_among_500_of_20_parts_and_the_missing_one_is_let_in(view: View) -> None:
    fold(view, [one for one in receipts_of_run(500, 20) if one.sequence != 250])
    asked = queries(view)
    first, *_ = view.session_batches(KEY)
    again = {"at": datetime.now(UTC), "is_resumed": True, "batch_id": "new", "parts": 20, "parts_seen": 20}
    same, missing = (
        SeenBatch(
            sequence=number,
            total_batches=500,
            total_users=20_000,
            users=40,
            content_hash=f"{number - 1}".encode(),
            disable_prefix=False,
            channels=None,
            **again,  # type: ignore[arg-type] # a builder takes any field
        )
        for number in (1, 250)
    )
    verdict = asked.judge(KEY, same, [])
    assert verdict is not None
    assert getattr(verdict, "batch", None) == first
    assert asked.judge(KEY, missing, []) is None


@pytest.mark.parametrize("most", [997, 10_000])
def test_rejected_users_of_a_large_session_are_paged_each_once_and_tell_their_sequence(view: View, most: int) -> None:
    fold(view, list(receipts_of_run(100, 5)))
    deliver(view, range(250), rejected=20)
    asked, found, cursor = queries(view), list[UserRejection](), None
    for _ in range(100):
        page = asked.session_rejected("7", cursor, most)
        assert page is not None
        assert page.unlisted == 250 * 2 * 2
        assert len(page.rejected) == most or page.next is None
        found, cursor = found + page.rejected, page.next
        if cursor is None:
            break
    places = [(one.batch_id, one.part, one.provider, one.index) for one in found]
    assert len(places) == len(set(places)) == 250 * 2 * 20
    assert all(one.batch_id == f"0-{(one.sequence or 0) - 1}" for one in found)


def test_a_record_that_a_replay_sent_again_is_counted_by_its_last_word_on_whichever_page_it_stands(view: View) -> None:
    fold(view, list(receipts_of_run(3, 1)))
    deliver(view, range(3), rejected=2)
    mended = completion(1, "delivered", 2, provider="tiktok", delivery="r-1", counts=Counts(received=4, accepted=4))
    view.fold_completions([(mended, place(99))], {}, "completions")
    asked, found, cursor = queries(view), list[UserRejection](), None
    while True:
        page = asked.session_rejected("7", cursor, 2)
        assert page is not None
        assert page.unlisted == 5 * 2
        found, cursor = found + page.rejected, page.next
        if cursor is None:
            break
    assert [(one.sequence, one.provider) for one in found] == [
        (sequence, provider)
        for sequence, provider in ((1, "facebook"), (1, "tiktok"), (2, "facebook"), (3, "facebook"), (3, "tiktok"))
        for _ in range(2)
    ]


def test_what_is_asked_within_a_snapshot_is_of_one_moment(view: View) -> None:
    fold(view, list(receipts_of_run(2, 2)))
    with view.snapshot():
        before = view.session_batches(KEY)
        dropping = threading.Thread(target=lambda: view.drop_before({1: 9}, {}))
        dropping.start()
        dropping.join()
        assert view.session_batches(KEY) == before
        assert len(view.records_of("0-0")) == 2
    assert view.session_batches(KEY) == []


def test_the_ends_of_many_records_come_in_the_records_order(view: View) -> None:
    deliver(view, range(1_000))
    wanted = [origin(offset) for offset in islice(range(999, -1, -1), 900)]
    assert [end.origin for end in view.ends_of(wanted)][::2] == wanted
