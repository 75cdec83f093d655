"""The benchmark of records of one user: it counts what the sink got, and compares runs pair by pair."""

from collections import Counter

import aiohttp
import pytest

from benchmarks.__main__ import main
from benchmarks.small.drained import Drained, drain
from benchmarks.small.idle import Waits
from benchmarks.small.load import AUDIENCES, Load, made_records
from benchmarks.small.report import report, report_idle
from benchmarks.whole.run import Surroundings
from benchmarks.whole.trees import Tree, sink
from schemas.avro.codec import decode_audience_batch
from streams.client.settings import KafkaSettings


def drained(*, records: int = 100, ended: int = 100, took: float = 2.0, rows: int = 100, failed: int = 0) -> Drained:
    return Drained(
        records=records,
        ended=ended,
        took=took,
        processor=0.01 * took,
        peak=120_000_000,
        rows=rows,
        calls=10,
        unknown=0,
        failures=Counter({"failed (busy)": failed} if failed else {}),
    )


def test_records_have_one_user_of_their_own_each_and_the_audiences_in_turn() -> None:
    made = [decode_audience_batch(value) for _, value in made_records(range(200))]
    assert {len(batch.users) for batch in made} == {1}
    assert len({batch.users[0].email for batch in made}) == len({batch.batch_id for batch in made}) == 200
    assert Counter(batch.name for batch in made) == {f"VIP {number}": 4 for number in range(AUDIENCES)}


def test_a_run_is_right_if_all_went_well_and_the_sink_has_each_user_once() -> None:
    assert drained().is_right
    assert not drained(rows=99).is_right
    assert not drained(rows=101).is_right
    assert not drained(failed=1).is_right


def test_a_run_whose_time_was_over_may_have_rows_that_are_not_reported_and_says_what_the_rest_would_take() -> None:
    run = drained(records=1_000, rows=110)
    assert run.is_right
    assert run.seconds == pytest.approx(20)
    assert not drained(records=1_000, rows=99).is_right
    [_, line] = report(Load(records=1_000, is_paced=True), {"now": [run]})
    assert line.startswith("  now:    50 records/s, 20.0 s in all, reckoned from 100 in 2 s; 11.0 rows a call;")


def test_pairs_are_compared_pair_by_pair_with_the_goal_of_their_load() -> None:
    runs = {"now": [drained(took=1), drained(took=2)], "before": [drained(took=6), drained(took=10)]}
    lines = list(report(Load(records=100), runs))
    assert lines[-2] == "  records/s now to before x5.50 (5.00 to 6.00); the goal is x5 at least: met"
    assert lines[-1] == "  CPU a record before to now x5.50 (5.00 to 6.00)"
    lines = list(report(Load(records=100, is_paced=True), runs))
    assert lines[-2].endswith("the goal is x20 at least: NOT met")


def test_a_run_that_went_wrong_says_how() -> None:
    [_, line] = report(Load(records=100), {"now": [drained(rows=99, failed=1)]})
    assert line.endswith("; WRONG: 99 rows, 0 unknown calls, {'failed (busy)': 1}")


def test_uploads_to_an_idle_account_are_compared_by_their_medians() -> None:
    now, before = Waits([0.010, 0.011, 0.9]), Waits([0.010, 0.010, 0.010])
    assert (
        list(report_idle({"now": now, "before": before}))[-1]
        == "  now to before x1.100; the goal is x1.05 at most: NOT met"
    )
    assert len(list(report_idle({"now": now}))) == 2


@pytest.mark.parametrize("options", [["--pace"], ["--records", "5"], ["--pairs", "2"]])
def test_options_of_the_small_ones_are_not_ignored_beside_other_names(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["codec", *options])
    assert "small" in capsys.readouterr().err


def test_options_of_the_whole_are_not_ignored_beside_the_small_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["small", "--pairs", "2", "--users", "5"])
    assert "these options are of whole, which is not among the names\n" in capsys.readouterr().err


async def test_a_consumer_is_given_records_of_one_user_and_the_sink_counts_each_once(kafka: KafkaSettings) -> None:
    async with sink() as (url, process), aiohttp.ClientSession() as session:
        around = Surroundings(kafka, 0, url, process, session)
        run = await drain(Tree.here(), Load(records=120), around)
    assert run.is_right
    assert (run.ended, run.rows) == (120, 120)
    assert run.rate > 0
