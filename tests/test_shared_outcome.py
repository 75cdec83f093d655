"""What is said of calls that carried rows of several records, over all tries of each."""

from datetime import UTC, datetime

from test_unisolated import written_by

from consumer.delivery.outcome import MAX_SHARED_CALLS, Job, Outcome, smallest
from consumer.delivery.platform_outcome import PlatformOutcome
from providers.kit.provider import Sent
from providers.kit.rows.rows_per_call import RowGroup
from schemas.avro.codec import decode_batch_completion, decode_retry_pointer, encode_retry_pointer
from schemas.records import Origin, RetryPointer, Span
from schemas.target import Target

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ORIGIN = Origin(topic="t", partition=3, offset=4)
JOB = Job(target=Target("facebook"), origin=ORIGIN, started_at=NOW)


def make_outcome(users: int = 3) -> Outcome:
    outcome = Outcome(received=users, span=Span(first=0, count=users))
    outcome.add(RowGroup([None], [0]), Sent())  # type: ignore[list-item] # rows are only counted
    return outcome


def test_a_completion_names_the_shared_calls_and_what_they_left_unplaced() -> None:
    outcome = make_outcome()
    outcome.note_shared("a")
    outcome.note_shared("b", 2)
    told = JOB.completed(outcome)
    assert (told.shared_calls, told.shared_unplaced, told.counts.accepted) == (["a", "b"], 2, 1)


def test_a_completion_of_calls_that_were_not_shared_says_nothing_of_them() -> None:
    told = JOB.completed(make_outcome())
    assert (told.shared_calls, told.shared_unplaced) == ([], 0)


def test_shared_calls_are_named_once_and_at_most_ten() -> None:
    outcome = make_outcome()
    for number in [*range(20), *range(20)]:
        outcome.note_shared(str(number), 1)
    assert outcome.shared_calls == [str(number) for number in range(MAX_SHARED_CALLS)]
    assert outcome.shared_unplaced == 40


def test_a_later_try_begins_with_the_shared_calls_of_those_before() -> None:
    first = make_outcome()
    first.note_shared("a", 2)
    pointer = RetryPointer(
        origin=ORIGIN,
        attempt=1,
        not_before=NOW,
        first_attempt_at=NOW,
        first_failure="busy",
        progress=first.progress(),
    )
    progress = decode_retry_pointer(encode_retry_pointer(pointer)).progress
    second = Outcome(received=3, progress_before=progress, platform=PlatformOutcome.after(progress))
    second.note_shared("b")
    told = JOB.completed(second)
    assert (told.shared_calls, told.shared_unplaced) == (["a", "b"], 2)


def test_the_smallest_completion_still_says_that_accepted_may_be_too_many() -> None:
    outcome = make_outcome()
    outcome.note_shared("a", 2)
    least = smallest(JOB.completed(outcome))
    assert (least.shared_calls, least.shared_unplaced, least.counts.accepted) == ([], 2, 1)


def test_completions_and_pointers_of_before_shared_calls_are_read_and_name_none() -> None:
    origin = {"topic": "t", "partition": 3, "offset": 4}
    completion: dict[str, object] = {"origin": origin, "provider": "facebook", "status": "delivered", "counts": {}}
    told = decode_batch_completion(written_by("BatchCompletion", 5, completion))
    assert (told.shared_calls, told.shared_unplaced) == ([], 0)
    times = {"notBefore": NOW, "firstAttemptAt": NOW, "firstFailure": "busy"}
    pointer = {"origin": origin, "attempt": 1, "progress": {"accepted": 3}, **times}
    progress = decode_retry_pointer(written_by("RetryPointer", 4, pointer)).progress
    assert progress is not None
    assert (progress.accepted, progress.shared_calls, progress.shared_unplaced) == (3, [], 0)
