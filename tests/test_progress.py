"""Whether more records would only wait in vain."""

from streams.write.stall_detector import STALLED_AFTER, StallDetector

LATE = STALLED_AFTER + 1


def test_records_that_wait_for_a_moment_hold_up_nobody() -> None:
    progress = StallDetector()
    progress.sent(0.0)
    assert not progress.is_stalled(STALLED_AFTER)


def test_nothing_more_goes_out_where_nothing_has_been_acknowledged_for_long() -> None:
    progress = StallDetector()
    progress.sent(0.0)
    progress.sent(5.0)
    assert progress.is_stalled(LATE)


def test_one_partition_that_answers_is_enough_to_go_on() -> None:
    progress = StallDetector()
    progress.sent(0.0)
    progress.sent(0.0)
    progress.answered(9.0)
    assert not progress.is_stalled(LATE)


def test_an_idle_writer_is_not_stalled_however_long_ago_the_last_answer_was() -> None:
    progress = StallDetector()
    progress.sent(0.0)
    progress.answered(0.1)
    progress.sent(1000.0)
    assert not progress.is_stalled(1001.0)


def test_after_a_record_timed_out_one_at_a_time_tries_until_one_is_answered() -> None:
    progress = StallDetector()
    progress.sent(0.0)
    progress.timed_out()
    assert not progress.is_stalled(20.0)
    progress.sent(20.0)
    assert progress.is_stalled(20.0)
    progress.answered(21.0)
    progress.sent(22.0)
    assert not progress.is_stalled(23.0)
