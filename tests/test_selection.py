"""What a replay chooses: pure decisions, whatever order receipts and completions are read in."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.replay.printing import SUMMARY, Outcome, plan_lines
from cli.replay.selection import Choice, Chosen, Ends, chosen_of, part_for, seconds_for, wish_for
from consumer.replay.replayer import Wish
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, RejectedUser, Status
from schemas.target import Target

NOW = datetime(2030, 1, 31, tzinfo=UTC)
BATCH_ID = "00000000-0000-4000-8000-000000000001"
FACEBOOK = Target("facebook")


def make_origin(offset: int = 0, partition: int = 0) -> Origin:
    """Return a place in the log."""
    return Origin(topic="audience.batches", partition=partition, offset=offset)


def make_receipt(offset: int = 0, partition: int = 0, **changes: object) -> BatchReceipt:
    """Return the receipt of a valid record."""
    receipt = BatchReceipt(
        batch_id=BATCH_ID,
        session_id="5",
        name="VIP",
        type="custom",
        users=10,
        origin=make_origin(offset, partition),
        timestamp=NOW,
        verdict="valid",
    )
    return msgspec.structs.replace(receipt, **changes)


def make_end(
    status: Status = "delivered",
    *,
    at: int = 0,
    listed: Sequence[tuple[int, str]] = (),
    uncounted: int = 0,
    **more: object,
) -> BatchCompletion:
    """Return how a record ended `at` minutes after NOW; `uncounted` users were rejected and are not listed."""
    reasons: dict[str, int] = {}
    for _, reason in listed:
        reasons[f"email: {reason}"] = reasons.get(f"email: {reason}", 0) + 1
    if uncounted:
        reasons["not_an_email"] = uncounted
    completion = BatchCompletion(
        batch_id=BATCH_ID,
        origin=make_origin(),
        provider="facebook",
        status=status,
        error_code="bug" if status == "failed" else None,
        counts=Counts(received=10, rejected=len(listed) + uncounted),
        rejected_users=[RejectedUser(index=index, field="email", reason=reason) for index, reason in listed],
        rejected_reasons=reasons,
        finished_at=NOW + timedelta(minutes=at),
    )
    return msgspec.structs.replace(completion, **more)


def wish(choice: Choice, *told: BatchCompletion, without: str = "r-own") -> Wish | None:
    """Return what is wanted of a record that ended like this."""
    ends = Ends(origins={make_origin()}, without=without)
    for completion in told:
        ends.take(completion)
    return wish_for(chosen_of(make_receipt()), ends.of(make_origin(), FACEBOOK), choice)


WHOLE = Wish("custom:VIP")
FAILED, REJECTED = Choice(only="failed"), Choice(only="rejected")

ends_of_one = st.lists(
    st.tuples(
        st.sampled_from(["retrying", "delivered", "partial", "failed"]), st.sampled_from(["live", "r-1", "r-own"])
    ),
    max_size=8,
)


@given(ends_of_one, st.randoms())
def test_a_success_by_any_delivery_but_the_replay_s_own_settles_a_failure_in_whatever_order_that_is_read(
    told: list[tuple[Status, str]], chance: random.Random
) -> None:
    completions = [make_end(status, at=at, delivery=by) for at, (status, by) in enumerate(told)]
    counted = {status for status, by in told if by != "r-own"}
    expected = WHOLE if "failed" in counted and not counted & {"delivered", "partial"} else None
    assert wish(FAILED, *completions) == expected
    chance.shuffle(completions)
    assert wish(FAILED, *completions) == expected


@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=5), st.randoms())
def test_of_rejected_users_those_of_the_latest_success_are_sent(
    rejected: list[set[int]], chance: random.Random
) -> None:
    completions = [
        make_end("partial" if indexes else "delivered", at=at, listed=[(index, "not_an_email") for index in indexes])
        for at, indexes in enumerate(rejected)
    ]
    completions.append(make_end("failed", at=99))
    chance.shuffle(completions)
    expected = Wish("custom:VIP", frozenset(rejected[-1])) if rejected[-1] else None
    assert wish(REJECTED, *completions) == expected


def test_where_the_list_of_the_rejected_was_cut_all_are_sent_and_that_is_said() -> None:
    cut = make_end("partial", listed=[(1, "not_an_email")], uncounted=1)
    assert wish(REJECTED, cut) == WHOLE
    ends = Ends(origins={make_origin()}, without="")
    ends.take(cut)
    part = part_for(FACEBOOK, [chosen_of(make_receipt())], ends, REJECTED, [0])
    assert list(plan_lines([part], [1.0]))[-1] == "Of 1 records not every rejected user is known: these go whole."


def test_a_reason_chooses_failures_and_rejected_users_that_have_it() -> None:
    mixed = make_end("partial", listed=[(1, "not_an_email"), (2, "not_a_phone")])
    assert wish(Choice(only="rejected", reasons=("not_a_phone",)), mixed) == Wish("custom:VIP", frozenset({2}))
    assert wish(Choice(only="rejected", reasons=("bug",)), mixed) is None
    assert wish(Choice(only="failed", reasons=("bug",)), make_end("failed")) == WHOLE
    assert wish(Choice(only="failed", reasons=("expired",)), make_end("failed")) is None
    assert wish(Choice(reasons=("not_a_phone",)), mixed) == WHOLE
    assert wish(Choice(reasons=("bug",)), mixed) is None


def test_what_is_quarantined_is_sent_again_by_name_only_and_then_tried_in_a_child_first() -> None:
    quarantined = make_end("failed", error_code="quarantined")
    for choice in (FAILED, Choice(reasons=("quarantined",)), Choice(since=NOW), Choice(session_id="5")):
        assert wish(choice, quarantined) is None
    assert wish(Choice(batch_id="x"), quarantined) == WHOLE
    assert wish(Choice(origin=make_origin()), quarantined) == Wish("custom:VIP", is_suspect=True)
    undecodable = msgspec.structs.replace(make_receipt(), verdict="undecodable", reason="quarantined")
    assert Choice(origin=make_origin()).has(undecodable)
    assert not Choice(since=NOW - timedelta(days=9)).has(undecodable)
    assert not Choice(origin=make_origin(9)).has(undecodable)


def test_an_account_that_ended_nothing_gets_everything_and_nothing_of_what_failed_elsewhere() -> None:
    assert wish(Choice(since=NOW)) == WHOLE
    others = make_end("failed", provider="tiktok")
    assert wish(FAILED, others) is None
    assert wish(FAILED, make_end("failed", account="eu")) is None


@pytest.mark.parametrize(
    ("choice", "has"),
    [
        (Choice(), True),
        (Choice(session_id="5"), True),
        (Choice(session_id="50"), False),
        (Choice(name="VIP"), True),
        (Choice(name="VIP", type="primary"), False),
        (Choice(name="vip"), False),
        (Choice(batch_id=BATCH_ID), True),
        (Choice(batch_id=BATCH_ID.replace("1", "2")), False),
        (Choice(since=NOW, until=NOW), True),
        (Choice(since=NOW + timedelta(seconds=1)), False),
        (Choice(until=NOW - timedelta(seconds=1)), False),
    ],
)
def test_a_choice_means_what_it_says(choice: Choice, has: bool) -> None:
    assert choice.has(make_receipt()) == has
    assert not choice.has(make_receipt(verdict="invalid"))
    assert not choice.has(BatchReceipt(origin=make_origin(), timestamp=NOW, verdict="undecodable"))
    assert msgspec.json.decode(msgspec.json.encode(choice), type=Choice) == choice


places = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), unique=True)


@given(places, st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_a_part_is_in_the_order_of_the_log_and_tells_apart_what_left_it(
    found: list[tuple[int, int]], firsts: list[int]
) -> None:
    records = [chosen_of(make_receipt(offset, partition)) for partition, offset in found]
    part = part_for(FACEBOOK, records, Ends(origins=(), without=""), Choice(), firsts)
    assert list(part.wishes) == sorted(part.wishes)
    assert set(part.wishes) == {make_origin(o, p) for p, o in found if o >= firsts[p]}
    assert {record.origin for record in part.gone} == {make_origin(o, p) for p, o in found if o < firsts[p]}
    assert part.users == [10] * len(part.wishes)


def test_a_record_that_is_not_meant_for_an_account_is_left_out() -> None:
    records: list[Chosen] = [
        chosen_of(make_receipt(0)),
        chosen_of(make_receipt(1, channels=["tiktok"])),
        chosen_of(make_receipt(2, channels=["facebook"])),
        chosen_of(make_receipt(3, channels=["facebook/eu"])),
    ]
    for target, offsets in ((FACEBOOK, [0, 2]), (Target("facebook", "eu"), [0, 2, 3]), (Target("tiktok"), [0, 1])):
        part = part_for(target, records, Ends(origins=(), without=""), Choice(), [0])
        assert [origin.offset for origin in part.wishes] == offsets


@given(st.integers(1, 10_000), st.integers(0, 100), st.floats(0.01, 100), st.integers(1, 16))
def test_an_estimate_is_never_faster_than_the_rates(calls: int, longest: int, rate: float, slots: int) -> None:
    took = seconds_for(calls, longest, rate, slots)
    assert took >= calls / rate
    assert took >= seconds_for(calls, longest, None, slots) > 0


@given(st.lists(st.sampled_from(["delivered", "partial", "failed", "skipped"]), max_size=9), st.integers(0, 3))
def test_what_has_not_ended_is_unfinished(ended: list[Status], left: int) -> None:
    outcome = Outcome(target=FACEBOOK, records=len(ended) + left + 2, before=2)
    for status in ended:
        outcome.add(make_end(status))
    assert outcome.unfinished == left
    assert outcome.ends["failed"] == ended.count("failed")


def test_what_came_of_a_replay_says_who_was_removed_and_about_whom_later_records_decide() -> None:
    outcome = Outcome(target=FACEBOOK, records=3)
    outcome.add(make_end(counts=Counts(received=5, accepted=3, superseded=2)))
    columns = ("accepted", "rejected", "superseded", "removed")
    assert counted(outcome, *columns) == ["3", "0", "2", "-"], "nobody was to be removed, or no platform has said"
    for removed in (0, None, 4):
        outcome.add(make_end(counts=Counts(received=5, accepted=5, removed=removed)))
    assert counted(outcome, *columns) == ["18", "0", "2", "4"]


def counted(outcome: Outcome, *columns: str) -> list[str]:
    """Return some cells of what came of one account's part."""
    of = dict(zip(SUMMARY, outcome.cells(), strict=True))
    return [of[column] for column in columns]
