"""The benchmark of sync uploads: its times add up, and pairs are compared pair by pair."""

from datetime import UTC, datetime

import aiohttp
import pytest

from benchmarks.stamped_platform import Stamped, stamped_platform
from benchmarks.sync import PLATFORM, Pair, Traces, Upload, report
from schemas.records import BatchCompletion, Origin


def upload(batch_id: str, *, sent: float = 0.0, answered: float = 0.080) -> Upload:
    return Upload(batch_id, sent, answered, Stamped(came=sent + 0.010, answered=sent + 0.060))


def traces(*batch_ids: str) -> Traces:
    completion = BatchCompletion(
        origin=Origin(topic="log", partition=0, offset=0),
        provider="facebook",
        status="delivered",
        started_at=datetime.fromtimestamp(0.007, UTC),
        finished_at=datetime.fromtimestamp(0.061, UTC),
    )
    return Traces(
        appended=dict.fromkeys(batch_ids, 0.004),
        completions=dict.fromkeys(batch_ids, (completion, 0.064)),
        woken=dict.fromkeys(batch_ids, 0.079),
    )


def test_the_stages_of_an_upload_are_all_of_its_time_and_one_is_the_platform_s() -> None:
    mine = upload("a")
    stages = traces("a").stages(mine)
    assert sum(stages) == pytest.approx(mine.answered - mine.sent)
    assert sum(stages) - stages[PLATFORM] == pytest.approx(mine.overhead)
    assert stages[PLATFORM] == pytest.approx(0.050)
    assert all(took >= 0 for took in stages)


def test_each_pair_is_compared_with_its_own_round_trips_and_the_spread_is_told() -> None:
    pairs = [Pair([0.010, 0.010, 9.0], [upload("a")]), Pair([0.015], [upload("a")]), Pair([0.030], [upload("a")])]
    lines = report(pairs, traces("a"))
    assert "beyond the platform    30.0 (30.0 to 30.0) ms" in lines[1]
    assert "bare round trip        15.0 (10.0 to 30.0) ms" in lines[2]
    assert "x2.00 (1.00 to 3.00) of a bare round trip" in lines[3]
    assert "the platform" not in lines[4]
    assert "heard by who waits 15.0" in lines[4]


async def test_a_stamped_platform_answers_late_and_notes_uploads_alone() -> None:
    async with stamped_platform(0.05) as platform, aiohttp.ClientSession(platform.url) as session:
        async with session.get("/facebook/v26.0/act_1/customaudiences") as response:
            assert response.status == 200
        assert not platform.uploads
        async with session.post("/facebook/v26.0/1/users", data=b"[[1],[2]]") as response:
            assert (await response.json())["num_received"] == 2
        [stamped] = platform.uploads
    assert stamped.answered - stamped.came >= 0.045
