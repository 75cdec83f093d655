"""The check of uploads that are killed finds what it is there to find."""

import random
import signal
from collections import Counter
from datetime import UTC, datetime

import pytest

from audience_client.http.statuses import BatchOfRun, RunStatus, SessionStatus
from checks.files_killed.moments import FIRST_PASS, LATEST, make_moments
from checks.files_killed.tries import Observed
from checks.files_killed.verdict import faults_of_log, faults_of_members, faults_of_status, faults_of_tries
from schemas.records import AudienceBatch, AudienceUser

NOW = datetime.now(UTC)


def record(sequence: int, batch_id: str = "", users: int = 2, session_id: str = "7") -> AudienceBatch:
    return AudienceBatch(
        batch_id=batch_id or f"b{sequence}",
        session_id=session_id,
        sequence=sequence,
        name="Killed",
        users=[AudienceUser(email="a@example.com")] * users,
    )


def run_of(*sequences: int, missing: list[int] | None = None) -> RunStatus:
    return RunStatus(
        name="Killed",
        type="custom",
        state="delivered",
        started_at=NOW,
        last_at=NOW,
        total_batches=3,
        total_users=6,
        users=2 * len(sequences),
        missing=missing or [],
        batches=[BatchOfRun(batch_id=f"b{n}", sequence=n, users=2, at=NOW, mark=None, state="x") for n in sequences],
        targets=[],
    )


def test_moments_are_those_of_their_seed_in_order_and_of_both_kinds() -> None:
    for seed in range(50):
        moments = make_moments(random.Random(seed), 200_000, 10)
        assert moments == make_moments(random.Random(seed), 200_000, 10)
        users = [moment.users for moment in moments]
        assert users == sorted(users)
        assert users[0] == FIRST_PASS
        assert users[-1] <= LATEST * 200_000
        assert Counter(moment.signal for moment in moments) == {signal.SIGKILL: 5, signal.SIGINT: 5}
        assert [moment.is_late for moment in moments].count(True) == 1


def test_a_log_with_each_batch_once_is_right() -> None:
    assert list(faults_of_log([record(1), record(2), record(3)], 7, 3, 6)) == []


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ([record(1), record(2), record(3), record(2, "other", users=0)], "1 batches stand in the log more than once"),
        ([record(1), record(3, users=4)], "2 of 3 batches stand in the log"),
        ([record(1), record(2), record(3, users=1)], "5 users stand in the log, and the file has 6"),
        ([record(1), record(2), record(3), record(1, session_id="8")], "1 other sessions stand in the log"),
    ],
)
def test_a_log_that_is_otherwise_is_told(log: list[AudienceBatch], told: str) -> None:
    (fault,) = faults_of_log(log, 7, 3, 6)
    assert fault.startswith(told)


def test_a_status_that_is_otherwise_is_told() -> None:
    whole = run_of(1, 2, 3)
    assert list(faults_of_status(SessionStatus(session_id="7", runs=[whole]), 3, 6)) == []
    (fault,) = faults_of_status(SessionStatus(session_id="7", runs=[whole, run_of(1)]), 3, 6)
    assert fault == "the session has 2 runs"
    assert len(list(faults_of_status(SessionStatus(session_id="7", runs=[run_of(1, 3, missing=[2])]), 3, 6))) == 2


def test_a_batch_that_is_sent_again_after_it_was_acknowledged_is_told() -> None:
    def told(second: int) -> Observed:
        return Observed(
            sends=[Counter([1, 2]), Counter([second, 3])],
            acknowledged=[Counter([1]), Counter([second, 3])],
            session_id=7,
            is_success=True,
            used=1,
        )

    assert list(faults_of_tries(told(2), 1)) == []
    (fault,) = faults_of_tries(told(1), 1)
    assert fault == "try 2 sent 1 batches again that had been acknowledged, such as 1"
    (fault,) = faults_of_tries(told(2), 2)
    assert fault.startswith("only 1 of 2 moments")


def test_members_that_are_missing_or_strange_are_told() -> None:
    assert list(faults_of_members("tiktok", {("a",)}, {("a",)})) == []
    assert list(faults_of_members("tiktok", {("a",), ("x",)}, {("a",), ("b",)})) == [
        "tiktok lacks 1 of 2 members, and holds 1 others"
    ]
