"""Who comes and goes in a chaos run: drawn from its seed, judged by the log's order."""

import random
from datetime import UTC, datetime

from checks.chaos.churn import CHURN, Change, Churn, held_otherwise, members_at_end, misplaced, person
from checks.chaos.verdict import MAY, MUST, MUST_NOT
from schemas.records import AudienceBatch, BatchCompletion, Mode, Origin, Status
from schemas.target import Target

TIKTOK = Target("tiktok")
NAME = f"{CHURN} 0"


def change(mode: Mode, numbers: list[int], session: int, fate: str = MUST) -> Change:
    return Change(
        audience=NAME, start=session, count=len(numbers), mode=mode, numbers=numbers, is_short=False, fate=fate
    )


def standing(changes: list[Change], partition: int = 0) -> list[tuple[Origin, AudienceBatch]]:
    return [
        (
            Origin(topic="log", partition=partition, offset=offset),
            AudienceBatch(batch_id="b", name=NAME, session_id=str(one.start), mode=one.mode, users=[]),
        )
        for offset, one in enumerate(changes)
    ]


def ended(log: list[tuple[Origin, AudienceBatch]], *statuses: Status) -> dict[tuple[Origin, Target], BatchCompletion]:
    return {
        (origin, TIKTOK): BatchCompletion(
            origin=origin, provider="tiktok", status=status, finished_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        for (origin, _), status in zip(log, statuses, strict=True)
    }


def test_changes_are_their_seed_s_and_name_people_of_the_pool_alone() -> None:
    first, second = (Churn(random.Random(7)) for _ in range(2))
    drawn = [first.next() for _ in range(200)]
    assert drawn == [second.next() for _ in range(200)]
    assert {one.mode for one in drawn} == {"add", "remove"}
    assert any(one.is_short for one in drawn)
    assert not any(one.is_short and one.mode == "add" for one in drawn)
    assert {tuple(one.query.items()) for one in drawn} == {(), (("mode", "add"),), (("mode", "remove"),)}


def test_the_members_at_the_end_are_the_fold_of_what_was_delivered_in_the_order_of_the_log() -> None:
    changes = [change("add", [1, 2, 3], 1), change("remove", [1, 2], 2), change("add", [1], 3), change("add", [9], 4)]
    log = standing(changes)
    found = members_at_end(changes, log, ended(log, "delivered", "delivered", "partial", "failed"), TIKTOK)
    assert found == {NAME: {person(number).members["tiktok"] for number in (1, 3)}}
    swapped = members_at_end(changes, log, ended(log, "delivered", "failed", "delivered", "failed"), TIKTOK)
    assert len(swapped[NAME]) == 3


def test_who_is_missing_and_who_is_back_is_told_by_number() -> None:
    expected = {NAME: {person(1).members["tiktok"]}}
    told = list(held_otherwise(expected, {NAME: {person(2).members["tiktok"]}}, "tiktok"))
    assert told == [f"tiktok: {NAME} lacks 1, such as 1", f"tiktok: {NAME} holds too much: 1, such as 2"]
    assert list(held_otherwise(expected, dict(expected), "tiktok")) == []


def test_an_accepted_change_must_stand_in_the_log_a_refused_one_must_not_and_all_stand_in_one_partition() -> None:
    log = standing([change("add", [1], 1)])
    assert list(misplaced([change("add", [1], 1)], log)) == []
    assert len(list(misplaced([change("add", [1], 2)], log))) == 1
    assert len(list(misplaced([change("add", [1], 1, MUST_NOT)], log))) == 1
    assert list(misplaced([change("add", [1], 2, MAY)], log)) == []
    assert len(list(misplaced([], log + standing([change("add", [1], 1)], partition=1)))) == 1
