"""What the status, sync answers and dead letters say of calls in which users of several batches went."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from test_dead_letters import make_completion
from test_sessions import batch as seen_batch
from test_status import make_run, make_target, printed
from test_view import BATCH, completion, opened, place, receipt

from cli.dead_letters.printing import Shown, lines_of, object_of
from cli.log_records import Content
from cli.status.printing import session_blocks
from ledger.final_outcomes import last_word
from ledger.resources import SessionStatus, TargetStatus
from ledger.session_runs import Run
from ledger.status import batch_status, run_status, target_status
from ledger.view import EndRow, RecordRow, SessionKey, View
from producer.upload.sync_results import Result
from schemas.records import BatchCompletion, Counts
from schemas.target import Target

FACEBOOK = Target("facebook")
TAKEN = Counts(received=2, accepted=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "view"


def folded(path: Path, *told: BatchCompletion) -> tuple[Sequence[RecordRow], Sequence[EndRow]]:
    """Return what a view has of a batch and of what became of its records, a part each."""
    view: View = opened(path)
    offsets = sorted({one.origin.offset for one in told})
    parts = [receipt(offset, part=number, parts=len(offsets)) for number, offset in enumerate(offsets, start=1)]
    view.fold_receipts([(part, None) for part in parts], {}, "receipts")
    view.fold_completions([(one, place(number)) for number, one in enumerate(told)], {}, "t")
    found = view.records_of(BATCH), view.ends_of([part.origin for part in parts])
    view.close()
    return found


def status(records: Sequence[RecordRow], ends: Sequence[EndRow]) -> TargetStatus:
    return target_status(FACEBOOK, records, ends, lambda _: None)


def test_a_batch_that_shared_calls_names_them_and_how_many_users_may_be_refused(path: Path) -> None:
    first = completion(1, "delivered", 1, counts=TAKEN, shared_calls=["a", "b"], shared_unplaced=1)
    second = completion(2, "delivered", 1, counts=TAKEN, shared_calls=["b", "c"], shared_unplaced=7)
    told = msgspec.json.decode(msgspec.json.encode(status(*folded(path, first, second))))
    assert told["sharedCalls"] == ["a", "b", "c"]
    assert told["users"]["sharedUnplaced"] == 3  # of two users no seven can be refused
    assert told["users"]["accepted"] == 4


def test_where_nothing_was_shared_the_answers_are_those_of_before(path: Path) -> None:
    records, ends = folded(path, completion(1, "delivered", 1, counts=TAKEN))
    assert b"hared" not in msgspec.json.encode(status(records, ends))
    assert b"hared" not in msgspec.json.encode(Result(FACEBOOK, list(ends), is_complete=True, blocked=None).as_json())
    letter = object_of([make_completion()], Content(), Shown(users=1, is_masked=True))
    assert b"hared" not in msgspec.json.encode(letter)
    assert not any(
        "shared" in line for line in lines_of([make_completion()], Content(), Shown(users=1, is_masked=True))
    )


def test_a_replay_s_calls_are_told_beside_those_of_before(path: Path) -> None:
    partly = Counts(received=2, accepted=1, rejected=1)
    live = completion(1, "partial", 1, counts=partly, shared_calls=["a"], rejected_reasons={"email: gone": 1})
    again = completion(
        1, "delivered", 2, delivery="r1", counts=Counts(received=1, accepted=1), shared_calls=["b"], shared_unplaced=1
    )
    _, ends = folded(path, live, again)
    end = last_word(ends).end
    assert (end.shared_calls, end.shared_unplaced, end.accepted) == (("a", "b"), 1, 2)


def test_a_session_adds_up_what_its_batches_say_and_names_ten_calls(path: Path) -> None:
    ids = [f"call-{number}" for number in range(12)]
    records, ends = folded(path, completion(1, "delivered", 1, counts=TAKEN, shared_calls=ids, shared_unplaced=1))
    batch = batch_status(records, [FACEBOOK], lambda target, mine: target_status(target, mine, ends, lambda _: None))
    run = Run()
    run.add(seen_batch(1, batch_id=BATCH), None)
    [target] = run_status(run, SessionKey("7", "VIP", "custom"), {BATCH: batch}).targets
    assert target.shared_calls == ids[:10]
    assert target.users.shared_unplaced == 1


def test_a_sync_answer_with_details_names_shared_calls(path: Path) -> None:
    _, ends = folded(path, completion(1, "delivered", 1, counts=TAKEN, shared_calls=["a"], shared_unplaced=1))
    told = Result(FACEBOOK, list(ends), is_complete=True, blocked=None).as_json()
    assert (told["sharedCalls"], told["sharedUnplaced"]) == (["a"], 1)


def test_people_are_told_which_calls_were_shared_and_what_is_not_known_for_it() -> None:
    users = msgspec.structs.replace(make_target().users, shared_unplaced=1)
    run = make_run(targets=[make_target(users=users, shared_calls=["a", "b"]), make_target("tiktok")])
    lines = printed(session_blocks(SessionStatus(session_id="7", runs=[run])))
    assert "facebook: in calls with other batches: a, b" in lines
    [unplaced] = [line for line in lines if "did not say whom" in line]
    assert unplaced.startswith("facebook: 1 at most of the accepted were refused")


def test_a_dead_letter_names_the_calls_that_it_shared() -> None:
    letter = make_completion(shared_calls=["a", "b"], shared_unplaced=2)
    shown = Shown(users=1, is_masked=True)
    told = msgspec.json.decode(msgspec.json.encode(object_of([letter], Content(), shown)))["letters"][0]
    assert (told["sharedCalls"], told["sharedUnplaced"]) == (["a", "b"], 2)
    assert any(line.split() == ["shared", "calls", "a,", "b"] for line in lines_of([letter], Content(), shown))
