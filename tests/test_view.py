"""The view: the same whatever the order, thrown away when it is not ours, bounded by what the topics hold."""

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.queries import Choice, Filters, Queries
from ledger.view import EndRow, SessionKey, View
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, RejectedUser
from schemas.target import Target

START = datetime(2026, 11, 24, tzinfo=UTC)
BATCH = "00000000-0000-0000-0000-000000000001"
KEY = SessionKey("7", "VIP", "custom")


def origin(offset: int) -> Origin:
    return Origin(topic="audience.batches", partition=3, offset=offset)


def place(offset: int) -> Origin:
    return Origin(topic="audience.receipts", partition=1, offset=offset)


def receipt(offset: int, **changes: object) -> BatchReceipt:
    given_fields = {
        "batch_id": BATCH,
        "part": 1,
        "parts": 1,
        "session_id": "7",
        "sequence": 1,
        "total_batches": 2,
        "total_users": 4,
        "name": "VIP",
        "type": "custom",
        "disable_prefix": False,
        "users": 2,
        "content_hash": b"x" * 32,
        "origin": origin(offset),
        "timestamp": START + timedelta(seconds=offset),
        "verdict": "valid",
        **changes,
    }
    return BatchReceipt(**given_fields)  # type: ignore[arg-type] # a builder takes any field


def completion(offset: int, status: str, finished: float, **changes: object) -> BatchCompletion:
    given_fields = {
        "batch_id": BATCH,
        "origin": origin(offset),
        "provider": "facebook",
        "status": status,
        "finished_at": START + timedelta(seconds=finished),
        **changes,
    }
    return BatchCompletion(**given_fields)  # type: ignore[arg-type] # a builder takes any field


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    view = opened(tmp_path / "view.sqlite")
    yield view
    view.close()


def opened(path: Path, identity: str = "cluster/audience") -> View:
    """Return a view that is open."""
    view = View(path, identity, "audience.batches")
    view.open()
    return view


def queries_of(view: View, now: datetime) -> Queries:
    """Return what asks a view at a time, for one account."""
    return Queries(
        view=view,
        targets=[Target("facebook")],
        state_of=lambda _: None,
        now=lambda: now,
        window=timedelta(minutes=10),
    )


def test_a_record_is_known_from_our_own_word_and_the_receipt_says_the_same_again(view: View) -> None:
    view.fold_receipts([(receipt(5), None)], {}, "")
    mine = view.records_of(BATCH)
    view.fold_receipts([(receipt(5), place(9))], {1: 10}, "audience.receipts")
    view.fold_receipts([(receipt(5), None)], {}, "")
    assert view.records_of(BATCH) == mine
    assert view.positions("audience.receipts") == {1: 10}
    assert view.keys_of("7") == [KEY]


ends = st.tuples(st.sampled_from(["retrying", "failed", "delivered", "partial"]), st.integers(0, 5))


@given(st.lists(ends, min_size=1, max_size=8), st.randoms())
@settings(max_examples=60, deadline=None)
def test_completions_fold_to_the_same_in_any_order(told: list[tuple[str, int]], chance: object) -> None:
    numbered = [(completion(1, status, at, attempts=n), place(n)) for n, (status, at) in enumerate(told)]
    shuffled = list(numbered)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis's Random
    found: list[list[EndRow]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, order in (("a", numbered), ("b", shuffled), ("c", shuffled * 2)):
            view = opened(Path(folder) / name)
            for one in order:
                view.fold_completions([one], {}, "t")
            found.append(view.ends_of([origin(1)]))
            view.close()
    assert found[0] == found[1] == found[2]
    statuses = {status for status, _ in told}
    (end,) = found[0]
    best = "success" if statuses & {"delivered", "partial"} else "failed" if "failed" in statuses else "retrying"
    assert end.status in {"success": ("delivered", "partial")}.get(best, (best,))


def test_a_replay_s_word_stands_beside_the_live_one(view: View) -> None:
    live, replay = completion(1, "failed", 1), completion(1, "delivered", 2, delivery="r1")
    view.fold_completions([(live, place(1)), (replay, place(2))], {}, "t")
    assert {end.delivery: end.status for end in view.ends_of([origin(1)])} == {"live": "failed", "r1": "delivered"}


def test_rejected_users_are_told_by_index_field_and_reason(view: View) -> None:
    rejected = [RejectedUser(index=4, field="email", reason="not_an_email"), RejectedUser(index=9, reason="bug")]
    told = completion(
        1, "partial", 1, counts=Counts(received=9, accepted=7, rejected=2, matched=5), rejected_users=rejected
    )
    view.fold_completions([(told, place(1))], {}, "t")
    assert list(view.rejected_of([origin(1)])) == [
        (origin(1), "facebook", "live", 4, "email", "not_an_email"),
        (origin(1), "facebook", "live", 9, None, "bug"),
    ]
    (end,) = view.ends_of([origin(1)])
    assert (end.received, end.accepted, end.rejected, end.matched) == (9, 7, 2, 5)


def test_sessions_come_newest_first_page_by_page_and_by_filter(view: View) -> None:
    for number in range(25):
        name = "VIP" if number % 2 else "Guests"
        view.fold_receipts([(receipt(number, session_id=str(number), name=name), place(number))], {}, "t")
    seen, before = [], None
    while page := view.newest_sessions(before, None, None, None, 10):
        seen += [key.session_id for _, key in page]
        last, key = page[-1]
        before = (last, key.session_id, key.name, key.type, key.mode)
    assert seen == [str(number) for number in range(24, -1, -1)]
    guests = view.newest_sessions(None, "Guests", "custom", START + timedelta(seconds=20), 100)
    assert [key.session_id for _, key in guests] == ["24", "22", "20"]
    assert view.newest_sessions(None, None, "primary", None, 100) == []


def test_a_part_that_stands_twice_in_the_log_counts_once(view: View) -> None:
    for offset, part in ((1, 1), (2, 2), (3, 1)):
        view.fold_receipts([(receipt(offset, part=part, parts=2), place(offset))], {}, "t")
    (batch,) = view.session_batches(KEY)
    assert (batch.users, batch.parts_seen, batch.is_whole) == (4, 2, True)


def test_what_left_the_topics_leaves_the_view(view: View) -> None:
    for offset in range(4):
        view.fold_receipts([(receipt(offset, session_id=str(offset // 2)), place(offset))], {}, "t")
        view.fold_completions([(completion(offset, "delivered", 1), place(offset))], {}, "t")
    assert view.drop_before({1: 2}, {1: 3}) == 2
    assert [record.origin.offset for record in view.records_of(BATCH)] == [2, 3]
    assert [end.origin.offset for end in view.ends_of(map(origin, range(4)))] == [3]
    assert [key.session_id for _, key in view.newest_sessions(None, None, None, None, 9)] == ["1"]


@pytest.mark.parametrize("harm", ["other topics", "other version", "garbage", "no tables", "truncated"])
def test_a_view_that_is_not_ours_or_is_broken_begins_anew(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "view.sqlite"
    first = opened(path)
    first.fold_receipts([(receipt(1), place(1))], {1: 2}, "audience.receipts")
    first.close()
    identity = "another/audience" if harm == "other topics" else "cluster/audience"
    if harm == "garbage":
        path.write_bytes(b"no database" * 1000)
    elif harm == "no tables":
        path.write_bytes(b"")
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif harm == "other version":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE meta SET value = '0' WHERE name = 'version'")
        connection.close()
    again = opened(path, identity)
    assert again.positions("audience.receipts") == {}
    assert again.records_of(BATCH) == []
    again.fold_receipts([(receipt(1), place(1))], {1: 2}, "audience.receipts")
    again.close()
    kept = opened(path, identity)
    assert kept.positions("audience.receipts") == {1: 2}
    kept.close()


def test_modes_are_sessions_of_their_own_and_a_record_knows_of_the_other_mode_before_it(view: View) -> None:
    removal = SessionKey("7", "VIP", "custom", "remove")
    for offset, mode in enumerate(("add", "remove", "add")):
        told = receipt(offset, batch_id=f"batch {offset}", mode=mode, is_home=True)
        view.fold_receipts([(told, place(offset))], {}, "t")
    assert set(view.keys_of("7")) == {KEY, removal}
    assert [batch.batch_id for batch in view.session_batches(KEY)] == ["batch 0", "batch 2"]
    assert [batch.other_mode_at for batch in view.session_batches(KEY)] == [None, START + timedelta(seconds=1)]
    assert [batch.other_mode_at for batch in view.session_batches(removal)] == [START]


def test_as_many_statements_read_a_session_of_ten_batches_as_one_of_two_hundred_whose_audience_has_removals(
    tmp_path: Path,
) -> None:
    statements: dict[int, int] = {}
    for batches in (10, 200):
        view = opened(tmp_path / f"{batches}.sqlite")
        told = [
            receipt(number, batch_id=f"batch {number}", sequence=number, total_batches=batches)
            for number in range(1, batches + 1)
        ]
        removals = [receipt(number, mode="remove", batch_id=f"removal {number}") for number in (0, 1000)]
        view.fold_receipts([(one, place(at)) for at, one in enumerate([*told, *removals])], {}, "t")
        queries = queries_of(view, START)
        seen: list[str] = []
        view.reading().set_trace_callback(seen.append)
        status = queries.session("7", Choice(mode="add"))
        listed = queries.sessions(Filters(), None, 10)
        view.reading().set_trace_callback(None)
        assert status is not None
        assert [run.batches[-1].batch_id for run in status.runs] == [f"batch {batches}"]
        assert len(listed.sessions) == 2
        assert {batch.other_mode_at for batch in view.session_batches(KEY)} == {START}
        statements[batches] = len(seen)
        view.close()
    assert statements[10] == statements[200]


@pytest.mark.parametrize(("through", "expected"), [(0, None), (10, 4 * 9.0), (40, 9.0)])
def test_how_long_an_account_takes_is_told_by_its_speed_since_it_has_something_to_do(
    view: View, through: int, expected: float | None
) -> None:
    idle, begun, waiting = (receipt(at, batch_id=f"batch {at}", users=40) for at in (50, 91, 92))
    ended = receipt(93, batch_id="batch 93", users=through)
    view.fold_receipts([(one, place(at)) for at, one in enumerate((idle, begun, waiting, ended))], {}, "t")
    counts = Counts(received=40, accepted=40, rejected=0)
    ends = [completion(50, "delivered", 55, counts=counts)]
    if through:
        ends.append(completion(93, "delivered", 95, counts=Counts(received=through, accepted=through, rejected=0)))
    view.fold_completions([(one, place(at)) for at, one in enumerate(ends)], {}, "t")
    queries = queries_of(view, START + timedelta(seconds=100))
    status = queries.batch("batch 91")
    assert status is not None
    assert status.targets[0].seconds_to_go == expected


def test_names_that_platforms_call_the_same_are_one_audience_and_what_is_invalid_is_of_none(view: View) -> None:
    names = {1: ("VIP customers", False), 2: ("VIP_customers", False), 3: ("blotout_VIP_customers", True)}
    for offset, (name, has_no_prefix) in names.items():
        told = receipt(offset, name=name, disable_prefix=has_no_prefix, mode="remove")
        view.fold_receipts([(told, place(offset))], {}, "t")
    broken = receipt(9, name="VIP customers", mode="remove", verdict="invalid", reason="partition: wrong")
    view.fold_receipts([(broken, place(9))], {}, "t")
    for name, has_no_prefix in names.values():
        last = view.other_mode_at(SessionKey("1", name, "custom"), has_no_prefix=has_no_prefix)
        assert last == START + timedelta(seconds=3)
    assert view.other_mode_at(SessionKey("1", "VIP customers", "custom"), has_no_prefix=True) is None


def test_what_could_not_be_read_is_read_again_once_other_schemas_are_known(tmp_path: Path) -> None:
    first = opened(tmp_path / "view.sqlite")
    first.read_again("old")
    first.fold_completions([(completion(1, "delivered", 1), place(9))], {1: 12, 2: 5}, "c", [place(10), place(11)])
    first.fold_completions([], {1: 13}, "c")
    assert (first.unread(), first.positions("c")) == (2, {1: 13, 2: 5})
    first.close()
    same = opened(tmp_path / "view.sqlite")
    same.read_again("old")
    assert (same.unread(), same.positions("c")) == (2, {1: 13, 2: 5})
    same.close()
    newer = opened(tmp_path / "view.sqlite")
    newer.read_again("new")
    assert (newer.unread(), newer.positions("c")) == (0, {1: 10, 2: 5})
    newer.fold_completions([], {1: 13}, "c", [place(11)])
    newer.drop_unread("c", {1: 12})
    assert newer.unread() == 0
    newer.close()
